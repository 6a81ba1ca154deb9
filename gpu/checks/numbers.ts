// Fresh numbers to check with, and whether two arrays have the same bits.
import assert from 'node:assert/strict';

import type { Dtype } from '../../lib/native.ts';
import { wildNumber, type Random } from '../../test/random.ts';

export type Floats = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;
export const classes = { float32: Float32Array, float64: Float64Array } as const;

/** A reproducible source of numbers in [0, 1), quick enough for millions: mulberry32 of a hash of the text. */
export function randomFrom(seed: string): Random {
  let state = 2166136261;
  for (const char of seed) state = Math.imul(state ^ char.charCodeAt(0), 16777619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What kinds of numbers a step is checked on. */
export const kinds = {
  ordinary: (next: Random) => 4 * next() - 2,
  small: (next: Random) => (next() - 0.5) * 2 ** (-60 * next()),
  wild: wildNumber,
};

export const filled = (dtype: Dtype, length: number, number: () => number): Floats =>
  new classes[dtype](length).map(number);

/** Any bits at all, infinities, NaN and denormal numbers among them. */
export function anyBits(dtype: Dtype, length: number, next: Random): Floats {
  const array = new classes[dtype](length);
  const words = new Uint32Array(array.buffer);
  words.forEach((_, i) => (words[i] = Math.floor(next() * 2 ** 32)));
  return array;
}

/** Throws unless every number is the same to the last bit, the sign of zeros included; a NaN equals any NaN. */
export function assertSame(actual: ArrayLike<number>, expected: ArrayLike<number>, what: string): void {
  assert.equal(actual.length, expected.length, `${what}: elements`);
  let [first, count] = [-1, 0];
  for (let i = 0; i < expected.length; i++)
    if (!Object.is(actual[i], expected[i])) {
      if (count === 0) first = i;
      count++;
    }
  if (count === 0) return;
  const [got, wanted] = [actual[first] as number, expected[first] as number];
  assert.fail(
    `${what}: ${count} of ${expected.length} elements differ, first [${first}]: ${got} (${hex(got)}), expected ${wanted} (${hex(wanted)})`,
  );
}

/** The bits of a number as a float32, or as a float64 if it is none. */
function hex(x: number): string {
  const view = new DataView(new ArrayBuffer(8));
  const single = Object.is(Math.fround(x), x);
  if (single) view.setFloat32(0, x);
  else view.setFloat64(0, x);
  const digits = single ? [view.getUint32(0)] : [view.getUint32(0), view.getUint32(4)];
  return `0x${digits.map((word) => word.toString(16).padStart(8, '0')).join('')}`;
}
