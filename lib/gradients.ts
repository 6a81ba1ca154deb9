// Gradients as a caller may give them, checked against the variables they belong to.
import { arrays, checkMemory, dtypeOf, type FloatArray } from './arrays.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import type { State, Trainable } from './state.ts';
import { checkNumbers, countOf, isVariable, Variable } from './variable.ts';

/** The gradient of one variable: of its dtype and length, or an array of numbers; null if there is none. */
export type Gradient = FloatArray | Variable | readonly number[] | null;

/** The array of a gradient, null for null. Throws an error that names it. */
export function gradientArray(gradient: unknown, i: number, variable: Variable): FloatArray | null {
  if (gradient === null) return null;
  const { length, dtype } = Variable.storageOf(variable);
  const who = () => `gradients[${i}] ("${variable.path}")`;
  const array: unknown = isVariable(gradient) ? gradient.value : gradient;
  const list = Array.isArray(array);
  if (!list && dtypeOf(array) !== dtype)
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who()} is expected to have its variable's dtype ${dtype}, to be an array of numbers or null, got ${describe(array)}`,
    );
  if (!list) checkMemory(who(), array as FloatArray, false);
  const numbers = checkNumbers(who(), array);
  const found = countOf(numbers);
  if (found !== length)
    throw rangeError('ERR_OPT_LENGTH', `${who()} has ${found} elements, its variable has ${length}`);
  if (!list) return array as FloatArray;
  const copy = new arrays[dtype as keyof typeof arrays](length);
  copy.set(numbers);
  return copy;
}

/**
 * Puts the gradients into `arrays`, by variable, null where there is none; without `gradients`, every variable's own. Returns
 * the variables that are given without one.
 */
export function gatherGradients(
  who: string,
  state: State,
  arrays: (FloatArray | null)[],
  gradients: unknown,
  variables: readonly Trainable[] | undefined,
): Variable[] {
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
  indices.forEach((index, i) => {
    const variable = state.variables[index] as Variable;
    const array = gradientArray(gradients === undefined ? variable.gradient : gradients[i], i, variable);
    if (array !== null) state.checkGradientApart(array, i);
    arrays[index] = array;
  });
  const skipped = indices.filter((index) => arrays[index] === null);
  if (skipped.length === indices.length)
    throw stateError('ERR_OPT_NO_GRADIENT', `${who} expects a gradient for at least one variable, got none`);
  return skipped.map((index) => state.variables[index] as Variable);
}
