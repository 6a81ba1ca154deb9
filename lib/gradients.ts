// Gradients as a caller may give them, checked against the variables they belong to.
import { arrays, checkMemory, dtypeOf, lengthOf, type FloatArray } from './arrays.ts';
import { describe, rangeError, typeError } from './errors.ts';
import { checkNumbers, isVariable, Variable } from './variable.ts';

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
  const found = list ? array.length : lengthOf(array as FloatArray);
  if (found !== length)
    throw rangeError('ERR_OPT_LENGTH', `${who()} has ${found} elements, its variable has ${length}`);
  if (!list) return array as FloatArray;
  const copy = new arrays[dtype as keyof typeof arrays](length);
  copy.set(checkNumbers(who(), array));
  return copy;
}
