// Typed arrays as they really are: type, length and place are read through the intrinsic getters, so that no shadowed property,
// proxy or other realm can lie about them.
import { constants } from 'node:buffer';

import { describe, rangeError, typeError } from './errors.ts';
import { addon, type Dtype, type Memory } from './native.ts';

/** The arrays that numbers lie in. */
export type FloatArray = Float32Array | Float64Array;

/** Bits of bfloat16 or float16 numbers as well. */
export type AnyArray = FloatArray | Uint16Array;
type View = AnyArray | Uint8Array | Int32Array | Uint32Array;

export const arrays = { float32: Float32Array, float64: Float64Array } as const;
const dtypes: Readonly<Record<string, Dtype>> = { Float32Array: 'float32', Float64Array: 'float64' };

const prototype = Object.getPrototypeOf(Uint8Array.prototype) as object;
const getter = (name: PropertyKey) => {
  const { get } = Object.getOwnPropertyDescriptor(prototype, name) as { get: () => unknown };
  return (array: unknown): unknown => get.call(array);
};
const tagOf = getter(Symbol.toStringTag);
const rawLength = getter('length');
const rawBuffer = getter('buffer');
const rawOffset = getter('byteOffset');
const rawBytes = getter('byteLength');

/** The dtype of a Float32Array or Float64Array of whatever realm; undefined for anything else. */
export const dtypeOf = (value: unknown): Dtype | undefined => dtypes[(tagOf(value) as string | undefined) ?? ''];
/** The class of a typed array, `Float16Array` as well; undefined for anything else. */
export const classOf = (value: unknown): string | undefined => tagOf(value) as string | undefined;
export const lengthOf = (array: View): number => rawLength(array) as number;
export const bufferOf = (array: View): ArrayBufferLike => rawBuffer(array) as ArrayBufferLike;

const set = Object.getOwnPropertyDescriptor(prototype, 'set')?.value as (this: View, data: ArrayLike<number>) => void;

/** Writes numbers from the beginning on, whatever `set` an array says it has. */
export const writeTo = (array: View, data: ArrayLike<number>): void => set.call(array, data);

/** The bytes that an array covers in its buffer. */
export function spanOf(array: View): { readonly begin: number; readonly end: number } {
  const begin = rawOffset(array) as number;
  return { begin, end: begin + (rawBytes(array) as number) };
}

/** The bits of a Uint16Array or Float16Array of whatever realm. */
export const bitsOf = (array: AnyArray): Uint16Array =>
  new Uint16Array(bufferOf(array), rawOffset(array) as number, lengthOf(array));

const memories = new WeakMap<ArrayBufferLike, Memory>();

/** The library memory that an array lies in, if it does. */
export const memoryOf = (array: View): Memory | undefined => memories.get(bufferOf(array));

const stored = { ...arrays, uint16: Uint16Array, uint32: Uint32Array } as const;

/** Library memory, and the array that it is. */
export interface Allocated<T extends View = FloatArray> {
  readonly memory: Memory;
  readonly array: T;
}

/** Zeros in library memory, `offset` bytes after the beginning of a page. */
export function allocated(dtype: Dtype, length: number, offset?: number): Allocated;
export function allocated(dtype: 'uint16', length: number, offset?: number): Allocated<Uint16Array>;
export function allocated(
  dtype: Dtype | 'uint16',
  length: number,
  offset?: number,
): Allocated<FloatArray | Uint16Array>;
export function allocated(dtype: 'uint32', length: number): Allocated<Uint32Array>;
export function allocated(dtype: keyof typeof stored, length: number, offset = 0): Allocated<AnyArray | Uint32Array> {
  const bytes = length * stored[dtype].BYTES_PER_ELEMENT;
  if (bytes > constants.MAX_LENGTH)
    throw rangeError(
      'ERR_OPT_TOO_LARGE',
      `this Node.js expects at most ${constants.MAX_LENGTH} bytes an array, got ${bytes}`,
    );
  const memory = new addon.Memory(bytes, offset);
  const buffer = memory.buffer();
  memories.set(buffer, memory);
  return { memory, array: new stored[dtype](buffer, 0, length) };
}

/**
 * Zeros in library memory, 64-byte aligned: an array that `apply_async` reads in place, where it copies others.
 *
 * @param shape number of elements, or the length of each dimension
 * @param dtype float32 or float64
 * @throws RangeError `ERR_OPT_LENGTH` for a bad shape, `ERR_OPT_CONFIG_RANGE` for another dtype, `ERR_OPT_TOO_LARGE` or
 *   `ERR_OPT_OOM` when there is not that much memory
 */
export function allocate(shape: number | readonly number[], dtype?: 'float32'): Float32Array;
export function allocate(shape: number | readonly number[], dtype: 'float64'): Float64Array;
export function allocate(shape: number | readonly number[], dtype?: Dtype): FloatArray;
export function allocate(shape: number | readonly number[], dtype: Dtype = 'float32'): FloatArray {
  const length = sizeOf(Array.isArray(shape) ? shape : [shape]);
  if (length === undefined)
    throw rangeError('ERR_OPT_LENGTH', `allocate expects whole numbers >= 0 as its shape, got ${describe(shape)}`);
  if (typeof dtype !== 'string' || !Object.hasOwn(arrays, dtype))
    throw rangeError('ERR_OPT_CONFIG_RANGE', `allocate expects dtype to be float32 or float64, got ${describe(dtype)}`);
  return allocated(dtype, length).array;
}

/** The number of elements of a shape; undefined if it is none, or too large to count. */
export function sizeOf(shape: unknown): number | undefined {
  const dimensions = Array.isArray(shape) ? Array.from(shape as unknown[]) : [undefined];
  if (!dimensions.every((n) => Number.isSafeInteger(n) && (n as number) >= 0)) return undefined;
  const size = (dimensions as number[]).reduce((product, n) => product * n, 1);
  return Number.isSafeInteger(size) ? size : undefined;
}

/** A flag of a buffer by the getter of its class, undefined where this Node.js has no such getter. */
function flagOf(buffer: ArrayBufferLike, name: 'resizable' | 'growable' | 'immutable'): unknown {
  const shared = Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
  const flag = Object.getOwnPropertyDescriptor((shared ? SharedArrayBuffer : ArrayBuffer).prototype, name);
  try {
    return flag?.get?.call(buffer) as unknown;
  } catch {
    return undefined; // it only calls itself so
  }
}

/** Refuses an array whose memory is gone. */
export function checkAttached(who: string, array: View): void {
  if (lengthOf(array) === 0 && isDetached(array))
    throw typeError('ERR_OPT_DETACHED', `${who} expects an array with memory, its ArrayBuffer has been detached`);
}

/** Refuses an array whose memory is gone, may move, or must not be written. */
export function checkMemory(who: string, array: View, written: boolean): void {
  checkAttached(who, array);
  const buffer = bufferOf(array);
  if (flagOf(buffer, 'resizable') || (written && flagOf(buffer, 'growable')))
    throw typeError('ERR_OPT_RESIZABLE', `${who} expects an array of fixed length, its ArrayBuffer is resizable`);
  if (written && flagOf(buffer, 'immutable'))
    throw typeError('ERR_OPT_IMMUTABLE', `${who} expects an array that may be written, its ArrayBuffer is immutable`);
}

/** Whether an array of no elements has lost its memory: transferred away, or out of the bounds of a resized buffer. */
function isDetached(array: View): boolean {
  try {
    new Float32Array(0).set(array);
    return false;
  } catch {
    return true;
  }
}
