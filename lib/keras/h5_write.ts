// Writes arrays into an HDF5 file: over those that are there, where shapes and dtypes are the same; else into a new file with all the
// rest of the old one, as HDF5 does not forget what was there.
import { CheckpointError } from '../checkpoint/errors.ts';
import type { Content } from './h5.ts';
import { toHalf } from './halves.ts';
import { library, writing, type Hdf5, type Opened } from './h5wasm.ts';
import { refusal } from './refusal.ts';
import { pieces, transfer } from './transfer.ts';
import { arrayTypes, type KerasNumbers } from './types.ts';

/** An array that a file is to have. */
export interface Written {
  readonly path: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly numbers: ArrayLike<number> | KerasNumbers;
}

/** A change: these arrays, and in the folder that is `owned` no others. */
export interface Change {
  readonly arrays: readonly Written[];
  readonly owned: string;
  /** The attribute `name` of groups that are new. */
  readonly names: ReadonlyMap<string, string>;
}

/** The bytes of a file with other arrays. */
export async function changed(path: string, bytes: Uint8Array, content: Content, change: Change): Promise<Uint8Array> {
  const at = await library(`writing ${path}`);
  const inPlace = fitsInPlace(content, change);
  if (!inPlace) checkCopied(path, content, change);
  try {
    if (inPlace) return writing(at, bytes, (file) => overwrite(file, change.arrays));
    return writing(at, undefined, (file) => compose(file, content, change));
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw refusal('ERR_CKPT_FORMAT', path, 'an HDF5 file that can be written', `${cause as Error}`, cause);
  }
}

function fitsInPlace({ arrays }: Content, change: Change): boolean {
  const own = new Map(change.arrays.map((array) => [array.path, array]));
  const same = change.arrays.every(({ path, shape, dtype }) => {
    const there = arrays.get(path);
    return there !== undefined && there.dtype === dtype && String(there.shape) === String(shape);
  });
  return same && [...arrays.keys()].every((path) => own.has(path) || !isIn(change.owned, path));
}

const isIn = (folder: string, path: string): boolean => path.startsWith(`${folder}/`);

function overwrite(file: Opened, arrays: readonly Written[]): void {
  for (const { path, shape, dtype, numbers } of arrays) {
    const bytes = bytesOf(numbers, dtype);
    for (const piece of pieces(shape, sizeOf(dtype))) transfer(file, path, piece, bytes, 'set_dataset_data');
  }
}

/** What the library can make anew. */
function checkCopied(path: string, { arrays, others, attributes }: Content, { owned }: Change): void {
  const bad =
    others.find((one) => !isIn(owned, one)) ??
    attributes.find((one) => !isIn(owned, one)) ??
    [...arrays.values()].find((one) => !isIn(owned, one.path) && typeOf(one.dtype) === undefined)?.path;
  if (bad !== undefined)
    throw refusal(
      'ERR_CKPT_LAYOUT',
      path,
      'the same arrays for the optimizer as before, or a file of numbers',
      `"${bad}"`,
    );
}

function compose(file: Opened, content: Content, { arrays, owned, names }: Change): void {
  const replaced = new Set(arrays.map(({ path }) => path));
  const kept = [...content.arrays.values()].filter(({ path }) => !replaced.has(path) && !isIn(owned, path));
  const all = [...kept.map((array) => ({ ...array, numbers: array.value })), ...arrays];
  const groups = new Set<string>();
  const addGroup = (group: string): void => {
    if (group === '' || groups.has(group)) return;
    addGroup(group.slice(0, Math.max(0, group.lastIndexOf('/'))));
    groups.add(group);
    file.hdf5.create_group(file.id, `/${group}`);
    const name = names.get(group) ?? content.names.get(group);
    if (name !== undefined) addText(file, `/${group}`, 'name', name);
  };
  for (const group of content.groups) if (group !== owned && !isIn(owned, group)) addGroup(group);
  for (const array of all) {
    addGroup(array.path.slice(0, array.path.lastIndexOf('/')));
    create(file, array);
  }
}

function addText({ hdf5, id }: Opened, path: string, name: string, text: string): void {
  const kind = { type: hdf5.H5T_class_t.H5T_STRING.value, size: 4, vlen: true, signed: false, littleEndian: true };
  const status = hdf5.create_vlen_str_attribute(id, path, name, [text], { ...kind, ...scalar });
  if (status < 0) throw new Error(`"${path}" cannot be named`);
}
const scalar = { shape: [], maxshape: [], total_size: 1 };

function create({ hdf5, id }: Opened, { path, shape, dtype, numbers }: Written): void {
  const bytes = bytesOf(numbers, dtype);
  const at = hdf5._malloc(Math.max(1, bytes.length));
  if (at === 0) throw new Error(`no memory for ${bytes.length} bytes`);
  try {
    hdf5.HEAPU8.set(bytes, at);
    const dimensions = shape.map(BigInt);
    const layout = { shape: dimensions, maxshape: dimensions, chunks: null, compression: 0, compression_opts: [] };
    const type = { ...typed(hdf5, dtype), ...layout, track_order: false };
    const status = hdf5.create_dataset(id, `/${path}`, BigInt(at), type as never);
    if (status < 0) throw new Error(`"${path}" cannot be written`);
  } finally {
    hdf5._free(at);
  }
}

/** Kind and bytes of a dtype that can be made anew. */
function typeOf(dtype: string): { readonly kind: string; readonly size: number } | undefined {
  const [, kind, bits] = /^(float|int|uint)(8|16|32|64)$/.exec(dtype) ?? [];
  return kind === undefined ? undefined : { kind, size: Number(bits) / 8 };
}

function typed({ H5T_class_t: classes }: Hdf5, dtype: string) {
  const { kind, size } = typeOf(dtype) ?? { kind: 'float', size: 0 };
  const type = kind === 'float' ? classes.H5T_FLOAT.value : classes.H5T_INTEGER.value;
  return { type, size, signed: kind === 'int', littleEndian: true, vlen: false };
}

const sizeOf = (dtype: string): number =>
  dtype === 'bfloat16' ? 2 : dtype === 'bool' ? 1 : (typeOf(dtype)?.size ?? 0);

/** Numbers as a file has them. */
function bytesOf(numbers: ArrayLike<number> | KerasNumbers, dtype: string): Uint8Array {
  const { buffer, byteOffset, byteLength } = encoded(numbers, dtype);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function encoded(numbers: ArrayLike<number> | KerasNumbers, dtype: string): ArrayBufferView {
  if (dtype === 'float16' || dtype === 'bfloat16') return toHalf(Array.from(numbers as ArrayLike<number>), dtype);
  const make = arrayTypes[dtype as keyof typeof arrayTypes];
  if (numbers instanceof make) return numbers;
  if (make === BigInt64Array || make === BigUint64Array)
    return make.from(Array.from(numbers as ArrayLike<number>, BigInt));
  return (make as Float64ArrayConstructor).from(numbers as ArrayLike<number>);
}
