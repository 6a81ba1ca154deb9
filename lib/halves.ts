// bfloat16 and float16, the bits in Uint16Arrays. The arithmetic on them is native (native/storage.h); this is for what is
// shown and written once in a while.
import { bitsOf, classOf, type AnyArray } from './arrays.ts';
import type { Half } from './native.ts';

const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/** The numbers that bfloat16 bits stand for. */
export function fromBfloat16(halves: Uint16Array): Float32Array {
  const wide = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) wide[i] = (halves[i] as number) << 16;
  return new Float32Array(wide.buffer);
}

/** The numbers that float16 bits stand for. */
export const fromFloat16 = (halves: Uint16Array): Float32Array => Float32Array.from(halves, ofFloat16);

function ofFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const [exponent, fraction] = [(half >>> 10) & 31, half & 1023];
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15));
}

/** The bits of the nearest bfloat16, to even where two are; NaN stays one. */
export function toBfloat16(x: number): number {
  floats[0] = x;
  const [word] = bits as unknown as [number];
  if (Number.isNaN(x)) return (word >>> 16) | 0x40;
  return ((word + 0x7fff + ((word >>> 16) & 1)) / 2 ** 16) & 0xffff;
}

/** The bits of an array that is read as `half`: a Uint16Array; or a Float16Array, whatever that says but bfloat16. */
export function halvesOf(array: unknown, half: Half | null): Uint16Array | undefined {
  const name = classOf(array);
  const fits = name === 'Uint16Array' ? half !== null : name === 'Float16Array' && half !== 'bfloat16';
  if (!fits) return undefined;
  return name === 'Uint16Array' ? (array as Uint16Array) : bitsOf(array as AnyArray);
}
