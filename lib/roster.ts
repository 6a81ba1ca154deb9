// The variables that an optimizer was built with, and where each stands among them.
import { addon, type Dtype } from './native.ts';
import { checkAttached, dtypeOf, type FloatArray } from './arrays.ts';
import { isSpace, type Site } from './devices.ts';
import { describe, rangeError, stateError } from './errors.ts';
import { arrayStorage } from './storage.ts';
import { checkList, checkTrainables, type Trainable } from './trainables.ts';
import { isVariable, Variable, variableOver } from './variable.ts';

export class Roster {
  readonly variables: readonly Variable[];
  /** As they were given. */
  readonly trainables: readonly Trainable[];
  /** Whether all variables own their memory, so that a step may outlast the call; that of a space does not. */
  readonly asyncSafe: boolean;
  /** The GPU or space that all variables lie on; undefined for the host. */
  readonly site: Site | undefined;
  readonly #who: string;
  readonly #places: ReadonlyMap<unknown, number>;
  readonly #all: readonly number[];

  /** `who`: the class of the optimizer, for errors; `names`: of plain arrays, which have none of their own. */
  constructor(trainables: unknown, who: string, names: readonly string[] | undefined) {
    const list = (this.trainables = checkTrainables(who, trainables));
    this.#who = who;
    this.variables = list.map((trainable, i) => variableOf(trainable, i, names?.[i]));
    this.#places = new Map([...list, ...this.variables].map((trainable, i) => [trainable, i % list.length]));
    this.site = this.variables[0] && Variable.storageOf(this.variables[0]).site;
    const owned = (variable: Variable) => Variable.storageOf(variable).memory !== undefined;
    this.asyncSafe = !isSpace(this.site) && this.variables.every(owned);
    this.#all = this.variables.map((_, i) => i);
  }

  /** dtype of the first variable, which Keras gives to the optimizer's own numbers. */
  get dtype(): Dtype {
    return (this.variables[0]?.dtype ?? 'float32') as Dtype;
  }

  /** The index of a variable it was built with, whichever way it is given. */
  indexOf(trainable: unknown): number {
    const index = this.#places.get(trainable);
    if (index !== undefined) return index;
    const what = isVariable(trainable) ? `"${trainable.path}"` : describe(trainable);
    throw stateError(
      'ERR_OPT_UNKNOWN_VARIABLE',
      `${this.#who} expects variables that it was built with, got ${what}: build a new optimizer for other variables`,
    );
  }

  /** The variable of what it was built with. */
  find(trainable: unknown): Variable | undefined {
    const index = this.#places.get(trainable);
    return index === undefined ? undefined : this.variables[index];
  }

  /** The indices of distinct variables; all of them for undefined. */
  indicesOf(trainables: readonly unknown[] | undefined): readonly number[] {
    if (trainables === undefined) return this.#all;
    checkList(this.#who, trainables);
    const indices = trainables.map((trainable) => this.indexOf(trainable));
    if (new Set(indices).size === indices.length) return indices;
    throw rangeError('ERR_OPT_ALIAS', `${this.#who} expects each variable once, got one twice`);
  }

  /** Throws if an asynchronous step uses a variable. */
  checkIdle(): void {
    Variable.checkIdle(this.variables);
  }
}

function variableOf(trainable: Trainable, i: number, name: string | undefined): Variable {
  if (isVariable(trainable)) return trainable;
  const array = trainable as FloatArray;
  checkAttached(`variables[${i}]`, array); // a getter in the list may have taken it away
  addon.useHugePages(array);
  return variableOver(arrayStorage(array, dtypeOf(array) as Dtype), name === undefined ? {} : { name });
}
