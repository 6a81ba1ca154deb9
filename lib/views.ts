// Typed arrays as they really are: type, length and place are read through the intrinsic getters, so that no shadowed property,
// proxy or other realm can lie about them.
import { typeError } from './errors.ts';
import type { Dtype } from './native.ts';

/** The arrays that numbers lie in. */
export type FloatArray = Float32Array | Float64Array;

/** Bits of bfloat16 or float16 numbers as well. */
export type AnyArray = FloatArray | Uint16Array;
export type View = AnyArray | Uint8Array | Int32Array | Uint32Array;

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

/** Refuses an array whose memory is gone. */
export function checkAttached(who: string, array: View): void {
  if (lengthOf(array) === 0 && isDetached(array))
    throw typeError('ERR_OPT_DETACHED', `${who} expects an array with memory, its ArrayBuffer has been detached`);
}

/** Whether an array of no elements has lost its memory: transferred away, or out of the bounds of a resized buffer. */
export function isDetached(array: View): boolean {
  try {
    new Float32Array(0).set(array);
    return false;
  } catch {
    return true;
  }
}
