// One rule over one list of variables: slots, scalars by name, gradients bound. And the program of a step: its passes,
// run in one native call.
import { arrays, type AnyArray } from './arrays.ts';
import { isSpace } from './devices.ts';
import { stateError } from './errors.ts';
import {
  addon,
  dtypes,
  newPlan,
  ruleNamed,
  type Dtype,
  type Half,
  type Memory,
  type PassSpec,
  type Plan,
  type Source,
  type TensorSpec,
} from './native.ts';
import type { Norm } from './runner.ts';
import { Variable } from './variable.ts';

/** Where the gradient of a variable is: an array of the host's, or memory of the variable's site. */
export type Brought = AnyArray | Memory;

/** What one tensor of a pass needs; `gradient` is the index of a gradient, or the variable that is read in its place. */
export interface Bound {
  readonly index: number;
  readonly variable: Variable;
  readonly gradient: number | Variable;
  readonly slots?: readonly Variable[];
  readonly decay?: boolean;
  /** Skipped in a step in which the gradient of this index is null. */
  readonly needs?: number | null;
  /** Elements of a row, where the gradient is that of some rows. */
  readonly columns?: number | undefined;
  /** Of a directed rule: where its direction goes, and what it keeps beside the slots. */
  readonly direction?: Variable;
  readonly extra?: readonly Variable[];
}

/** The fields of a pass's control, by the addon's names; a missing one is neutral. */
export type Control = { readonly [name in keyof typeof neutral]?: number };
const neutral = {
  active: 0,
  unscale: 1,
  clipnorm: 0,
  global_clipnorm: 0,
  limit: Infinity,
  weight_decay: 0,
  learning_rate: 0,
  stochastic: 0,
  seed: 0,
  iteration: 0,
};
const controls = addon.controls as readonly (keyof typeof neutral)[];
const [kActive, kUnscale, kRate, kIteration] = (['active', 'unscale', 'learning_rate', 'iteration'] as const).map(
  (name) => controls.indexOf(name),
) as [number, number, number, number];

/** A rule over variables of one dtype. */
export class Pass {
  readonly dtype: Dtype;
  readonly rule: string;
  /** The rule that the class has for these variables, also where this one only prepares for it. */
  readonly of: string;
  readonly bounds: readonly Bound[];
  readonly #scalars: readonly string[];
  #control: Float64Array = new Float64Array(0);

  constructor(rule: string, dtype: Dtype, bounds: readonly Bound[], of = rule) {
    this.rule = rule;
    this.of = of;
    this.dtype = dtype;
    this.bounds = bounds;
    this.#scalars = ruleNamed(rule).info.scalars;
  }

  /** Native code's view of it; `source` finds the place of a variable or a gradient. */
  spec(
    source: (place: number | Variable) => Source,
    rowsOf: (index: number) => number,
    half: Half,
    firstSums?: readonly number[],
  ): PassSpec {
    const tensors = this.bounds.map(
      ({ index, variable, gradient, slots = [], decay = false, needs = null, columns, ...directed }): TensorSpec => {
        const places = [variable, gradient, ...slots];
        const storages = places.map((place) =>
          typeof place !== 'number' && place.dtype === 'bfloat16' ? 'bfloat16' : 'plain',
        );
        const { length, part } = Variable.storageOf(variable);
        const sources = places.map(source);
        const given = typeof gradient === 'number';
        const rows = columns === undefined ? {} : { rows: rowsOf(index), columns };
        const further = { ...rows, ...furtherOf(variable, directed), ...partOf(part?.first ?? 0, firstSums?.[index]) };
        return { variable: index, length, decay, given, needs, sources, storages, ...further };
      },
    );
    return { rule: ruleNamed(this.rule).id, dtype: dtypes.indexOf(this.dtype), tensors, half };
  }

  /** The part of the program's control that is its own; it rests. */
  attach(control: Float64Array): void {
    this.#control = control;
    this.configure({});
  }

  /** Sets what is the same in every run. */
  configure(control: Control): void {
    controls.forEach((name, i) => (this.#control[i] = control[name] ?? neutral[name]));
  }

  /** Sets what it does in the next run. Every scalar that the rule's header names must be there. */
  set(scalars: Readonly<Record<string, number>>, learning_rate = 0, iteration = 0): void {
    const [control, names] = [this.#control, this.#scalars];
    control[kActive] = 1;
    control[kRate] = learning_rate;
    control[kIteration] = iteration;
    for (let i = 0; i < names.length; i++) {
      const value = scalars[names[i] as string];
      if (value === undefined)
        throw stateError('ERR_OPT_NOT_IMPLEMENTED', `rule ${this.rule} expects the scalar ${names[i]}`);
      control[controls.length + i] = value;
    }
  }

  /** Sets what the gradients are divided by from now on. */
  unscale(by: number): void {
    this.#control[kUnscale] = by;
  }

  /** Leaves it out of the next run. */
  rest(): void {
    this.#control[kActive] = 0;
  }
}

/** Of a part of a variable whose first block has its sum at `firstSum`. */
const partOf = (first: number, firstSum: number | undefined) =>
  firstSum === undefined ? {} : { first, firstSum: firstSum + first / addon.block };

function furtherOf({ shape }: Variable, { direction, extra = [] }: Pick<Bound, 'direction' | 'extra'>) {
  const memory = direction && Variable.storageOf(direction).memory;
  if (memory === undefined) return {};
  const [rows = 1, columns = 1] = shape.length > 1 ? shape.slice(-2) : [1, shape[0]];
  const batch = shape.slice(0, -2).reduce((product, n) => product * n, 1);
  const memories = extra.flatMap((variable) => Variable.storageOf(variable).memory ?? []);
  return { direction: memory, shape: [batch, rows, columns], extra: memories };
}

/** The passes of a step. */
export class Program {
  /** The gradients of the next run, by variable; then the arrays of the caller's that are variables. */
  readonly arrays: (Brought | null)[];
  readonly #late: number; // arrays that are gradients
  readonly #sparse: readonly number[]; // variables whose gradients are those of some rows,
  readonly #rows: (Uint32Array | null)[]; // which come after the arrays
  readonly #memory: Memory;
  readonly #plan: Plan;

  /**
   * @param own whether the gradients are the variables' own, so that none are brought
   * @param half how Uint16Arrays among the gradients are read
   * @param firstSums of variables of which parts are stepped, the place of the first sum of a run in two halves
   */
  constructor(
    passes: readonly Pass[],
    variables: readonly Variable[],
    own: boolean,
    half: Half,
    firstSums?: readonly number[],
  ) {
    const late = own ? [] : variables;
    const plain = variables
      .map((variable) => Variable.storageOf(variable).array)
      .filter((array) => array !== undefined);
    this.#late = late.length;
    this.arrays = [...late.map(() => null), ...plain];
    const bounds = passes.flatMap((pass) => pass.bounds);
    this.#sparse = bounds.filter(({ columns }) => columns !== undefined).map(({ index }) => index);
    this.#rows = this.#sparse.map(() => null);
    const rowsOf = (index: number) => this.arrays.length + this.#sparse.indexOf(index);
    const { controlSize } = addon;
    this.#memory = new addon.Memory(passes.length * controlSize * arrays.float64.BYTES_PER_ELEMENT);
    const control = new Float64Array(this.#memory.buffer());
    passes.forEach((pass, i) => pass.attach(control.subarray(i * controlSize, (i + 1) * controlSize)));
    const source = (place: number | Variable): Source => {
      if (typeof place === 'number') return own ? Variable.gradientOf(variables[place] as Variable).memory : place;
      const { memory, array } = Variable.storageOf(place);
      return memory ?? late.length + plain.findIndex((one) => one === array);
    };
    const specs = passes.map((pass) => pass.spec(source, rowsOf, half, firstSums));
    const specified = own ? specs.map(withoutNeeds) : specs;
    const site = variables[0] && Variable.storageOf(variables[0]).site;
    const made = isSpace(site) ? site.newPlan.bind(site) : newPlan;
    this.#plan = made(specified, variables.length, this.#memory);
  }

  /** One native call. Returns the L2 norm of the clipped gradients, null if no norm was asked for. */
  run(): Norm {
    return this.#norm(this.#plan.run(this.#all()));
  }

  /** The same off the event loop, on arrays that lie in `held`; with `squares` what follows `sumsAsync`. */
  runAsync(held: readonly Memory[], squares?: Memory): Promise<Norm> {
    return new Promise((resolve, reject) => {
      const done = (norm: number, error?: Error) => (error === undefined ? resolve(this.#norm(norm)) : reject(error));
      this.#plan.runAsync(this.#all(), held, done, squares);
    });
  }

  /** The first half of a run on parts of variables: up to where gradients are clipped by norm. */
  sumsAsync(held: readonly Memory[], sums: Memory): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#plan.sumsAsync(this.#all(), held, (_, error) => (error === undefined ? resolve() : reject(error)), sums);
    });
  }

  #norm(norm: number): Norm {
    return norm <= kLater ? () => this.#plan.norm(kLater - norm) : normOf(norm);
  }

  /** Throws where `run` would, and does nothing. */
  bind(): void {
    this.#plan.bind(this.#all());
  }

  /** Whether every gradient, as it was given, is finite. */
  finite(): boolean {
    return this.#plan.finite(this.#all());
  }

  /** The same off the event loop, on arrays that lie in `held`. */
  finiteAsync(held: readonly Memory[]): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#plan.finiteAsync(this.#all(), held, (finite, error) =>
        error === undefined ? resolve(finite === 1) : reject(error),
      );
    });
  }

  /** Whether the gradient of a variable is that of some rows. */
  takesRows(index: number): boolean {
    return this.#sparse.includes(index);
  }

  /** Brings the gradient of some rows. */
  bring(index: number, rows: Uint32Array, values: AnyArray): void {
    this.#rows[this.#sparse.indexOf(index)] = rows;
    this.arrays[index] = values;
  }

  /** Takes the gradients of another program over the same variables. */
  takeFrom(other: Program): void {
    for (let i = 0; i < this.#late; i++) this.arrays[i] = other.arrays[i] ?? null;
  }

  #all(): readonly (Brought | Uint32Array | null)[] {
    return this.#rows.length === 0 ? this.arrays : [...this.arrays, ...this.#rows];
  }

  /** Keeps no gradient of the caller's alive. */
  clear(): void {
    this.arrays.fill(null, 0, this.#late);
    this.#rows.fill(null);
  }

  /** Lets go of all memory; it cannot run any more. */
  release(): void {
    this.#plan.release();
    this.#memory.release();
  }
}

const withoutNeeds = (spec: PassSpec): PassSpec => ({
  ...spec,
  tensors: spec.tensors.map((tensor) => ({ ...tensor, needs: null })),
});

const kLater = -2; // and below: a norm that a GPU has not computed yet
const normOf = (norm: number): number | null => (norm < 0 ? null : norm);
