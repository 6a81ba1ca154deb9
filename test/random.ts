// Numbers to test with: reproducible, and of every kind.
import { addon } from '../lib/native.ts';

/** A source of numbers in [0, 1). */
export type Random = () => number;

/** A reproducible source, seeded by a text: a linear congruential generator of 48 bits. */
export function random(seed: string): Random {
  let state = 0x5deece66dn;
  for (const char of seed) state = (state * 31n + BigInt(char.charCodeAt(0))) & 0xffffffffffffn;
  return () => {
    state = (state * 0x5deece66dn + 11n) & 0xffffffffffffn;
    return Number(state >> 16n) / 2 ** 32;
  };
}

const special = [
  0,
  -0,
  NaN,
  Infinity,
  -Infinity,
  1e-45,
  -1e-45,
  1.1754942e-38,
  1.17549435e-38,
  -1.17549435e-38,
  5e-324,
  3.4e38,
  -3.4e38,
  1e-20,
  1e20,
  1e-300,
  1e300,
  1,
  -1,
];

/** Ordinary numbers, numbers of every magnitude around float32's range, and the special ones. */
export function wildNumber(next: Random): number {
  const kind = next();
  if (kind < 0.3) return special[Math.floor(next() * special.length)] as number;
  const sign = next() < 0.5 ? -1 : 1;
  return kind < 0.6 ? sign * next() : sign * 2 ** (300 * next() - 160) * (1 + next());
}

/** The instruction sets that run here. */
export const backends: readonly string[] = addon.backends
  .filter(({ unusable }) => unusable === null)
  .map(({ name }) => name);

/** The one that the others are compared with. */
export const reference = backends.at(-1) as string;

/** The bits of an array, every NaN as one. */
export const words = (array: Float32Array | Float64Array): string[] =>
  Array.from(array, (x) => (Object.is(x, -0) ? '-0' : String(x)));
