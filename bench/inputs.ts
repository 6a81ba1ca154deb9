// What is stepped: the numbers of lib/bench/inputs.ts, rows of them, and their bits in two bytes.
export { gradientOf, pattern, variableOf } from '../lib/bench/inputs.ts';

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
