// The numbers that every host steps: multiples of 1/256 in (-1, 1), none of them zero, exact in every float type.

/** Element i is (2 ((37 i + phase) mod 251) - 251) / 256; bench/python/protocol.py has the same. */
export function pattern(length: number, phase: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(length);
  const cycle = Float32Array.from({ length: 251 }, (_, i) => (2 * ((37 * i + phase) % 251) - 251) / 256);
  for (let i = 0; i < length; i += 251) values.set(i + 251 > length ? cycle.subarray(0, length - i) : cycle, i);
  return values;
}

/** Of the i-th tensor. */
export const variableOf = (length: number, i: number): Float32Array<ArrayBuffer> => pattern(length, 3 * i);
export const gradientOf = (length: number, i: number): Float32Array<ArrayBuffer> => pattern(length, 3 * i + 100);
