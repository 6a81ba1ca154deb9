// The order of a step, as in keras/src/optimizers/base_optimizer.py: unscale, accumulate, clip, decay, update, average,
// overwrite, constrain, count. The numbers are computed here, once a step; the elements in one native call.
import { arithmetics, type Arithmetic } from './arithmetic.ts';
import {
  checkField,
  classNameOf,
  configOf,
  fromConfig,
  markConfigurable,
  readOptions,
  type Config,
  type ConfigurableClass,
  type CustomObjects,
  type Fields,
  type Options,
  type Values,
} from './configurable.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import { gradientArray, type Gradient } from './gradients.ts';
import { dtypes, type Dtype } from './native.ts';
import type { Control, Program } from './pass.ts';
import { isSchedule } from './schedules/schedule.ts';
import { State, type Stages, type Trainable } from './state.ts';
import { checkNumbers, scalarStorage, Variable, variableOver, type Numbers } from './variable.ts';
import {
  checkCommon,
  uniqueName,
  type CommonFields,
  type CommonValues,
  type LearningRate,
} from './optimizers/common.ts';

/** Hyper-parameters of a step: functions have been called. */
export type Hyper<F extends Fields> = { readonly [K in keyof Values<F>]: Exclude<Values<F>[K], () => number> };

/** What the scalars of a step follow from. */
export interface Moment {
  /** Number of the update, from 1. */
  readonly step: number;
  /** In the dtype's arithmetic. */
  readonly learning_rate: number;
  /** The running number after this step, if the class has one. */
  readonly running: number;
}

/** A number that a class carries from step to step, one for each dtype: Nadam's product. */
export interface Running<F extends Fields> {
  readonly initial: number;
  next(previous: number, hyper: Hyper<F>, step: number, arithmetic: Arithmetic): number;
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor defines the fields
export interface Optimizer<F extends Fields = Fields> extends CommonValues {}

/**
 * What all optimizers share. It is abstract: make a `Nadam`, an `AdamW`, ... Source: keras/src/optimizers/base_optimizer.py.
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- as above
export abstract class Optimizer<F extends Fields = Fields> {
  static readonly fields: Fields;
  readonly name: string;
  readonly #values: Values<F>;
  #rate: LearningRate;
  #counter = 0; // calls of apply
  #running: Record<Dtype, number> = { float32: NaN, float64: NaN };
  #excluded: (variable: Variable) => boolean = () => false;
  #state: State | undefined;
  #steps: { readonly program: Program; readonly stages: Stages } | undefined;
  #norm: number | null = null;
  #warned = false;
  #disposed = false;

  /**
   * @param options one object with Keras's names; a positional call is an error that shows the object form
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for an unknown option or one of the wrong kind
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` for a value out of range, or options that exclude each other
   */
  constructor(...args: [options?: Options<F>]) {
    const { fields } = new.target as unknown as { readonly fields: F };
    const who = classNameOf(new.target);
    const values = readOptions(who, fields, args);
    const shared = values as unknown as Values<CommonFields>;
    checkCommon(who, shared);
    this.#values = values;
    this.#rate = shared.learning_rate;
    this.name = shared.name ?? uniqueName(who);
    for (const [name, value] of Object.entries(values))
      if (!['name', 'learning_rate', 'decay'].includes(name))
        Object.defineProperty(this, name, { value, enumerable: true });
  }

  /** The native rule of this instance's options. */
  protected abstract get rule(): string;
  /** Names of the slots, block by block as Keras creates them; within a block those of one variable stand together. */
  protected abstract get blocks(): readonly (readonly string[])[];
  /** The scalars of a step, by the names of the rule's header, in Keras's order of operations. */
  protected abstract scalars(hyper: Hyper<F>, moment: Moment, arithmetic: Arithmetic): Readonly<Record<string, number>>;
  /** The number that the class carries from step to step, if any. */
  protected get running(): Running<F> | undefined {
    return undefined;
  }

  /** Number of updates: calls of `apply`, divided by `gradient_accumulation_steps` where that is set. */
  get iterations(): number {
    const n = this.gradient_accumulation_steps;
    return n ? Math.floor(this.#counter / n) : this.#counter;
  }

  /**
   * The learning rate of the next update. Set it to a number, a schedule or a function of the raw counter; where a
   * schedule or function is installed, a number cannot replace it (as in Keras).
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` when set to something else
   */
  get learning_rate(): number {
    const rate = typeof this.#rate === 'function' ? this.#rate(this.#counter) : this.#rate;
    if (typeof rate === 'number' && Number.isFinite(rate)) return rate;
    const raise = typeof rate === 'number' ? rangeError : typeError;
    throw raise(
      typeof rate === 'number' ? 'ERR_OPT_CONFIG_RANGE' : 'ERR_OPT_CONFIG_TYPE',
      `${this.#who} expects its learning rate at ${this.#counter} to be a finite number, got ${describe(rate)}`,
    );
  }
  set learning_rate(value: LearningRate) {
    const field = this.#fields.learning_rate as CommonFields['learning_rate'];
    const rate = checkField(this.#who, 'learning_rate', field, value);
    if (typeof rate === 'number' && typeof this.#rate === 'function')
      throw typeError(
        'ERR_OPT_CONFIG_TYPE',
        `${this.#who} expects a schedule or a function, got ${rate}: its learning rate is ${isSchedule(this.#rate) ? 'a schedule' : 'a function'}, which no number replaces`,
      );
    this.#rate = rate;
  }

  /** L2 norm of all gradients of the last step together, before clipping; null if that step computed no norm. */
  get gradient_norm(): number | null {
    return this.#norm;
  }

  /**
   * Keras's state variables in Keras's order, with its names and dtypes: iteration, learning_rate (unless a schedule is
   * installed), averages, accumulators, slots, and Nadam's product.
   */
  get variables(): Variable[] {
    const state = this.#state;
    const dtype = state?.dtype ?? 'float32';
    const scalar = (name: string, type: Dtype | 'int64', get: () => number, set: (x: number) => void) =>
      variableOver(scalarStorage(type, get, set), { shape: [], name: `${this.name}/${name}` });
    const list = [
      scalar(
        'iteration',
        'int64',
        () => this.#counter,
        (x) => (this.#counter = x),
      ),
    ];
    if (typeof this.#rate === 'number')
      list.push(
        scalar(
          'learning_rate',
          dtype,
          () => this.#rate as number,
          (x) => (this.learning_rate = x),
        ),
      );
    if (state === undefined) return list;
    list.push(...state.owned);
    if (this.running !== undefined)
      list.push(
        scalar(
          'variable',
          dtype,
          () => this.#running[dtype],
          (x) => this.#setRunning(x),
        ),
      );
    return list;
  }

  /**
   * Allocates the state for `variables`. `apply` does it by itself on its first call; a second call changes nothing.
   *
   * @param variables each once; plain arrays are trained in place
   * @throws TypeError `ERR_OPT_ARRAY_TYPE`; RangeError `ERR_OPT_ALIAS` for overlapping arrays, `ERR_OPT_OOM`;
   *   Error `ERR_OPT_DISPOSED`
   */
  build(variables: readonly Trainable[]): void {
    this.#checkOpen();
    if (this.#state !== undefined) return;
    const { name, rule, blocks } = this;
    const accumulators = Boolean(this.gradient_accumulation_steps);
    this.#state = new State(variables, { name, rule, blocks, averages: this.use_ema, accumulators });
    if (this.running !== undefined) this.#setRunning(this.running.initial);
  }

  /**
   * One step. Happens whole or, if it throws, not at all.
   *
   * @param gradients one for each variable, null where there is none; without it, every variable's `gradient`
   * @param variables the ones that the gradients belong to; default: those it was built with
   * @returns the raw counter: calls of `apply` so far
   * @throws Error `ERR_OPT_NOT_BUILT` without variables before `build`, `ERR_OPT_NO_GRADIENT` if all gradients are null,
   *   `ERR_OPT_UNKNOWN_VARIABLE`, `ERR_OPT_DISPOSED`
   * @throws TypeError `ERR_OPT_ARRAY_TYPE`, RangeError `ERR_OPT_LENGTH` or `ERR_OPT_ALIAS` for a gradient that does not fit
   */
  apply(gradients?: readonly Gradient[], variables?: readonly Trainable[]): number {
    this.#checkOpen();
    if (gradients?.length === 0 && !variables?.length) return this.#counter;
    const fresh = this.#state === undefined && variables !== undefined;
    if (fresh) this.build(variables);
    try {
      const skipped = this.#bind(gradients, variables);
      this.#step();
      if (skipped.length > 0) this.#warnOf(skipped);
    } catch (error) {
      if (fresh && this.#counter === 0) this.#unbuild();
      throw error;
    }
    return this.#counter;
  }

  /**
   * `apply` on pairs, as in Keras.
   *
   * @throws as `apply`; RangeError `ERR_OPT_LENGTH` for an empty list
   */
  apply_gradients(grads_and_vars: readonly (readonly [Gradient, Trainable])[]): number {
    const pairs = Array.isArray(grads_and_vars) ? (grads_and_vars as unknown[]) : [];
    if (pairs.length === 0 || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2))
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${this.#who}.apply_gradients expects a non-empty array of [gradient, variable], got ${describe(grads_and_vars)}`,
      );
    return this.apply(
      grads_and_vars.map(([gradient]) => gradient),
      grads_and_vars.map(([, variable]) => variable),
    );
  }

  /**
   * Keeps the weight decay away from some variables. Replaces what was excluded before.
   *
   * @param options `var_list`: these variables; `var_names`: those in whose path one of these regular expressions is found
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else or a string that is no regular expression
   */
  exclude_from_weight_decay(
    options: { readonly var_list?: readonly Trainable[] | null; readonly var_names?: readonly string[] | null } = {},
  ): void {
    const list = (value: unknown, name: string): readonly unknown[] => {
      if (value === undefined || value === null) return [];
      if (Array.isArray(value)) return [...(value as unknown[])];
      throw typeError(
        'ERR_OPT_CONFIG_TYPE',
        `${this.#who} expects ${name} to be an array or null, got ${describe(value)}`,
      );
    };
    const excluded = new Set(list(options.var_list, 'var_list').map((v) => (v instanceof Variable ? v : arrayKey(v))));
    const patterns = list(options.var_names, 'var_names').map((pattern) => regularExpression(this.#who, pattern));
    this.#excluded = (variable) =>
      excluded.has(variable) ||
      excluded.has(Variable.storageOf(variable).array) ||
      patterns.some((pattern) => pattern.test(variable.path));
    this.#steps = undefined;
  }

  /**
   * With `use_ema`, copies the averages into the variables; without, does nothing.
   *
   * @throws Error `ERR_OPT_NOT_BUILT`, `ERR_OPT_UNKNOWN_VARIABLE`
   */
  finalize_variable_values(variables: readonly Trainable[]): void {
    this.#checkOpen();
    if (!this.use_ema) return;
    const state = this.#built('finalize_variable_values');
    const indices = variables.map((variable) => state.indexOf(variable));
    for (const i of indices) (state.variables[i] as Variable).assign(state.averages?.[i] as Variable);
  }

  /**
   * Overwrites all of `variables`: first every value is checked, then all are written.
   *
   * @param weights one array (or number, for a scalar) for each, in their order
   * @throws Error `ERR_OPT_NOT_BUILT`; RangeError `ERR_OPT_LENGTH`; TypeError `ERR_OPT_ARRAY_TYPE`
   */
  set_weights(weights: readonly (Numbers | Variable | BigInt64Array | number)[]): void {
    this.#checkOpen();
    this.#built('set_weights');
    const { variables } = this;
    if (!Array.isArray(weights) || weights.length !== variables.length)
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${this.#who}.set_weights expects ${variables.length} arrays, one for each of its variables, got ${Array.isArray(weights) ? weights.length : describe(weights)}`,
      );
    const checked = variables.map((variable, i) => {
      const storage = Variable.storageOf(variable);
      const given = numbersOf(weights[i]);
      const data = checkNumbers(`weights[${i}] ("${variable.path}")`, given, storage.length);
      if (storage.dtype === 'int64' && !(Number.isSafeInteger(data[0]) && (data[0] as number) >= 0))
        throw rangeError(
          'ERR_OPT_CONFIG_RANGE',
          `weights[${i}] ("${variable.path}") expects a counter, got ${describe(data[0])}`,
        );
      return () => storage.write(data);
    });
    for (const write of checked) write();
  }

  /** `x` times `loss_scale_factor`, or `x`: what to differentiate instead of the loss `x`. */
  scale_loss(x: number): number {
    return this.loss_scale_factor === null ? x : x * this.loss_scale_factor;
  }

  /** The options that `from_config` makes an equal optimizer of, with the current learning rate, in Keras's order. */
  get_config(): Config {
    return configOf(this.#who, this.#fields, { ...this.#values, name: this.name, learning_rate: this.#rate });
  }

  /**
   * An optimizer of this class from its config. The config is neither kept nor changed.
   *
   * @throws TypeError, RangeError as the constructor
   */
  static from_config<C extends ConfigurableClass>(
    this: C,
    config: unknown,
    custom_objects?: CustomObjects,
  ): InstanceType<C> {
    return fromConfig(this, config, custom_objects);
  }

  /** Gives its state's memory back; any later step is an error. Doing it again does nothing. */
  dispose(): void {
    this.#unbuild();
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  get #who(): string {
    return classNameOf(this.constructor as ConfigurableClass & { readonly name: string });
  }
  get #fields(): Fields {
    return (this.constructor as typeof Optimizer).fields;
  }

  #checkOpen(): void {
    if (this.#disposed) throw stateError('ERR_OPT_DISPOSED', `${this.#who} "${this.name}" has been disposed of`);
  }

  #built(method: string): State {
    if (this.#state !== undefined) return this.#state;
    throw stateError(
      'ERR_OPT_NOT_BUILT',
      `${this.#who}.${method} expects build(variables) or a first apply(gradients, variables) before`,
    );
  }

  #unbuild(): void {
    for (const variable of this.#state?.owned ?? []) variable.dispose();
    this.#state = undefined;
    this.#steps = undefined;
  }

  #setRunning(value: number): void {
    for (const dtype of dtypes) this.#running[dtype] = arithmetics[dtype].round(value);
  }

  get #program(): { readonly program: Program; readonly stages: Stages } {
    const decays = (variable: Variable) => this.weight_decay !== null && !this.#excluded(variable);
    this.#steps ??= (this.#state as State).program(decays);
    return this.#steps;
  }

  /** Puts the gradients into the program's arrays. Returns the variables among those given that have none. */
  #bind(gradients: readonly Gradient[] | undefined, variables: readonly Trainable[] | undefined): Variable[] {
    const state = this.#built('apply');
    const indices = variables === undefined ? state.variables.map((_, i) => i) : variables.map((v) => state.indexOf(v));
    if (gradients !== undefined && (!Array.isArray(gradients) || gradients.length !== indices.length))
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${this.#who}.apply expects ${indices.length} gradients, one for each variable, got ${Array.isArray(gradients) ? gradients.length : describe(gradients)}`,
      );
    if (new Set(indices).size < indices.length)
      throw rangeError('ERR_OPT_ALIAS', `${this.#who}.apply expects each variable once`);
    const { arrays } = this.#program.program;
    arrays.fill(null, 0, state.variables.length);
    const skipped: Variable[] = [];
    indices.forEach((index, i) => {
      const variable = state.variables[index] as Variable;
      const array = gradientArray(gradients === undefined ? variable.gradient : gradients[i], i, variable);
      arrays[index] = array;
      if (array === null) skipped.push(variable);
    });
    if (skipped.length === indices.length)
      throw stateError(
        'ERR_OPT_NO_GRADIENT',
        `${this.#who}.apply expects a gradient for at least one variable, got none`,
      );
    return skipped;
  }

  /** Computes the numbers, runs the program, and only then lets the step count. */
  #step(): void {
    const { program, stages } = this.#program;
    const n = this.gradient_accumulation_steps || 0;
    const last = n === 0 || (this.#counter + 1) % n === 0;
    const running = { ...this.#running };
    this.#setAccumulation(stages, n, last);
    if (last) this.#setUpdate(stages, n, running);
    else [...stages.update, ...stages.zero].forEach((pass) => pass.rest());
    this.#setAverages(stages);
    const norm = program.run();
    this.#norm = norm;
    this.#running = running;
    this.#finish(program);
  }

  #setAccumulation({ accumulate, zero }: Stages, n: number, last: boolean): void {
    const unscale = this.loss_scale_factor ?? 1;
    for (const pass of accumulate) pass.set({ unscale }, { count: last ? arithmetics[pass.dtype].round(n) : 1 });
    if (last) for (const pass of zero) pass.set({});
  }

  #setUpdate({ update }: Stages, n: number, running: Record<Dtype, number>): void {
    const step = this.iterations + 1;
    const rate = this.learning_rate;
    const hyper = this.#hyper();
    const control: Control = {
      unscale: n ? 1 : (this.loss_scale_factor ?? 1),
      clipnorm: this.clipnorm ?? 0,
      global_clipnorm: this.global_clipnorm ?? 0,
      limit: this.clipvalue !== null && this.clipvalue > 0 ? this.clipvalue : Infinity,
      weight_decay: this.weight_decay ?? 0,
      learning_rate: rate,
    };
    for (const dtype of dtypes)
      if (this.running) running[dtype] = this.running.next(running[dtype], hyper, step, arithmetics[dtype]);
    for (const pass of update) {
      const arithmetic = arithmetics[pass.dtype];
      const moment = { step, learning_rate: arithmetic.round(rate), running: running[pass.dtype] };
      pass.set(control, this.scalars(hyper, moment, arithmetic));
    }
  }

  /** Keras averages at every call, and overwrites by the number of updates before it. */
  #setAverages({ average, overwrite }: Stages): void {
    const { iterations } = this;
    const overwrites = this.ema_overwrite_frequency && (iterations + 1) % this.ema_overwrite_frequency === 0;
    for (const pass of average) {
      const { round, sub } = arithmetics[pass.dtype];
      const momentum = iterations === 0 ? 0 : round(this.ema_momentum);
      pass.set({}, { momentum, one_minus_momentum: sub(1, momentum) });
    }
    for (const pass of overwrite) overwrites ? pass.set({}) : pass.rest();
  }

  /** Every value with functions called, and what they return checked like a number that was given. */
  #hyper(): Hyper<F> {
    const values = Object.entries(this.#values).map(([name, value]) => {
      if (name === 'learning_rate' || typeof value !== 'function') return [name, value];
      return [
        name,
        checkField(this.#who, name, { ...this.#fields[name], is: isNumber } as never, (value as () => unknown)()),
      ];
    });
    return Object.fromEntries(values) as Hyper<F>;
  }

  /** The step has happened: it counts even if a constraint throws. */
  #finish(program: Program): void {
    const variables = this.#state?.variables ?? [];
    try {
      variables.forEach((variable, i) => {
        const result = program.arrays[i] === null ? undefined : variable.constraint?.(variable.value);
        if (result !== undefined) variable.assign(result);
      });
    } finally {
      program.arrays.fill(null, 0, variables.length);
      this.#counter++;
    }
  }

  #warnOf(skipped: readonly Variable[]): void {
    if (this.#warned) return;
    this.#warned = true;
    const paths = skipped.map(({ path }) => `"${path}"`).join(', ');
    process.emitWarning(`${this.#who}: gradients do not exist for variables ${paths}; they stay as they are`);
  }
}
markConfigurable(Optimizer.prototype);

const isNumber = (x: unknown): boolean => typeof x === 'number';
const arrayKey = (value: unknown): unknown => value;

function numbersOf(weight: unknown): unknown {
  if (typeof weight === 'number') return [weight];
  const value: unknown = weight instanceof Variable ? weight.value : weight;
  return value instanceof BigInt64Array ? [...value].map(Number) : value;
}

function regularExpression(who: string, pattern: unknown): RegExp {
  try {
    if (typeof pattern === 'string') return new RegExp(pattern);
  } catch {
    // not a regular expression: the error below says so
  }
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects var_names to be regular expressions, got ${describe(pattern)}`,
  );
}
