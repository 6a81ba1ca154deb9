// Moves the numbers of an array between an HDF5 file and memory, some rows at a time.
import type { Opened } from './h5wasm.ts';

/** Rows of an array; all of it where it has none. */
interface Piece {
  readonly first: number;
  readonly count: number;
  readonly shape: readonly number[];
  /** In the array's bytes. */
  readonly begin: number;
  readonly end: number;
}

const kPiece = 1 << 24; // bytes: what passes through the library's memory at once

/** An array in pieces of some rows each. */
export function* pieces(shape: readonly number[], size: number): Generator<Piece> {
  const [rows = 1, ...rest] = shape;
  const row = rest.reduce((a, b) => a * b, size); // bytes
  if (rows === 0 || row === 0) return;
  const most = Math.max(1, Math.floor(kPiece / row));
  for (let first = 0; first < rows; first += most) {
    const count = Math.min(most, rows - first);
    yield { first, count, shape, begin: first * row, end: (first + count) * row };
  }
}

/** Reads a piece into an array's bytes, or writes it from there. */
export function transfer(
  { hdf5, id }: Opened,
  path: string,
  { first, count, shape, begin, end }: Piece,
  bytes: Uint8Array,
  how: 'get_dataset_data' | 'set_dataset_data',
): void {
  const at = hdf5._malloc(end - begin);
  if (at === 0) throw new Error(`no memory for ${end - begin} bytes`);
  try {
    const counts = shape.length === 0 ? null : [count, ...shape.slice(1)].map(BigInt);
    const offsets = shape.length === 0 ? null : shape.map((_, i) => BigInt(i === 0 ? first : 0));
    const strides = shape.length === 0 ? null : shape.map(() => 1n);
    if (how === 'set_dataset_data') hdf5.HEAPU8.set(bytes.subarray(begin, end), at);
    const status = hdf5[how](id, `/${path}`, counts, offsets, strides, BigInt(at));
    if (status < 0) throw new Error(`"${path}" cannot be ${how === 'get_dataset_data' ? 'read' : 'written'}`);
    if (how === 'get_dataset_data') bytes.set(hdf5.HEAPU8.subarray(at, at + end - begin), begin);
  } finally {
    hdf5._free(at);
  }
}
