// Exchanges the values of variables, byte by byte: every bit arrives, whatever the dtype.
import { bufferOf, spanOf, type FloatArray } from './arrays.ts';
import { Variable } from './variable.ts';

const scratch = new Uint8Array(65_536); // small enough to stay in the cache

/** Exchanges the values of each `a[i]` with those of `b[i]`, of the same dtype and length, after all have been found there. */
export function swapValues(a: readonly Variable[], b: readonly Variable[]): void {
  const [left, right] = [a.map(bytesOf), b.map(bytesOf)];
  left.forEach((bytes, i) => swapBytes(bytes, right[i] as Uint8Array));
}

function bytesOf(variable: Variable): Uint8Array {
  Variable.checkAttached(variable);
  const array = Variable.storageOf(variable).value() as FloatArray;
  const { begin, end } = spanOf(array);
  return new Uint8Array(bufferOf(array), begin, end - begin);
}

function swapBytes(a: Uint8Array, b: Uint8Array): void {
  for (let begin = 0; begin < a.length; begin += scratch.length) {
    const [x, y] = [a, b].map((bytes) => bytes.subarray(begin, begin + scratch.length)) as [Uint8Array, Uint8Array];
    scratch.set(x);
    x.set(y);
    y.set(scratch.subarray(0, y.length));
  }
}
