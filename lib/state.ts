// What an optimizer keeps for the variables it was built with: slots in Keras's order and with Keras's names, and the
// program of a step. Over 200 lines with the checks of what it is built with.
import { bufferOf, checkMemory, dtypeOf, lengthOf, spanOf, type FloatArray } from './arrays.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import { dtypes, ruleNamed, type Dtype } from './native.ts';
import { Pass, Program, type Bound } from './pass.ts';
import { arrayStorage, nativeStorage, isVariable, Variable, variableOver } from './variable.ts';

/** A variable, or an array of the caller's that is trained in place. */
export type Trainable = Variable | FloatArray;

export interface Layout {
  /** Class of the optimizer, for errors. */
  readonly who: string;
  /** Name of the optimizer, the first part of every path. */
  readonly name: string;
  readonly rule: string;
  /** Slot names by block: within a block the slots of one variable stand together. */
  readonly blocks: readonly (readonly string[])[];
  readonly averages: boolean;
  readonly accumulators: boolean;
}

/** The passes of a step by what they do, for each dtype that occurs. */
export interface Stages {
  readonly accumulate: readonly Pass[];
  readonly update: readonly Pass[];
  readonly zero: readonly Pass[];
  readonly average: readonly Pass[];
  readonly overwrite: readonly Pass[];
}

export class State {
  readonly variables: readonly Variable[];
  readonly averages: readonly Variable[] | undefined;
  readonly accumulators: readonly Variable[] | undefined;
  /** All slots, block by block, in the order of `optimizer.variables`. */
  readonly slots: readonly Variable[];
  readonly #layout: Layout;
  readonly #places: ReadonlyMap<unknown, number>;
  readonly #slots: ReadonlyMap<string, readonly Variable[]>;
  readonly #written: Places;

  constructor(trainables: unknown, layout: Layout) {
    const list = checkTrainables(layout.who, trainables);
    this.#layout = layout;
    this.#places = new Map(list.map((trainable, i) => [trainable, i]));
    this.variables = list.map((trainable) =>
      isVariable(trainable) ? trainable : variableOver(arrayStorage(trainable, dtypeOf(trainable) as Dtype)),
    );
    const made: Variable[] = [];
    const block = (names: readonly string[]) =>
      this.variables.map((v) => names.map((name) => slotOf(layout, v, name, made)));
    try {
      this.averages = layout.averages ? block(['average']).flat() : undefined;
      this.accumulators = layout.accumulators ? block(['gradient_accumulator']).flat() : undefined;
      const blocks = layout.blocks.map((names) => ({ names, rows: block(names) }));
      this.slots = blocks.flatMap(({ rows }) => rows.flat());
      this.#slots = new Map(
        blocks.flatMap(({ names, rows }) => names.map((name, i) => [name, rows.map((row) => row[i] as Variable)])),
      );
      this.#written = placesOf([...this.variables, ...made].map(({ value }) => value));
    } catch (error) {
      for (const variable of made) variable.dispose(); // out of memory leaves nothing half-built
      throw error;
    }
  }

  /** dtype of the first variable, which Keras gives to the optimizer's own numbers. */
  get dtype(): Dtype {
    return (this.variables[0]?.dtype ?? 'float32') as Dtype;
  }

  /** Everything it has allocated. */
  get owned(): readonly Variable[] {
    return [...(this.averages ?? []), ...(this.accumulators ?? []), ...this.slots];
  }

  /** The index of a variable it was built with, whichever way it is given. */
  indexOf(trainable: unknown): number {
    const index = this.#places.get(trainable);
    if (index !== undefined) return index;
    const what = isVariable(trainable) ? `"${trainable.path}"` : describe(trainable);
    throw stateError(
      'ERR_OPT_UNKNOWN_VARIABLE',
      `${this.#layout.who} expects variables that it was built with, got ${what}: build a new optimizer for other variables`,
    );
  }

  /** The indices of distinct variables; all of them for undefined. */
  indicesOf(trainables: readonly unknown[] | undefined): number[] {
    if (trainables === undefined) return this.variables.map((_, i) => i);
    checkList(this.#layout.who, trainables);
    const indices = trainables.map((trainable) => this.indexOf(trainable));
    if (new Set(indices).size === indices.length) return indices;
    throw rangeError('ERR_OPT_ALIAS', `${this.#layout.who} expects each variable once, got one twice`);
  }

  /** Throws if an asynchronous step uses a variable. */
  checkIdle(): void {
    for (const variable of this.variables) Variable.checkIdle(variable);
  }

  /** Counts an asynchronous step that begins (1) or ends (-1). */
  use(by: 1 | -1): void {
    for (const variable of [...this.variables, ...this.owned]) Variable.use(variable, by);
  }

  /** Refuses a gradient that lies in memory which a step writes. */
  checkGradientApart(gradient: FloatArray, i: number): void {
    const places = this.#written.get(bufferOf(gradient));
    if (places === undefined) return;
    const { begin, end } = spanOf(gradient);
    if (places.some((place) => begin < place.end && place.begin < end))
      throw rangeError(
        'ERR_OPT_ALIAS',
        `gradients[${i}] overlaps a variable or its state in memory, which a step writes`,
      );
  }

  /** Whether all variables own their memory, so that a step may outlast the call. */
  get asyncSafe(): boolean {
    return this.variables.every((variable) => Variable.storageOf(variable).memory !== undefined);
  }

  /** The program of a step; `decays` says which variables the weight decay reaches. */
  program(decays: (variable: Variable) => boolean): { program: Program; stages: Stages } {
    const { accumulators, averages } = this;
    const stages = {
      accumulate: this.#passes('accumulate', accumulators && ((_, i) => ({ to: accumulators[i], from: i, needs: i }))),
      update: this.#passes(this.#layout.rule, (v, i) => ({ to: v, from: accumulators?.[i] ?? i, needs: i }), decays),
      zero: this.#passes('zero', accumulators && ((_, i) => ({ to: accumulators[i], from: accumulators[i] }))),
      average: this.#passes('average', averages && ((v, i) => ({ to: averages[i], from: v }))),
      overwrite: this.#passes('copy', averages && ((v, i) => ({ to: v, from: averages[i] }))),
    };
    return { program: new Program(Object.values(stages).flat(), this.variables), stages };
  }

  /** One pass for each dtype; none without `flow`, which says for each variable what is written and what is read. */
  #passes(
    rule: string,
    flow: ((v: Variable, i: number) => { to: unknown; from: unknown; needs?: number }) | undefined,
    decays = (_: Variable): boolean => false,
  ): Pass[] {
    if (flow === undefined) return [];
    const names = ruleNamed(rule).info.slots;
    const bounds = this.variables.map((v, index): Bound => {
      const { to, from, needs } = flow(v, index);
      const slots = names.map((name) => this.#slots.get(name)?.[index] as Variable);
      return {
        index,
        variable: to as Variable,
        gradient: from as number | Variable,
        slots,
        decay: decays(v),
        needs: needs ?? null,
      };
    });
    const ofDtype = (dtype: Dtype) => bounds.filter(({ variable }) => variable.dtype === dtype);
    return dtypes.filter((dtype) => ofDtype(dtype).length > 0).map((dtype) => new Pass(rule, dtype, ofDtype(dtype)));
  }
}

function slotOf(layout: Layout, variable: Variable, name: string, made: Variable[]): Variable {
  const { dtype, shape, path } = variable;
  const storage = nativeStorage(dtype as Dtype, Variable.storageOf(variable).length);
  const slot = variableOver(storage, { shape, name: `${layout.name}/${path.replaceAll('/', '_')}_${name}` });
  made.push(slot);
  return slot;
}

function checkList(who: string, list: unknown): asserts list is readonly unknown[] {
  if (Array.isArray(list)) return;
  throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects variables to be an array of variables, got ${describe(list)}`);
}

/** Variables and arrays, each once, none overlapping another. */
function checkTrainables(who: string, list: unknown): Trainable[] {
  if (!Array.isArray(list))
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects variables to be an array of variables, got ${describe(list)}`,
    );
  const trainables = Array.from(list, (value, i) => {
    const trainable = isVariable(value) ? Variable.storageOf(value).memory !== undefined : dtypeOf(value) !== undefined;
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

interface Place {
  readonly i: number;
  readonly begin: number;
  readonly end: number;
}
type Places = Map<ArrayBufferLike, Place[]>;

/** Where arrays lie, by buffer. */
function placesOf(list: readonly FloatArray[]): Places {
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
