// What native/rows.cpp does, with its checks: merges the slices of a sparse gradient, and puts rows into a dense one.
import { rangeError, typeError } from '../errors.ts';
import type { Addon } from '../native.ts';
import { bufferOf, classOf, lengthOf, spanOf, type FloatArray, type View } from '../views.ts';

const misfit = (): RangeError => rangeError('ERR_OPT_LENGTH', 'rows do not fit their arrays');

function expect(fits: boolean): void {
  if (!fits) throw misfit();
}

/** The same array, as it really is, if it is of one of these classes. */
function plain<T extends View>(
  array: View,
  ...classes: readonly (new (...of: [ArrayBufferLike, number, number]) => T)[]
): T {
  const name = classOf(array);
  if (name === undefined) throw typeError('ERR_OPT_ARRAY_TYPE', 'expected a typed array');
  const found = classes.find((known) => known.name === name);
  if (found === undefined) throw misfit();
  return new found(bufferOf(array), spanOf(array).begin, lengthOf(array));
}
const floats = (array: View) => plain<FloatArray>(array, Float32Array, Float64Array);

const isCount = (number: number, most: number): boolean => Number.isInteger(number) && number >= 0 && number <= most;

/** Float32 arithmetic of the kernels has no denormals: they are zeros of their sign. */
const flushed = (x: number): number => (Math.abs(x) < 2 ** -126 ? x * 0 : x);

function addTo(sums: FloatArray, begin: number, slice: FloatArray): void {
  const flush = sums instanceof Float32Array ? flushed : (x: number) => x;
  slice.forEach((x, j) => {
    sums[begin + j] = flush(flush(sums[begin + j] as number) + flush(x));
  });
}

export const mergeRows: Addon['mergeRows'] = (given, list, rows, columns, into, merging, keeping) => {
  const [values, sums] = [floats(given), floats(into)];
  const indices = plain<Int32Array | Uint32Array | Float64Array>(list, Int32Array, Uint32Array, Float64Array);
  const [merged, keys] = [plain(merging, Uint32Array), plain(keeping, Float64Array)];
  const count = indices.length;
  expect(isCount(columns, 2 ** 53) && rows >= 0 && rows <= 2 ** 32 && values.length === count * columns);
  expect(sums.length >= values.length && sums.constructor === values.constructor);
  expect(merged.length >= count && keys.length >= count);
  // row and position of every slice in one number, so that sorting keeps the order of a row's slices
  const pairs = new Uint32Array(keys.buffer, keys.byteOffset, 2 * count);
  for (let i = 0; i < count; i++) {
    const row = indices[i] as number;
    if (!isCount(row, rows - 1)) return -1 - i;
    pairs[2 * i] = i;
    pairs[2 * i + 1] = row;
  }
  new BigUint64Array(keys.buffer, keys.byteOffset, count).sort();
  let found = 0;
  for (let i = 0; i < count; i++) {
    const [position, row] = [pairs[2 * i] as number, pairs[2 * i + 1] as number];
    const slice = values.subarray(position * columns, (position + 1) * columns);
    if (found > 0 && merged[found - 1] === row) {
      addTo(sums, (found - 1) * columns, slice);
    } else {
      merged[found] = row;
      sums.set(slice, found++ * columns);
    }
  }
  return found;
};

export const putRows: Addon['putRows'] = (into, list, columns, given) => {
  const [dense, rows] = [floats(into), plain(list, Uint32Array)];
  const values = given && floats(given);
  expect(isCount(columns, 2 ** 53));
  if (values !== null) expect(values.length === rows.length * columns && values.constructor === dense.constructor);
  expect(rows.every((row) => (row + 1) * columns <= dense.length));
  rows.forEach((row, i) => {
    if (values === null) dense.fill(0, row * columns, (row + 1) * columns);
    else dense.set(values.subarray(i * columns, (i + 1) * columns), row * columns);
  });
};
