// What an optimizer may be built with, checked.
import { bufferOf, checkMemory, dtypeOf, lengthOf, spanOf, type AnyArray, type FloatArray } from './arrays.ts';
import { describe, rangeError, typeError } from './errors.ts';
import { isVariable, Variable } from './variable.ts';

/** A variable, or an array of the caller's that is trained in place. */
export type Trainable = Variable | FloatArray;

export function checkList(who: string, list: unknown): asserts list is readonly unknown[] {
  if (Array.isArray(list)) return;
  throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects variables to be an array of variables, got ${describe(list)}`);
}

/** Variables and arrays, each once, none overlapping another. */
export function checkTrainables(who: string, list: unknown): Trainable[] {
  checkList(who, list);
  const trainables = Array.from(list, (value, i) => {
    const trainable = isVariable(value) ? isTrained(value) : dtypeOf(value) !== undefined;
    if (trainable && !isVariable(value)) checkMemory(`variables[${i}]`, value as FloatArray, true);
    if (trainable) return value as Trainable;
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects variables[${i}] to be a Variable, a Float32Array or a Float64Array, got ${describe(value)}`,
    );
  });
  checkApart(trainables);
  return trainables;
}

/** Memory of the library, or an array of the caller's that another optimizer made a variable of. */
const isTrained = (variable: Variable): boolean =>
  Variable.isTrainable(variable) || Variable.storageOf(variable).array !== undefined;

interface Place {
  readonly i: number;
  readonly begin: number;
  readonly end: number;
}
export type Places = Map<ArrayBufferLike, Place[]>;

/** Where arrays lie, by buffer. */
export function placesOf(list: readonly (AnyArray | Uint8Array)[]): Places {
  const places: Places = new Map();
  list.forEach((array, i) => {
    const group = places.get(bufferOf(array)) ?? [];
    if (lengthOf(array) > 0) group.push({ i, ...spanOf(array) });
    places.set(bufferOf(array), group);
  });
  return places;
}

function checkApart(trainables: readonly Trainable[]): void {
  const places = placesOf(trainables.map((trainable) => (isVariable(trainable) ? trainable.value : trainable)));
  for (const group of places.values()) {
    group.sort((a, b) => a.begin - b.begin);
    group.forEach((place, k) => {
      const before = group[k - 1];
      if (before !== undefined && before.end > place.begin)
        throw rangeError(
          'ERR_OPT_ALIAS',
          `variables[${before.i}] and variables[${place.i}] overlap in memory, every variable is expected once`,
        );
    });
  }
}
