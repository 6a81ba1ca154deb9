// Arrays of the library's own, and what is asked of those that are brought.
import { describe, rangeError, typeError } from './errors.ts';
import { addon, type Dtype, type Memory } from './native.ts';
import { maxBytes } from './platform.ts';
import { bufferOf, checkAttached, type AnyArray, type FloatArray, type View } from './views.ts';

export * from './views.ts';

export const arrays = { float32: Float32Array, float64: Float64Array } as const;

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
  if (bytes > maxBytes)
    throw rangeError('ERR_OPT_TOO_LARGE', `this Node.js expects at most ${maxBytes} bytes an array, got ${bytes}`);
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

/** Refuses an array whose memory is gone, may move, or must not be written. */
export function checkMemory(who: string, array: View, written: boolean): void {
  checkAttached(who, array);
  const buffer = bufferOf(array);
  if (flagOf(buffer, 'resizable') || (written && flagOf(buffer, 'growable')))
    throw typeError('ERR_OPT_RESIZABLE', `${who} expects an array of fixed length, its ArrayBuffer is resizable`);
  if (written && flagOf(buffer, 'immutable'))
    throw typeError('ERR_OPT_IMMUTABLE', `${who} expects an array that may be written, its ArrayBuffer is immutable`);
}
