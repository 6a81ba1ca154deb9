// The header of a file: safetensors (github.com/huggingface/safetensors), with our own metadata. Here it is made and taken apart, and
// every length in it is looked at before anything is allocated.
import { sizeOf } from '../arrays.ts';
import { isPlainObject } from '../configurable.ts';
import { CheckpointError } from './errors.ts';
import { types, type Tensor, type Type } from './tensors.ts';

export const kFormat = 'keras-optimizers';
export const kVersion = '1';
export const kMostHeader = 64 * 2 ** 20; // bytes
const kLengthBytes = 8;
const kAlignment = 64;
const kZeros = '0'.repeat(64);

// It stands at the beginning of every header, so that its place is known before anything is parsed.
const kBefore = '{"__metadata__":{"sha256":"';
/** Where the 64 hexadecimal digits of the hash are in the file. */
export const kHashAt = kLengthBytes + kBefore.length;
export const kHashDigits = kZeros.length;

/** What our files tell of themselves; every value is a string, as safetensors has it. */
export interface Metadata {
  readonly format: string;
  readonly version: string;
  /** Class of the optimizer, for people. */
  readonly class: string;
  /** What `stringify` writes. */
  readonly config: string;
  /** Calls of apply, for people. */
  readonly iteration: string;
  /** lib/checkpoint/saved_state.ts. */
  readonly state: string;
}

/** All bytes before the data, with zeros for the hash; and the tensors in the order of the data: wide elements first, so that each is aligned. */
export function headerOf(
  metadata: Metadata,
  tensors: readonly Tensor[],
): { readonly bytes: Uint8Array; readonly ordered: readonly Tensor[] } {
  const ordered = [...tensors].sort((a, b) => types[b.type].size - types[a.type].size);
  let end = 0;
  const entries = ordered.map(({ name, type, shape, bytes }) => {
    const data_offsets = [end, (end += bytes)];
    return [name, { dtype: type, shape, data_offsets }] as const;
  });
  const text = JSON.stringify({ __metadata__: { sha256: kZeros, ...metadata }, ...Object.fromEntries(entries) });
  return { bytes: padded(text), ordered };
}

function padded(text: string): Uint8Array {
  const json = Buffer.from(text);
  const length = Math.ceil((kLengthBytes + json.length) / kAlignment) * kAlignment;
  if (length - kLengthBytes > kMostHeader)
    throw new CheckpointError(
      'ERR_CKPT_LAYOUT',
      `a header of ${length} bytes is expected to have at most ${kMostHeader}: fewer variables, or shorter names`,
    );
  const bytes = Buffer.alloc(length, ' ');
  bytes.writeBigUInt64LE(BigInt(length - kLengthBytes), 0);
  json.copy(bytes, kLengthBytes);
  return bytes;
}

/** A tensor as a header describes it. */
export interface Described {
  readonly type: Type;
  readonly shape: readonly number[];
  readonly length: number; // elements
  readonly begin: number; // in the data,
  readonly end: number; // bytes
}

/** A header that has been looked at. */
export interface Header {
  readonly metadata: Metadata;
  readonly sha256: string;
  /** By name, in the order of the data. */
  readonly tensors: ReadonlyMap<string, Described>;
}

/** The length of a header, from the first bytes of a file. */
export function headerLength(path: string, first: Uint8Array, fileSize: number): number {
  if (first.length < kLengthBytes) throw format(path, `has ${fileSize} bytes`);
  const length = Buffer.from(first).readBigUInt64LE(0);
  if (length > kMostHeader)
    throw layout(path, `tells of a header of ${length} bytes, at most ${kMostHeader} are expected`);
  if (Number(length) > fileSize - kLengthBytes)
    throw layout(path, `tells of a header of ${length} bytes in a file of ${fileSize}`);
  return Number(length);
}

/** Takes a header apart. `dataSize`: the bytes behind it. */
export function parseHeader(path: string, bytes: Uint8Array, dataSize: number): Header {
  const { __metadata__: metadata, ...entries } = parsed(path, bytes);
  const { sha256, ...rest } = checkMetadata(path, metadata);
  const tensors = new Map<string, Described>();
  let end = 0;
  for (const [name, value] of Object.entries(entries)) {
    const tensor = described(path, name, value, end);
    end = tensor.end;
    tensors.set(name, tensor);
  }
  if (end !== dataSize) throw layout(path, `describes ${end} bytes of data, it has ${dataSize}`);
  return { metadata: rest as unknown as Metadata, sha256: sha256 as string, tensors };
}

/** As we write it, to the last character: so no key is there twice, and nothing is hidden that a parser leaves out. */
function parsed(path: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/ +$/, '');
    const value: unknown = JSON.parse(text);
    if (text.startsWith(kBefore) && isPlainObject(value) && JSON.stringify(value) === text) return value;
  } catch (error) {
    throw new CheckpointError(
      'ERR_CKPT_FORMAT',
      `${path} is no checkpoint of this package: its header cannot be read`,
      error,
    );
  }
  throw format(path, 'has another header');
}

function checkMetadata(path: string, metadata: unknown): Readonly<Record<string, string>> {
  if (!isPlainObject(metadata) || !Object.values(metadata).every((value) => typeof value === 'string'))
    throw format(path, 'has other metadata');
  const strings = metadata as Record<string, string>;
  if (strings.format !== kFormat) throw format(path, 'has another format');
  if (strings.version !== kVersion)
    throw new CheckpointError(
      'ERR_CKPT_VERSION',
      `${path} has version ${strings.version?.slice(0, 20)}, this package reads version ${kVersion}: use a later one`,
    );
  const known = ['class', 'config', 'iteration', 'state'].every((key) => Object.hasOwn(strings, key));
  if (!known || !/^[0-9a-f]{64}$/.test(strings.sha256 ?? '')) throw format(path, 'has other metadata');
  return strings;
}

function described(path: string, name: string, value: unknown, begins: number): Described {
  const { dtype, shape, data_offsets: offsets, ...rest } = isPlainObject(value) ? value : {};
  const length = sizeOf(shape);
  const shown = JSON.stringify(name.slice(0, 100));
  if (typeof dtype !== 'string' || !Object.hasOwn(types, dtype) || Object.keys(rest).length > 0 || name === '__proto__')
    throw layout(
      path,
      `describes ${shown} in another way: a dtype (${Object.keys(types).join(', ')}), a shape and data_offsets are expected`,
    );
  if (length === undefined) throw layout(path, `describes ${shown} with a shape that is none`);
  const type = dtype as Type;
  const [begin, end] = Array.isArray(offsets) && offsets.length === 2 ? (offsets as unknown[]) : [];
  const expected = begins + length * types[type].size;
  if (begin !== begins || end !== expected || !Number.isSafeInteger(expected))
    throw layout(
      path,
      `says that ${shown} is at ${String(begin)} to ${String(end)}, ${begins} to ${expected} are expected`,
    );
  return { type, shape: shape as number[], length, begin: begins, end: expected };
}

const format = (path: string, what: string): CheckpointError =>
  new CheckpointError('ERR_CKPT_FORMAT', `${path} is no checkpoint of this package: it ${what}`);
const layout = (path: string, what: string): CheckpointError =>
  new CheckpointError('ERR_CKPT_LAYOUT', `${path} ${what}`);
