// Gradients as a caller may give them, checked against the variables they belong to.
import { arrays, checkMemory, dtypeOf, lengthOf, memoryOf, type AnyArray, type FloatArray } from './arrays.ts';
import type { CudaArray, DeviceArray } from './device_array.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import { gradientOnSite, letGoOf, waitForOwners, type Borrowed } from './foreign.ts';
import { halvesOf } from './halves.ts';
import { IndexedSlices, isList } from './indexed_slices.ts';
import { addon, type Half } from './native.ts';
import type { Brought } from './pass.ts';
import type { Rows } from './rows.ts';
import type { State, Trainable } from './state.ts';
import { checkNumbers, isVariable, Variable } from './variable.ts';

/**
 * The gradient of one variable: of its dtype and length, an array of numbers, or `IndexedSlices`; null if there is none. For a
 * float32 variable also a Uint16Array of the bits that `gradient_dtype` names, or a Float16Array where JavaScript has it. Where the
 * variable is on a GPU also what lies there: a variable, a `DeviceArray`, or memory of another addon.
 */
export type Gradient =
  | FloatArray
  | Variable
  | Variable<DeviceArray>
  | DeviceArray
  | CudaArray
  | IndexedSlices
  | Uint16Array
  | Float16ArrayLike
  | readonly number[]
  | null;

/** What a step has been given. */
export interface Gathered {
  /** Variables that are given without a gradient. */
  readonly skipped: readonly Variable[];
  /** Of those with a sparse gradient, in whose place there are the values of its rows. */
  readonly rows: readonly Rows[];
  /** Memory of others on a GPU. */
  readonly borrowed: readonly Borrowed[];
}

/** Of a step on the variables' own gradients. */
export const nothingGathered: Gathered = { skipped: [], rows: [], borrowed: [] };

/** JavaScript's Float16Array, which not every TypeScript knows. */
export interface Float16ArrayLike extends ArrayBufferView {
  /** What tells it from others. */
  readonly [Symbol.toStringTag]: 'Float16Array';
}

/** The array of a gradient, null for null. Throws an error that names it. */
export function gradientArray(gradient: unknown, i: number, variable: Variable, half: Half | null): AnyArray | null {
  if (gradient === null) return null;
  const { length, dtype } = Variable.storageOf(variable);
  const who = () => `gradients[${i}] ("${variable.path}")`;
  const given: unknown = isVariable(gradient) ? gradient.value : gradient;
  const halves = dtype === 'float32' ? halvesOf(given, half) : undefined;
  const array: unknown = halves ?? given;
  const list = Array.isArray(array);
  if (!list && halves === undefined && dtypeOf(array) !== dtype)
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who()} is expected to have its variable's dtype ${dtype}, to be an array of numbers or null, got ${describe(array)}`,
    );
  if (!list) checkMemory(who(), given as AnyArray, false);
  const numbers = halves ?? checkNumbers(who(), array);
  const found = list ? (numbers as unknown[]).length : lengthOf(numbers as AnyArray);
  if (found !== length)
    throw rangeError('ERR_OPT_LENGTH', `${who()} has ${found} elements, its variable has ${length}`);
  if (!list) return array as AnyArray;
  const copy = new arrays[dtype as keyof typeof arrays](length);
  copy.set(numbers);
  return copy;
}

/** What a step has taken so far. */
interface Taken {
  readonly rows: Rows[];
  readonly borrowed: Borrowed[];
}

/** The same, once looked at only for an array that fitted before. What is to be given back is added to `taken`. */
function fittingArray(state: State, gradient: unknown, i: number, index: number, taken: Taken): Brought | null {
  const fit = typeof gradient === 'object' && gradient !== null ? state.fitting.get(gradient as AnyArray) : undefined;
  if (fit?.index === index) {
    if (!fit.lasting) addon.useHugePages(gradient as AnyArray);
    fit.lasting = true;
    return gradient as AnyArray;
  }
  const variable = state.targets[index] as Variable;
  const slices = IndexedSlices.partsOf(gradient);
  if (slices !== undefined) {
    if (!isList(slices.values)) state.checkGradientApart(slices.values, i);
    const rows = state.sparse.take(slices, i, index, variable);
    taken.rows.push(rows);
    return rows.values;
  }
  const there = gradientOnSite(state, gradient, i, variable, taken.borrowed);
  if (there !== undefined) return there;
  const array = gradientArray(gradient, i, variable, state.gradient_dtype);
  if (array === null) return null;
  state.checkGradientApart(array, i);
  if (array === gradient) state.fitting.set(array, { index, lasting: memoryOf(array) !== undefined });
  return array;
}

/** The list of so many gradients, or undefined for every variable's own. Throws if it is something else. */
export function checkGradients(who: string, gradients: unknown, expected: number): readonly unknown[] | undefined {
  if (gradients === undefined) return undefined;
  if (!Array.isArray(gradients))
    throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects an array of gradients, got ${describe(gradients)}`);
  if (gradients.length !== expected)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects ${expected} gradients, one for each variable, got ${gradients.length}`,
    );
  return gradients as readonly unknown[];
}

/**
 * Puts the gradients into `arrays`, by variable, null where there is none; without `gradients`, every variable's own. What it
 * took is to be given back to `state`. `places`: of the gradients in the list of the caller's, where that is
 * another.
 */
export function gatherGradients(
  who: string,
  state: State,
  arrays: (Brought | null)[],
  gradients: unknown,
  variables: readonly Trainable[] | undefined,
  places?: readonly number[],
): Gathered {
  const indices = state.indicesOf(variables);
  const list = checkGradients(who, gradients, indices.length);
  for (const variable of state.variables) Variable.checkAttached(variable);
  arrays.fill(null, 0, state.variables.length);
  const skipped: Variable[] = [];
  const taken: Taken = { rows: [], borrowed: [] };
  try {
    indices.forEach((index, i) => {
      const variable = state.variables[index] as Variable;
      const gradient: unknown = list === undefined ? variable.gradient : list[i];
      const array = fittingArray(state, gradient, places?.[i] ?? i, index, taken);
      arrays[index] = array;
      if (array === null) skipped.push(variable);
    });
    waitForOwners(state.site, taken.borrowed);
  } catch (error) {
    state.sparse.give(taken.rows);
    letGoOf(taken.borrowed);
    throw error;
  }
  if (skipped.length === indices.length)
    throw stateError('ERR_OPT_NO_GRADIENT', `${who} expects a gradient for at least one variable, got none`);
  return { skipped, ...taken };
}
