// Where the numbers of a variable are: library memory, an array of the caller's, or a number of an optimizer's.
import { allocated, arrays, bufferOf, lengthOf, spanOf, writeTo, type AnyArray, type FloatArray } from './arrays.ts';
import { fromBfloat16, toBfloat16 } from './halves.ts';
import type { Dtype, Memory } from './native.ts';

/** An element type of a variable; integers and bfloat16 occur in the state of optimizers only. */
export type VariableDtype = Dtype | 'int64' | 'int32' | 'bfloat16';

/** One of these. */
export interface Storage {
  readonly dtype: VariableDtype;
  readonly length: number;
  /** What `value` shows. */
  value(): FloatArray | BigInt64Array | Int32Array;
  write(data: ArrayLike<number>): void;
  readonly readOnly?: boolean;
  /** The number of a scalar as it is inside. */
  number?(): number;
  /** Library memory that a plan may point into. */
  readonly memory?: Memory;
  /** An array of the caller's, whose address a plan asks for at every step. */
  readonly array?: FloatArray;
  /** The first byte of the numbers; empty when they have been transferred away or disposed of. */
  readonly probe?: Uint8Array;
  /** Elements of the probe as long as all is well. */
  readonly bytes?: number;
}

const kApart = 512; // bytes
/** Where an array begins in its page, by what it is: the arrays of a step lie at different places (native/memory.h). */
export const places = {
  variable: 0,
  gradient: kApart,
  average: 2 * kApart,
  accumulator: 3 * kApart,
  direction: 7 * kApart, // where no rule that has a direction has a slot
  slot: (i: number): number => kApart * (4 + (i % 4)),
} as const;

/** A view of an array's first byte that nobody else has, and its length: it loses that when the array loses its memory. */
const probed = (array: AnyArray) => {
  const { begin, end } = spanOf(array);
  const probe = new Uint8Array(bufferOf(array), begin, Math.min(1, end - begin));
  return { probe, bytes: probe.length };
};

export type NativeStorage = Storage & Required<Pick<Storage, 'memory' | 'probe' | 'bytes'>>;

/** Library memory shown as a typed array; for bfloat16 as a copy of its numbers. */
export function nativeStorage(dtype: Dtype | 'bfloat16', length: number, offset: number): NativeStorage {
  if (dtype === 'bfloat16') return bfloat16Storage(length, offset);
  const { memory, array } = allocated(dtype, length, offset);
  return { dtype, length, memory, ...probed(array), value: () => array, write: (data) => writeTo(array, data) };
}

function bfloat16Storage(length: number, offset: number): NativeStorage {
  const { memory, array } = allocated('uint16', length, offset);
  const write = (data: ArrayLike<number>) => {
    for (let i = 0; i < length; i++) array[i] = toBfloat16(data[i] as number);
  };
  return { dtype: 'bfloat16', length, memory, ...probed(array), value: () => fromBfloat16(array), write };
}

/** An array of the caller's, written in place. */
export function arrayStorage(array: FloatArray, dtype: Dtype): Storage {
  const { length, ...rest } = { length: lengthOf(array), array, ...probed(array) };
  return { dtype, length, ...rest, value: () => array, write: (data) => writeTo(array, data) };
}

/** A number of an optimizer's: float64 inside, shown in its Keras dtype. */
export function scalarStorage(dtype: Dtype | 'int64' | 'int32', get: () => number, set: (x: number) => void): Storage {
  const shown = () => (dtype === 'int64' ? BigInt64Array.of(BigInt(get())) : scalars[dtype].of(get()));
  const write = (data: ArrayLike<number>) => set(data[0] as number);
  return { dtype, length: 1, value: shown, write, number: get, readOnly: dtype.startsWith('int') };
}
const scalars = { ...arrays, int32: Int32Array } as const;

/** A 0 in the place of a number that nothing reads, whatever is written there. */
export const placeholder = (dtype: 'int32'): Storage =>
  scalarStorage(
    dtype,
    () => 0,
    () => {},
  );
