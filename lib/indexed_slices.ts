// The gradient of some rows of a variable, which has none for the others: of an embedding, whose batch looks up a few.
import { checkMemory, classOf, dtypeOf, lengthOf, sizeOf, type FloatArray } from './arrays.ts';
import { describe, rangeError, typeError } from './errors.ts';
import { checkNumbers, countOf } from './variable.ts';

/** Numbers of rows. */
export type RowIndices = Int32Array | Uint32Array | readonly number[];

const kMost = 2 ** 32; // rows, or slices: what an index of 32 bits can tell

/**
 * A sparse gradient: slice i of `values` belongs to row `indices[i]` of a variable, and all other rows have a gradient of zeros.
 * TensorFlow's `tf.IndexedSlices`. It may stand wherever a gradient may, and gives what the dense gradient would. Slices of the same
 * row are summed first, in their order. `docs/sparse.md` says what each optimizer does with it, and what that costs.
 *
 * @example
 * const table = new Variable(new Float32Array(1_000_000 * 64), { shape: [1_000_000, 64] });
 * const gradient = new IndexedSlices(new Float32Array(2 * 64).fill(1), [7, 4711], [1_000_000, 64]);
 * new Adagrad().apply([gradient], [table]);
 */
export class IndexedSlices<T extends FloatArray = FloatArray> {
  readonly #values: T | readonly number[];
  readonly #indices: RowIndices;
  readonly #shape: readonly number[];

  /**
   * Typed arrays are kept, and read when a step is called; arrays of numbers are copied.
   *
   * @param values the slices one after the other, each with `dense_shape[1] * dense_shape[2] * ...` numbers (one number where there
   *   is only `dense_shape[0]`), in the dtype of the variable
   * @param indices the row of each slice, a whole number in [0, `dense_shape[0]`), which is looked at when a step is called; in
   *   any order, and more than once
   * @param dense_shape that of the variable
   * @throws TypeError `ERR_OPT_ARRAY_TYPE` for other kinds, `ERR_OPT_DETACHED`, `ERR_OPT_RESIZABLE`; RangeError `ERR_OPT_LENGTH` for
   *   values that are not one slice for each index, or a shape that is none; `ERR_OPT_TOO_LARGE` for more than 2^32 rows
   */
  constructor(values: T | readonly number[], indices: RowIndices, dense_shape: readonly number[]) {
    this.#shape = checkShape(dense_shape);
    this.#values = takenNumbers(values);
    this.#indices = takenIndices(indices);
    const [slices, columns] = [countOfIndices(this.#indices), columnsOf(this.#shape)];
    const found = countOf(this.#values);
    if (found !== slices * columns)
      throw rangeError(
        'ERR_OPT_LENGTH',
        `IndexedSlices expects ${slices * columns} values, ${columns} for each of ${slices} indices, got ${found}`,
      );
  }

  /** The slices, one after the other. */
  get values(): T | readonly number[] {
    return this.#values;
  }

  /** The row of each slice. */
  get indices(): RowIndices {
    return this.#indices;
  }

  /** The shape of the variable. */
  get dense_shape(): readonly number[] {
    return this.#shape;
  }

  /**
   * What it was made of; undefined for anything else: a proxy or an heir by prototype alone is none.
   *
   * @internal
   */
  static partsOf(value: unknown): Slices | undefined {
    if (typeof value !== 'object' || value === null || !(#shape in value)) return undefined;
    return { values: value.#values, indices: value.#indices, shape: value.#shape, columns: columnsOf(value.#shape) };
  }
}

/** The parts of a sparse gradient. */
export interface Slices {
  readonly values: FloatArray | readonly number[];
  readonly indices: RowIndices;
  readonly shape: readonly number[];
  /** Elements of a row. */
  readonly columns: number;
}

const columnsOf = (shape: readonly number[]): number => shape.slice(1).reduce((product, n) => product * n, 1);

/** Whether numbers are in an array of JavaScript's, not a typed one. */
export const isList = (value: unknown): value is readonly number[] => Array.isArray(value);

const countOfIndices = (indices: RowIndices): number => (isList(indices) ? indices.length : lengthOf(indices));

function checkShape(shape: unknown): readonly number[] {
  const taken = Array.isArray(shape) ? Array.from(shape as unknown[]) : undefined;
  if (taken === undefined || taken.length === 0 || sizeOf(taken) === undefined)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `IndexedSlices expects dense_shape to be a non-empty array of whole numbers >= 0, got ${taken ? `[${taken.map(describe).join()}]` : describe(shape)}`,
    );
  if ((taken[0] as number) > kMost)
    throw rangeError('ERR_OPT_TOO_LARGE', `IndexedSlices expects at most 2^32 rows, got ${String(taken[0])}`);
  return Object.freeze(taken as number[]);
}

function takenNumbers<T extends FloatArray>(values: unknown): T | readonly number[] {
  const who = 'IndexedSlices: values';
  if (dtypeOf(values) === undefined && !Array.isArray(values))
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `IndexedSlices expects values to be a Float32Array, a Float64Array or an array of numbers, got ${describe(values)}`,
    );
  if (Array.isArray(values)) return Object.freeze(checkNumbers(who, values) as readonly number[]);
  checkMemory(who, values as T, false);
  return values as T;
}

function takenIndices(indices: unknown): RowIndices {
  if (Array.isArray(indices))
    return Object.freeze(checkNumbers('IndexedSlices: indices', indices) as readonly number[]);
  const name = classOf(indices);
  if (name !== 'Int32Array' && name !== 'Uint32Array')
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `IndexedSlices expects indices to be an Int32Array, a Uint32Array or an array of numbers, got ${describe(indices)}`,
    );
  checkMemory('IndexedSlices: indices', indices as Int32Array, false);
  return indices as Int32Array | Uint32Array;
}
