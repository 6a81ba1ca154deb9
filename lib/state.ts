// What an optimizer keeps for the variables it was built with: slots in Keras's order and with Keras's names, and the
// program of a step. Over 200 lines: one class, whose constructor and passes belong together.
import { bufferOf, checkAttached, checkMemory, dtypeOf, spanOf, type AnyArray, type FloatArray } from './arrays.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import { addon, dtypes, ruleNamed, type Dtype, type Half } from './native.ts';
import { Pass, Program, type Bound } from './pass.ts';
import { arrayStorage, nativeStorage, places } from './storage.ts';
import { checkList, checkTrainables, placesOf, type Places, type Trainable } from './trainables.ts';
import { isVariable, Variable, variableOver } from './variable.ts';

export type { Trainable };

/** What slots hold at first, by name: a number, or the values of the variable; 0 where nothing is said. */
export type Initial = Readonly<Record<string, number | 'variable'>>;

export interface Layout {
  /** Class of the optimizer, for errors. */
  readonly who: string;
  /** Name of the optimizer, the first part of every path. */
  readonly name: string;
  readonly rule: string;
  /** Slot names by block: within a block the slots of one variable stand together. */
  readonly blocks: readonly (readonly string[])[];
  readonly initial: Initial;
  readonly averages: boolean;
  readonly accumulators: boolean;
  /** Of the slots of float32 variables. */
  readonly state_dtype: 'float32' | 'bfloat16';
  /** How Uint16Arrays among the gradients are read; null: not at all. */
  readonly gradient_dtype: Half | null;
}

/** Of an array as gradient: native code looks at its memory at every step, so that the rest needs no second look. */
export interface Fit {
  /** Of the variable. */
  readonly index: number;
  /** It comes again and again, and has been moved to huge pages. */
  lasting: boolean;
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
  /** The dtypes of its variables, and that of the optimizer's own numbers. */
  readonly dtypes: readonly Dtype[];
  /** Whether all variables own their memory, so that a step may outlast the call. */
  readonly asyncSafe: boolean;
  readonly #layout: Layout;
  readonly #places: ReadonlyMap<unknown, number>;
  readonly #slots: ReadonlyMap<string, readonly Variable[]>;
  readonly #written: Places;
  readonly #all: readonly number[];
  /** Arrays that were found to fit as gradients. */
  fitting = new WeakMap<AnyArray, Fit>();

  constructor(trainables: unknown, layout: Layout) {
    const list = checkTrainables(layout.who, trainables);
    this.#layout = layout;
    this.#places = new Map(list.map((trainable, i) => [trainable, i]));
    this.variables = list.map((trainable, i) => variableOf(trainable, i));
    this.asyncSafe = this.variables.every((variable) => Variable.storageOf(variable).memory !== undefined);
    this.#all = this.variables.map((_, i) => i);
    checkStateDtype(layout, this.variables);
    const made: Variable[] = [];
    const own = (name: string, place: number) =>
      this.variables.map((v) => slotOf(layout, v, name, v.dtype as Dtype, place, made));
    const all = layout.blocks.flat();
    const block = (names: readonly string[]) =>
      this.variables.map((v) =>
        names.map((name) => {
          const dtype = v.dtype === 'float32' ? layout.state_dtype : (v.dtype as Dtype);
          const slot = slotOf(layout, v, name, dtype, places.slot(all.indexOf(name)), made);
          fill(slot, layout.initial[name] ?? 0, v);
          return slot;
        }),
      );
    try {
      this.averages = layout.averages ? own('average', places.average) : undefined;
      this.accumulators = layout.accumulators ? own('gradient_accumulator', places.accumulator) : undefined;
      const blocks = layout.blocks.map((names) => ({ names, rows: block(names) }));
      this.slots = blocks.flatMap(({ rows }) => rows.flat());
      this.#slots = new Map(
        blocks.flatMap(({ names, rows }) => names.map((name, i) => [name, rows.map((row) => row[i] as Variable)])),
      );
      this.dtypes = dtypes.filter((dtype) => dtype === this.dtype || this.variables.some((v) => v.dtype === dtype));
      this.#written = placesOf([...this.variables, ...made].map(writtenPart));
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
  indicesOf(trainables: readonly unknown[] | undefined): readonly number[] {
    if (trainables === undefined) return this.#all;
    checkList(this.#layout.who, trainables);
    const indices = trainables.map((trainable) => this.indexOf(trainable));
    if (new Set(indices).size === indices.length) return indices;
    throw rangeError('ERR_OPT_ALIAS', `${this.#layout.who} expects each variable once, got one twice`);
  }

  /** Throws if an asynchronous step uses a variable. */
  checkIdle(): void {
    Variable.checkIdle(this.variables);
  }

  /** Counts an asynchronous step that begins (1) or ends (-1). */
  use(by: 1 | -1): void {
    for (const variable of [...this.variables, ...this.owned]) Variable.use(variable, by);
  }

  /** Refuses a gradient that lies in memory which a step writes. */
  checkGradientApart(gradient: AnyArray, i: number): void {
    const places = this.#written.get(bufferOf(gradient));
    if (places === undefined) return;
    const { begin, end } = spanOf(gradient);
    if (places.some((place) => begin < place.end && place.begin < end))
      throw rangeError(
        'ERR_OPT_ALIAS',
        `gradients[${i}] overlaps a variable or its state in memory, which a step writes`,
      );
  }

  /** How Uint16Arrays among the gradients are read; null: not at all. */
  get gradient_dtype(): Half | null {
    return this.#layout.gradient_dtype;
  }

  /** Throws unless the memory of every variable, and that of its own gradient, is still there. */
  checkOwnGradients(): void {
    for (const variable of this.variables) {
      if (Variable.isWhole(variable)) continue;
      Variable.checkAttached(variable);
      checkMemory(`the gradient of "${variable.path}"`, variable.gradient, false);
    }
  }

  /**
   * The program of a step; `decays` says which variables the weight decay reaches, `own` whether their own gradients are read.
   */
  program(decays: (variable: Variable) => boolean, own: boolean): { program: Program; stages: Stages } {
    const { accumulators, averages } = this;
    const stages = {
      accumulate: this.#passes('accumulate', accumulators && ((_, i) => ({ to: accumulators[i], from: i, needs: i }))),
      update: this.#passes(this.#layout.rule, (v, i) => ({ to: v, from: accumulators?.[i] ?? i, needs: i }), decays),
      zero: this.#passes('zero', accumulators && ((_, i) => ({ to: accumulators[i], from: accumulators[i] }))),
      average: this.#passes('average', averages && ((v, i) => ({ to: averages[i], from: v }))),
      overwrite: this.#passes('copy', averages && ((v, i) => ({ to: v, from: averages[i] }))),
    };
    const passes = Object.values(stages).flat();
    return { program: new Program(passes, this.variables, own, this.gradient_dtype ?? 'float16'), stages };
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

/** A slot lies at its own place of a page, and as far from the beginning of a cache line as the variable does. */
function slotOf(
  layout: Layout,
  variable: Variable,
  name: string,
  dtype: Dtype | 'bfloat16',
  offset: number,
  made: Variable[],
): Variable {
  const { shape, path } = variable;
  const { length, array } = Variable.storageOf(variable);
  const beyond = array === undefined || dtype === 'bfloat16' ? 0 : addon.beyondLine(array);
  const storage = nativeStorage(dtype, length, offset + beyond);
  const slot = variableOver(storage, { shape, name: `${layout.name}/${path.replaceAll('/', '_')}_${name}` });
  made.push(slot);
  return slot;
}

function fill(slot: Variable, initial: number | 'variable', variable: Variable): void {
  if (initial === 0) return;
  const storage = Variable.storageOf(slot);
  storage.write(initial === 'variable' ? variable.value : new Float64Array(storage.length).fill(initial));
}

function variableOf(trainable: Trainable, i: number): Variable {
  if (isVariable(trainable)) return trainable;
  checkAttached(`variables[${i}]`, trainable); // a getter in the list may have taken it away
  addon.useHugePages(trainable);
  return variableOver(arrayStorage(trainable, dtypeOf(trainable) as Dtype));
}

function checkStateDtype({ who, state_dtype }: Layout, variables: readonly Variable[]): void {
  const other = variables.find(({ dtype }) => dtype !== 'float32');
  if (state_dtype === 'bfloat16' && other !== undefined)
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects float32 variables with state_dtype bfloat16, "${other.path}" is ${other.dtype}`,
    );
}

/** All of what a step writes of a variable. */
function writtenPart(variable: Variable): AnyArray | Uint8Array {
  const storage = Variable.storageOf(variable);
  return storage.memory === undefined ? (storage.value() as FloatArray) : new Uint8Array(storage.memory.buffer());
}
