// Scalar arithmetic in the dtype of a variable, once a step: float32 rounds after each operation and flushes denormals,
// as TensorFlow does on the CPU; float64 is JavaScript's own.
import type { Dtype } from './native.ts';

export interface Arithmetic {
  /** A Python number that enters an expression of this dtype. */
  round: (x: number) => number;
  add: (a: number, b: number) => number;
  sub: (a: number, b: number) => number;
  mul: (a: number, b: number) => number;
  div: (a: number, b: number) => number;
  sqrt: (x: number) => number;
  /** Correctly rounded but for rare last bits, like TensorFlow's power of a scalar. */
  pow: (base: number, exponent: number) => number;
}

// The least magnitude that, rounded to 24 bits, reaches the smallest normal float32.
const leastNormal = 2 ** -126 - 2 ** -151;

/** The float32 nearest to x, or a zero of x's sign where that is denormal. Exact for any float32 sum or product x. */
export const flush = (x: number): number => (Math.abs(x) < leastNormal ? x * 0 : Math.fround(x));

type Power = (base: number, exponent: number) => number;
export type Arithmetics = Readonly<Record<Dtype, Arithmetic>>;

// Two literals, where one function of `round` would do: V8 inlines these.
const float32 = {
  round: flush,
  add: (a: number, b: number) => flush(a + b),
  sub: (a: number, b: number) => flush(a - b),
  mul: (a: number, b: number) => flush(a * b),
  div: (a: number, b: number) => flush(a / b),
  sqrt: (x: number) => flush(Math.sqrt(x)),
};
const float64 = {
  round: (x: number) => x,
  add: (a: number, b: number) => a + b,
  sub: (a: number, b: number) => a - b,
  mul: (a: number, b: number) => a * b,
  div: (a: number, b: number) => a / b,
  sqrt: (x: number) => Math.sqrt(x),
};

/** Both; `power` is Math.pow, or one that remembers what it was asked for before. */
export const arithmeticsWith = (power: Power): Arithmetics => ({
  float32: { ...float32, pow: (base, exponent) => flush(power(base, exponent)) },
  float64: { ...float64, pow: power },
});

export const arithmetics: Arithmetics = arithmeticsWith(Math.pow);
