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

/** Sets of rows, which follow one another step by step. */
export const kBatches = 64;

/** Rows that have a gradient in a batch, no two of them alike, in no order; bench/python/protocol.py has the same. */
export function rowsOf(rows: number, batch: number, count: number): Int32Array<ArrayBuffer> {
  return Int32Array.from({ length: Math.min(rows, count) }, (_, k) => ((k + batch * count) * 7919) % rows);
}

/** The bits of normal numbers of few digits, whose conversion therefore drops nothing. */
export function narrowed(values: Float32Array<ArrayBuffer>, dtype: 'bfloat16' | 'float16'): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer);
  const float16 = (word: number): number => ((word >>> 16) & 0x8000) | (((word >>> 13) & 0x3ffff) - (112 << 10));
  return Uint16Array.from(words, dtype === 'bfloat16' ? (word) => word >>> 16 : float16);
}
