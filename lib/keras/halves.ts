// Numbers of two bytes, as files have them.
import { fromBfloat16, toBfloat16 } from '../halves.ts';

export type HalfDtype = 'float16' | 'bfloat16';

/** The numbers that these bits stand for. */
export const fromHalf = (bits: Uint16Array, dtype: HalfDtype): Float32Array =>
  dtype === 'bfloat16' ? fromBfloat16(bits) : Float32Array.from(bits, fromFloat16);

/** The bits of the nearest numbers. */
export const toHalf = (numbers: Iterable<number>, dtype: HalfDtype): Uint16Array =>
  Uint16Array.from(numbers, dtype === 'bfloat16' ? toBfloat16 : toFloat16);

const kLeast = 2 ** -24; // the smallest float16 above 0
const kMost = 65504;

function fromFloat16(bits: number): number {
  const [sign, exponent, fraction] = [bits >>> 15 ? -1 : 1, (bits >>> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * kLeast : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function toFloat16(x: number): number {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0;
  const size = Math.abs(x);
  if (Number.isNaN(x)) return 0x7e00;
  if (size >= kMost + 16) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size)));
  const unit = 2 ** (exponent - 10);
  return sign | (toEven(size / unit) + (exponent + 14) * 1024); // a carry goes on to the exponent
}

function toEven(x: number): number {
  const [below, rest] = [Math.floor(x), x - Math.floor(x)];
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
