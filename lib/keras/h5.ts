// What is in an HDF5 file: its arrays of numbers by their paths. Everything is bounded by the size of the file before it is
// allocated; links that lead elsewhere, and arrays that are not simply there, are refused.
import { CheckpointError } from '../checkpoint/errors.ts';
import { fromHalf } from './halves.ts';
import { guarded, type Guarded } from './h5_heaps.ts';
import { library, reading, type Hdf5, type Opened } from './h5wasm.ts';
import { refusal } from './refusal.ts';
import type { Source } from './source.ts';
import { pieces, transfer } from './transfer.ts';
import { arrayTypes, type KerasNumbers } from './types.ts';

/** An array of numbers. */
export interface Stored {
  readonly path: string;
  readonly shape: readonly number[];
  /** As NumPy calls it. */
  readonly dtype: string;
  readonly value: KerasNumbers;
}

/** What a file holds, in the order of its paths. */
export interface Content {
  readonly arrays: ReadonlyMap<string, Stored>;
  /** The attribute `name` of groups, by their paths. */
  readonly names: ReadonlyMap<string, string>;
  /** Arrays of something else, by their paths. */
  readonly others: readonly string[];
  readonly groups: readonly string[];
  /** Paths with attributes that Keras does not write. */
  readonly attributes: readonly string[];
}

const kObjects = 1 << 17;
const kDepth = 64;
const kHeader = 16; // bytes: no object takes less

/** All that a file holds. */
export async function contentOfH5(path: string, source: Source): Promise<Content> {
  const signature = new Uint8Array(kSignature.length);
  if (source.length < signature.length)
    throw refusal('ERR_CKPT_FORMAT', path, 'an HDF5 file', `${source.length} bytes`);
  await source.read(signature, 0);
  if (!kSignature.every((byte, i) => byte === signature[i]))
    throw refusal('ERR_CKPT_FORMAT', path, 'an HDF5 file', 'something else');
  await checkWidths(path, source);
  const safe = await guarded(source);
  const at = await library(`reading ${path}`);
  try {
    return reading(at, safe, (file) => new Reader(path, file, safe).read());
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw refusal('ERR_CKPT_FORMAT', path, 'an HDF5 file that can be read', `${cause as Error}`, cause);
  }
}

/** Numbers of places and lengths have 8 bytes each, in every file of h5py's: what is checked beforehand relies on it. */
async function checkWidths(path: string, source: Source): Promise<void> {
  const start = new Uint8Array(Math.min(16, source.length));
  await source.read(start, 0);
  const at = (start[8] ?? 0) < 2 ? 13 : 9; // by the version of the superblock
  if (start[at] !== 8 || start[at + 1] !== 8)
    throw refusal('ERR_CKPT_FORMAT', path, 'an HDF5 file with places of 8 bytes', 'another one');
}

const kSignature = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

class Reader {
  readonly #path: string;
  readonly #file: Opened;
  readonly #source: Guarded;
  readonly #size: number;
  readonly #arrays = new Map<string, Stored>();
  readonly #names = new Map<string, string>();
  readonly #others: string[] = [];
  readonly #groups: string[] = [];
  readonly #attributes: string[] = [];
  #objects = 0;
  #bytes = 0;

  constructor(path: string, file: Opened, source: Guarded) {
    this.#path = path;
    this.#file = file;
    this.#source = source;
    this.#size = source.length;
  }

  read(): Content {
    this.#group('', 0);
    if (this.#source.refused) throw new Error('a heap of texts that does not come to its end');
    return {
      arrays: this.#arrays,
      names: this.#names,
      others: this.#others,
      groups: this.#groups,
      attributes: this.#attributes,
    };
  }

  #refuse(expected: string, got: string) {
    return refusal('ERR_CKPT_LAYOUT', this.#path, expected, got);
  }

  #group(group: string, depth: number): void {
    if (depth > kDepth) throw this.#refuse(`at most ${kDepth} groups in one another`, 'more');
    const { hdf5, id } = this.#file;
    if (group !== '') this.#groups.push(group);
    this.#checkAttributes(group, 'name');
    const name = textOf(this.#file, `/${group}`, 'name');
    if (name !== undefined) this.#names.set(group, name);
    for (const key of hdf5.get_names(id, `/${group}`, false)) {
      if (++this.#objects > Math.min(kObjects, this.#size / kHeader)) throw this.#refuse('fewer objects', 'a loop');
      const path = group === '' ? key : `${group}/${key}`;
      const link = hdf5.get_symbolic_link(id, `/${path}`) as string | null;
      const type = link === null ? hdf5.get_type(id, `/${path}`) : hdf5.H5G_LINK;
      if (type === hdf5.H5G_GROUP) this.#group(path, depth + 1);
      else if (type === hdf5.H5G_DATASET) this.#dataset(path);
      else throw this.#refuse(`"${path}" to be a group or an array`, 'a link or something else');
    }
  }

  #checkAttributes(path: string, known: string): void {
    const { hdf5, id } = this.#file;
    if (hdf5.get_attribute_names(id, `/${path}`).some((name) => name !== known)) this.#attributes.push(path);
  }

  #dataset(path: string): void {
    const { hdf5, id } = this.#file;
    this.#checkAttributes(path, 'dtype');
    const { shape, size, chunks, virtual_sources: elsewhere, ...type } = hdf5.get_dataset_metadata(id, `/${path}`);
    const dtype = dtypeOf(hdf5, { size, ...type }, () => textOf(this.#file, `/${path}`, 'dtype'));
    if (shape === null || dtype === undefined) return void this.#others.push(path);
    if ((chunks ?? elsewhere ?? null) !== null) throw this.#refuse(`"${path}" to lie there in one piece`, 'pieces');
    const length = shape.reduce((a, b) => a * b, 1);
    this.#bytes += length * size;
    if (!Number.isSafeInteger(length) || !(this.#bytes <= this.#size))
      throw this.#refuse(`"${path}" to fit in ${this.#size} bytes`, `shape [${shape.join(', ')}]`);
    this.#source.numbers = true;
    this.#arrays.set(path, { path, shape, dtype, value: numbersOf(this.#file, path, shape, size, dtype) });
    this.#source.numbers = false;
  }
}

type Type = Pick<ReturnType<Hdf5['get_dataset_metadata']>, 'type' | 'size' | 'signed' | 'littleEndian' | 'vlen'>;

/** Undefined for what is no number, or not of this byte order. */
function dtypeOf({ H5T_class_t: classes }: Hdf5, is: Type, attribute: () => string | undefined): string | undefined {
  if (is.type === classes.H5T_OPAQUE.value && is.size === 2 && attribute() === 'bfloat16') return 'bfloat16';
  if (is.vlen || (!is.littleEndian && is.size > 1)) return undefined;
  const bits = 8 * is.size;
  if (is.type === classes.H5T_FLOAT.value && [16, 32, 64].includes(bits)) return `float${bits}`;
  if (is.type === classes.H5T_INTEGER.value && [8, 16, 32, 64].includes(bits))
    return `${is.signed ? '' : 'u'}int${bits}`;
  if (is.type === classes.H5T_ENUM.value && bits === 8) return 'bool';
  return undefined;
}

/** An attribute that is a text. */
function textOf({ hdf5, id }: Opened, path: string, name: string): string | undefined {
  if (!hdf5.get_attribute_names(id, path).includes(name)) return undefined;
  const { shape, size, vlen, type, total_size: count } = hdf5.get_attribute_metadata(id, path, name);
  if (type !== hdf5.H5T_class_t.H5T_STRING.value || shape === null || count !== 1 || size > kText) return undefined;
  const at = hdf5._malloc(Math.max(size, kPointer));
  if (at === 0) throw new Error(`no memory for ${size} bytes`);
  try {
    hdf5.HEAPU8.fill(0, at, at + Math.max(size, kPointer)); // what cannot be read leads nowhere
    hdf5.get_attribute_data(id, path, name, BigInt(at));
    if (!vlen) return hdf5.UTF8ToString(at).slice(0, size);
    const text = hdf5.UTF8ToString(new DataView(hdf5.HEAPU8.buffer).getUint32(at, true)).slice(0, kText);
    hdf5.reclaim_vlen_memory(id, path, name, BigInt(at));
    return text;
  } finally {
    hdf5._free(at);
  }
}
const kText = 1 << 16; // bytes
const kPointer = 4;

function numbersOf(file: Opened, path: string, shape: readonly number[], size: number, dtype: string): KerasNumbers {
  const length = shape.reduce((a, b) => a * b, 1);
  const bytes = new Uint8Array(length * size);
  for (const piece of pieces(shape, size)) transfer(file, path, piece, bytes, 'get_dataset_data');
  if (dtype === 'float16' || dtype === 'bfloat16') return fromHalf(new Uint16Array(bytes.buffer), dtype);
  return new arrayTypes[dtype as keyof typeof arrayTypes](bytes.buffer);
}
