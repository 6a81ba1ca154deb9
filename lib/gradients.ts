// Gradients as a caller may give them, checked against the variables they belong to.
import { arrays, checkMemory, dtypeOf, lengthOf, memoryOf, type AnyArray, type FloatArray } from './arrays.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import { halvesOf } from './halves.ts';
import { IndexedSlices, isList } from './indexed_slices.ts';
import { addon, type Half } from './native.ts';
import type { Rows } from './rows.ts';
import type { State, Trainable } from './state.ts';
import { checkNumbers, isVariable, Variable } from './variable.ts';

/**
 * The gradient of one variable: of its dtype and length, an array of numbers, or `IndexedSlices`; null if there is none. For a
 * float32 variable also a Uint16Array of the bits that `gradient_dtype` names, or a Float16Array where JavaScript has it.
 */
export type Gradient =
  FloatArray | Variable | IndexedSlices | Uint16Array | Float16ArrayLike | readonly number[] | null;

/** What a step has been given. */
export interface Gathered {
  /** Variables that are given without a gradient. */
  readonly skipped: readonly Variable[];
  /** Of those with a sparse gradient, in whose place there are the values of its rows. */
  readonly rows: readonly Rows[];
}

/** Of a step on the variables' own gradients. */
export const nothingGathered: Gathered = { skipped: [], rows: [] };

/** JavaScript's Float16Array, which not every TypeScript knows. */
type Float16ArrayLike = ArrayBufferView & { readonly [Symbol.toStringTag]: 'Float16Array' };

/** The array of a gradient, null for null. Throws an error that names it. */
function gradientArray(gradient: unknown, i: number, variable: Variable, half: Half | null): AnyArray | null {
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

/** The same, once looked at only for an array that fitted before. The rows of a sparse gradient are added to `taken`. */
function fittingArray(state: State, gradient: unknown, i: number, index: number, taken: Rows[]): AnyArray | null {
  const fit = typeof gradient === 'object' && gradient !== null ? state.fitting.get(gradient as AnyArray) : undefined;
  if (fit?.index === index) {
    if (!fit.lasting) addon.useHugePages(gradient as AnyArray);
    fit.lasting = true;
    return gradient as AnyArray;
  }
  const variable = state.variables[index] as Variable;
  const slices = IndexedSlices.partsOf(gradient);
  if (slices !== undefined) {
    if (!isList(slices.values)) state.checkGradientApart(slices.values, i);
    const rows = state.sparse.take(slices, i, index, variable);
    taken.push(rows);
    return rows.values;
  }
  const array = gradientArray(gradient, i, variable, state.gradient_dtype);
  if (array === null) return null;
  state.checkGradientApart(array, i);
  if (array === gradient) state.fitting.set(array, { index, lasting: memoryOf(array) !== undefined });
  return array;
}

/**
 * Puts the gradients into `arrays`, by variable, null where there is none; without `gradients`, every variable's own. What it
 * took of sparse ones is to be given back to `state.sparse`. `places`: of the gradients in the list of the caller's, where that is
 * another.
 */
export function gatherGradients(
  who: string,
  state: State,
  arrays: (AnyArray | null)[],
  gradients: unknown,
  variables: readonly Trainable[] | undefined,
  places?: readonly number[],
): Gathered {
  const indices = state.indicesOf(variables);
  if (gradients !== undefined && !Array.isArray(gradients))
    throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects an array of gradients, got ${describe(gradients)}`);
  const count = gradients?.length ?? indices.length;
  if (count !== indices.length)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects ${indices.length} gradients, one for each variable, got ${count}`,
    );
  for (const variable of state.variables) Variable.checkAttached(variable);
  arrays.fill(null, 0, state.variables.length);
  const skipped: Variable[] = [];
  const rows: Rows[] = [];
  try {
    indices.forEach((index, i) => {
      const variable = state.variables[index] as Variable;
      const gradient: unknown = gradients === undefined ? variable.gradient : gradients[i];
      const array = fittingArray(state, gradient, places?.[i] ?? i, index, rows);
      arrays[index] = array;
      if (array === null) skipped.push(variable);
    });
  } catch (error) {
    state.sparse.give(rows);
    throw error;
  }
  if (skipped.length === indices.length)
    throw stateError('ERR_OPT_NO_GRADIENT', `${who} expects a gradient for at least one variable, got none`);
  return { skipped, rows };
}
