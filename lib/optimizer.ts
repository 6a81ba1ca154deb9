// Over 200 lines: the whole public face of an optimizer, most of it doc comments. The order of a step is in step.ts, what an
// optimizer keeps in state.ts.
import { inspect, type InspectOptions } from 'node:util';

import { arithmeticsWith, type Arithmetic } from './arithmetic.ts';
import {
  checkField,
  classNameOf,
  markConfigurable,
  readOptions,
  type Config,
  type ConfigurableClass,
  type Fields,
  type Options,
  type Values,
} from './configurable.ts';
import { configOf, fromConfig, type CustomObjects } from './serialization.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import { gatherGradients, type Gradient } from './gradients.ts';
import type { Dtype } from './native.ts';
import {
  checkCommon,
  rateAt,
  replacedRate,
  uniqueName,
  type CommonFields,
  type CommonValues,
  type LearningRate,
} from './optimizers/common.ts';
import type { Program } from './pass.ts';
import { rememberedPower } from './powers.ts';
import { StepQueue } from './queue.ts';
import { nothingStaged, Staging, type Staged } from './staging.ts';
import { State, type Initial, type Stages, type Trainable } from './state.ts';
import {
  configureStages,
  runningNumbers,
  setAccumulation,
  setAverages,
  updatesAt,
  updatesAfter,
  type Hyper,
  type Moment,
  type Running,
  type RunningNumbers,
} from './step.ts';
import { scalarStorage } from './storage.ts';
import { swapValues } from './swap.ts';
import { Variable, variableOver } from './variable.ts';
import { exclusion, setWeights, type Exclusion, type Weight } from './weights.ts';

interface Steps {
  readonly program: Program;
  readonly stages: Stages;
}

// eslint-disable-next-line @typescript-eslint/no-unused-vars -- merged with the class, which has the parameter
export interface Optimizer<F extends Fields = Fields> extends CommonValues {}

/**
 * What all optimizers share. It is abstract: make a `Nadam`, an `AdamW`, ...
 * Source: keras/src/optimizers/base_optimizer.py.
 */
export abstract class Optimizer<F extends Fields = Fields> {
  /** The descriptors of the options: name, default, check. */
  static readonly fields: Fields;
  /** Its own or Keras's automatic name, the first part of the paths of its variables. */
  readonly name: string;
  readonly #who: string; // its class, for errors
  readonly #values: Values<F>;
  readonly #callables: readonly string[]; // options that are functions of no arguments
  #rate: LearningRate;
  #counter = 0; // calls of apply
  #running: RunningNumbers = { float32: NaN, float64: NaN };
  #excluded: (variable: Variable) => boolean = () => false;
  #state: State | undefined;
  // Derived from the state and the exclusion: the steps on the variables' own gradients, and on those that are brought.
  #own: Steps | undefined;
  #brought: Steps | undefined;
  readonly #arithmetics = arithmeticsWith(rememberedPower());
  readonly #queue = new StepQueue();
  readonly #staging = new Staging();
  #norm: number | null = null;
  #warned = false;
  #disposed = false;
  #working = false; // a function of the caller's may be running

  /**
   * @param args one object with Keras's names; a positional call is an error that shows the object form
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for an unknown option or one of the wrong kind
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` for a value out of range, or options that exclude each other
   */
  constructor(...args: [options?: Options<F>]) {
    const who = (this.#who = classNameOf(new.target));
    if (!('fields' in new.target))
      throw typeError('ERR_OPT_CONFIG_TYPE', `${who} is abstract: make a Nadam, an AdamW, ...`);
    this.#values = readOptions(who, (new.target as unknown as { readonly fields: F }).fields, args);
    this.#callables = Object.entries(this.#values)
      .filter(([name, value]) => typeof value === 'function' && name !== 'learning_rate')
      .map(([name]) => name);
    const shared = this.#values as unknown as Values<CommonFields>;
    checkCommon(who, shared);
    this.#rate = shared.learning_rate;
    this.name = shared.name ?? uniqueName(who);
    for (const [name, value] of Object.entries(this.#values))
      if (!['name', 'learning_rate', 'decay'].includes(name))
        Object.defineProperty(this, name, { value, enumerable: true });
  }

  /** The native rule of this instance's options. */
  protected abstract get rule(): string;
  /** Names of the slots, block by block as Keras creates them; within a block those of one variable stand together. */
  protected abstract get blocks(): readonly (readonly string[])[];
  /** What slots hold before the first step, where that is not 0. */
  protected get initial(): Initial {
    return {};
  }
  /** The scalars of a step, by the names of the rule's header, in Keras's order of operations. */
  protected abstract scalars(hyper: Hyper<F>, moment: Moment, arithmetic: Arithmetic): Readonly<Record<string, number>>;
  /** The number that the class carries from step to step, if any. */
  protected get running(): Running<F> | undefined {
    return undefined;
  }

  /** Number of updates: calls of `apply`, divided by `gradient_accumulation_steps` where that is set. */
  get iterations(): number {
    return updatesAfter(this.#counter, this);
  }

  /**
   * The learning rate of the next update. Set it to a number, a schedule or a function of the raw counter; where a
   * schedule or a function is installed, a number does not replace it (as in Keras).
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` when set to something else, or when a
   *   schedule or function gives no finite number
   */
  get learning_rate(): number {
    return rateAt(this.#who, this.#rate, this.#counter);
  }
  set learning_rate(value: LearningRate) {
    this.#rate = replacedRate(this.#who, this.#rate, value);
  }

  /** L2 norm of all gradients of the last step together, before clipping; null if that step computed no norm. */
  get gradient_norm(): number | null {
    return this.#norm;
  }

  /**
   * Keras's state variables in Keras's order, with its names and dtypes: iteration, learning_rate (unless a schedule or
   * a function is installed), averages, accumulators, slots, and Nadam's product. The numbers are float64 inside.
   */
  get variables(): Variable[] {
    const dtype = this.#state?.dtype ?? 'float32';
    const scalar = (name: string, type: Dtype | 'int64', get: () => number, set: (x: number) => void) =>
      variableOver(
        scalarStorage(type, get, (x) => (this.#checkIdle('assign'), set(x))),
        {
          shape: [],
          name: `${this.name}/${name}`,
        },
      );
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
          () => this.learning_rate,
          (x) => (this.learning_rate = x),
        ),
      );
    if (this.#state === undefined) return list;
    list.push(...this.#state.owned);
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
    const { name, rule, blocks, initial, use_ema: averages, state_dtype, gradient_dtype } = this;
    const accumulators = Boolean(this.gradient_accumulation_steps);
    const layout = { who: this.#who, name, rule, blocks, initial, averages, accumulators, state_dtype, gradient_dtype };
    this.#state = new State(variables, layout);
    if (this.running !== undefined) this.#setRunning(this.running.initial);
  }

  /**
   * One step. Happens whole or, if it throws, not at all; only what a `constraint` throws comes after it.
   *
   * @param gradients one for each variable, null where there is none; without it, every variable's `gradient`
   * @param variables the ones that the gradients belong to; default: those it was built with
   * @returns the raw counter: calls of `apply` so far
   * @throws Error `ERR_OPT_NOT_BUILT` without variables before `build`, `ERR_OPT_NO_GRADIENT` if all gradients are null,
   *   `ERR_OPT_UNKNOWN_VARIABLE`, `ERR_OPT_DISPOSED`, `ERR_OPT_BUSY` while an asynchronous step runs
   * @throws TypeError `ERR_OPT_ARRAY_TYPE`, RangeError `ERR_OPT_LENGTH` or `ERR_OPT_ALIAS` for a gradient that does not fit
   */
  apply(gradients?: readonly Gradient[], variables?: readonly Trainable[]): number {
    this.#checkIdle('apply');
    if (isEmpty(gradients)) return this.#counter;
    const fresh = this.#state === undefined;
    if (fresh && variables !== undefined) this.build(variables);
    const state = this.#built('apply');
    this.#working = true; // functions of the caller's may be called
    try {
      return this.#step(state, gradients, variables);
    } catch (error) {
      if (fresh && this.#counter === 0) this.#unbuild();
      throw error;
    } finally {
      this.#working = false;
    }
  }

  #step(state: State, gradients: unknown, variables: readonly Trainable[] | undefined): number {
    const own = gradients === undefined && variables === undefined && state.asyncSafe;
    const steps = this.#steps(state, own);
    const { program } = steps;
    const gather = () => gatherGradients(this.#who, state, program.arrays, gradients, variables);
    if (own) state.checkOwnGradients();
    const skipped = own ? [] : gather();
    const running = this.#setStages(state, steps.stages);
    state.checkIdle(); // functions of the caller's have run
    if (own) state.checkOwnGradients();
    try {
      this.#norm = program.run();
    } catch (error) {
      state.fitting = new WeakMap();
      try {
        if (!own) gather(); // says better what is wrong with which gradient
      } finally {
        program.arrays.fill(null, 0, own ? 0 : state.variables.length);
      }
      throw error;
    }
    this.#running = running;
    if (skipped.length > 0) this.#warnOf(skipped);
    return this.#finish(state, program, own);
  }

  /**
   * The same step off the event loop, on threads of this package. The gradients are those at the call: arrays of yours are
   * copied before it returns; a variable's `gradient`, other variables and arrays of `allocate` are read in place. The
   * learning rate and other functions are asked when the step starts. One step may wait behind the running one. docs/async.md
   * says what may be touched meanwhile.
   *
   * @param gradients as in `apply`
   * @param variables as in `apply`, but no plain arrays
   * @returns the raw counter, when the step has ended
   * @throws (rejects) as `apply`; Error `ERR_OPT_BUSY` if a step waits already or another optimizer's step uses a variable;
   *   TypeError `ERR_OPT_NOT_ASYNC_SAFE` for plain arrays as variables
   */
  async apply_async(gradients?: readonly Gradient[], variables?: readonly Trainable[]): Promise<number> {
    this.#checkOpen();
    this.#checkAlone('apply_async');
    if (isEmpty(gradients)) return this.#counter;
    this.#queue.checkPlace(this.#who);
    const fresh = this.#state === undefined;
    if (fresh && variables !== undefined) this.build(variables);
    const state = this.#built('apply_async');
    try {
      const staged = this.#alone(() => this.#stage(state, gradients, variables));
      return await this.#queue.add(() => this.#runAsync(state, staged));
    } catch (error) {
      if (fresh && this.#counter === 0 && !this.#queue.busy) this.#unbuild();
      throw error;
    }
  }

  #stage(
    state: State,
    gradients: readonly Gradient[] | undefined,
    variables: readonly Trainable[] | undefined,
  ): Staged {
    if (gradients !== undefined || variables !== undefined || !state.asyncSafe)
      return this.#staging.take(this.#who, state, gradients, variables);
    state.checkOwnGradients();
    return nothingStaged;
  }

  /** Resolves when no asynchronous step runs or waits. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /**
   * `apply` on pairs, as in Keras.
   *
   * @throws as `apply`; RangeError `ERR_OPT_LENGTH` for an empty list
   */
  apply_gradients(grads_and_vars: readonly (readonly [Gradient, Trainable])[]): number {
    const pairs: readonly unknown[] | undefined = Array.isArray(grads_and_vars) ? grads_and_vars : undefined;
    if (pairs === undefined || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2))
      throw typeError(
        'ERR_OPT_ARRAY_TYPE',
        `${this.#who}.apply_gradients expects an array of [gradient, variable], got ${describe(grads_and_vars)}`,
      );
    if (pairs.length === 0)
      throw rangeError('ERR_OPT_LENGTH', `${this.#who}.apply_gradients expects a non-empty array, got none`);
    const [gradients, variables] = [0, 1].map((part) => pairs.map((pair) => (pair as readonly unknown[])[part]));
    return this.apply(gradients as Gradient[], variables as Trainable[]);
  }

  /**
   * Keeps the weight decay away from some variables. Replaces what was excluded before.
   *
   * @param options `var_list`: these variables; `var_names`: those in whose path one of these regular expressions is found
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else or a string that is no regular expression
   */
  exclude_from_weight_decay(options: Exclusion = {}): void {
    this.#checkOpen();
    this.#checkAlone('exclude_from_weight_decay');
    this.#excluded = exclusion(this.#who, options);
    this.#own = this.#brought = undefined; // a running step goes on with its own
  }

  /**
   * With `use_ema`, copies the averages into the variables; without, does nothing.
   *
   * @param variables default: those it was built with
   * @throws Error `ERR_OPT_NOT_BUILT`, `ERR_OPT_UNKNOWN_VARIABLE`, `ERR_OPT_DISPOSED`
   */
  finalize_variable_values(variables?: readonly Trainable[]): void {
    this.#checkIdle('finalize_variable_values');
    if (!this.use_ema) return;
    const state = this.#built('finalize_variable_values');
    const indices = state.indicesOf(variables);
    for (const i of indices) Variable.checkAttached(state.variables[i] as Variable);
    for (const i of indices) state.variables[i]?.assign(state.averages?.[i] as Variable);
  }

  /**
   * With `use_ema`, exchanges the values of every variable with its average, to the last bit. Called before an evaluation and
   * again after it, it lets the averages be evaluated and the training go on; `keras-optimizers/callbacks` has
   * `SwapEMAWeights` for that. Before the first step the averages are zeros.
   *
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` without `use_ema`; TypeError `ERR_OPT_DETACHED` where a variable's memory is gone;
   *   Error `ERR_OPT_NOT_BUILT`, `ERR_OPT_DISPOSED`, `ERR_OPT_BUSY` while an asynchronous step runs
   */
  swap_ema_weights(): void {
    const method = 'swap_ema_weights';
    this.#checkIdle(method);
    if (!this.use_ema)
      throw rangeError('ERR_OPT_CONFIG_RANGE', `${this.#who}.${method} expects use_ema to be true, got false`);
    const { variables, averages = [] } = this.#built(method);
    swapValues(variables, averages);
  }

  /**
   * Overwrites all of `variables`: first every value is checked, then all are written.
   *
   * @param weights one array (or number, for a scalar) for each, in their order
   * @throws Error `ERR_OPT_NOT_BUILT`, `ERR_OPT_DISPOSED`; RangeError `ERR_OPT_LENGTH`, `ERR_OPT_CONFIG_RANGE` for a bad
   *   counter; TypeError `ERR_OPT_ARRAY_TYPE`
   */
  set_weights(weights: readonly Weight[]): void {
    this.#checkIdle('set_weights');
    this.#built('set_weights');
    setWeights(this.#who, this.variables, weights);
  }

  /** `x` times `loss_scale_factor`, or `x`: what to differentiate instead of the loss `x`. */
  scale_loss(x: number): number {
    return x * (this.loss_scale_factor ?? 1);
  }

  /** The options that `from_config` makes an equal optimizer of, with the current learning rate, in Keras's order. */
  get_config(): Config {
    const { fields } = this.constructor as typeof Optimizer;
    return configOf(this.#who, fields, { ...this.#values, name: this.name, learning_rate: this.#rate });
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

  /**
   * Gives its state's memory back; any later step is an error. Doing it again does nothing.
   *
   * @throws Error `ERR_OPT_BUSY` while an asynchronous step runs or waits
   */
  dispose(): void {
    this.#checkAlone('dispose');
    this.#queue.checkIdle(this.#who, 'dispose');
    this.#unbuild();
    this.#disposed = true;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  [inspect.custom](depth: number, options: InspectOptions): string {
    if (depth < 0) return `[${this.#who}]`;
    const { iterations, name, ...own } = this;
    return `${this.#who} ${inspect({ name, iterations, learning_rate: this.#rate, ...(own as object) }, options)}`;
  }

  #checkOpen(): void {
    if (this.#disposed) throw stateError('ERR_OPT_DISPOSED', `${this.#who} "${this.name}" has been disposed of`);
  }

  /** Throws while a step runs, here or in another optimizer with the same variables, or a function of the caller's in one. */
  #checkIdle(method: string): void {
    this.#checkOpen();
    this.#checkAlone(method);
    this.#queue.checkIdle(this.#who, method);
    this.#state?.checkIdle();
  }

  #checkAlone(method: string): void {
    if (this.#working)
      throw stateError(
        'ERR_OPT_BUSY',
        `${this.#who}.${method} expects not to be called by a function in the middle of a step`,
      );
  }

  /** Runs a part of a step that calls functions of the caller's. */
  #alone<R>(part: () => R): R {
    this.#working = true;
    try {
      return part();
    } finally {
      this.#working = false;
    }
  }

  #built(method: string): State {
    if (this.#state !== undefined) return this.#state;
    throw stateError(
      'ERR_OPT_NOT_BUILT',
      `${this.#who}.${method} expects build(variables) or a first apply(gradients, variables) before it`,
    );
  }

  #unbuild(): void {
    const steps = [this.#own, this.#brought];
    this.#own = this.#brought = undefined;
    for (const made of steps) made?.program.release();
    for (const variable of this.#state?.owned ?? []) variable.dispose();
    this.#state = undefined;
    this.#staging.release();
  }

  #setRunning(value: number): void {
    this.#running = runningNumbers(this.#state?.dtypes ?? [], this.#arithmetics, ({ round }) => round(value));
  }

  /** The program of a step and its passes by stage. */
  #steps(state: State, own: boolean): Steps {
    const made = own ? this.#own : this.#brought;
    if (made !== undefined) return made;
    const steps = state.program((variable) => this.weight_decay !== null && !this.#excluded(variable), own);
    configureStages(steps.stages, this);
    if (own) this.#own = steps;
    else this.#brought = steps;
    return steps;
  }

  /** Computes the numbers of the next step. Returns what carries over to the one after it. */
  #setStages(state: State, stages: Stages): RunningNumbers {
    const updates = updatesAt(this.#counter, this);
    setAccumulation(stages, this, updates);
    const running = updates ? this.#setUpdate(state, stages) : this.#running;
    if (!updates) for (const pass of stages.update) pass.rest();
    setAverages(stages, this, this.iterations);
    return running;
  }

  #setUpdate(state: State, { update }: Stages): RunningNumbers {
    const { learning_rate: rate, running: carried } = this;
    const hyper = this.#hyper();
    const step = this.iterations + 1;
    let running = this.#running;
    if (carried)
      running = runningNumbers(state.dtypes, this.#arithmetics, (arithmetic, dtype) =>
        carried.next(this.#running[dtype], hyper, step, arithmetic),
      );
    for (const pass of update) {
      const arithmetic = this.#arithmetics[pass.dtype];
      const moment = { step, learning_rate: arithmetic.round(rate), running: running[pass.dtype] };
      pass.set(this.scalars(hyper, moment, arithmetic), rate, step);
    }
    return running;
  }

  /** Starts a step whose turn it is. Everything is checked before the native call; only then are the variables taken. */
  async #runAsync(state: State, staged: Staged): Promise<number> {
    const own = staged === nothingStaged;
    const { arrays, held, skipped } = staged;
    const { program, stages } = this.#steps(state, own);
    const running = this.#alone(() => this.#setStages(state, stages));
    state.checkIdle(); // functions of the caller's have run
    if (own) state.checkOwnGradients();
    arrays.forEach((array, i) => (program.arrays[i] = array));
    const step = program.runAsync(held);
    state.use(1);
    try {
      this.#norm = await step;
    } finally {
      state.use(-1);
    }
    this.#running = running;
    if (skipped.length > 0) this.#warnOf(skipped);
    return this.#alone(() => this.#finish(state, program, own));
  }

  /** Every value with functions called, and what they return checked like a number that is given. */
  #hyper(): Hyper<F> {
    const values: Record<string, unknown> = this.#values;
    if (this.#callables.length === 0) return values as Hyper<F>;
    const { fields } = this.constructor as typeof Optimizer;
    const called = this.#callables.map((name) => {
      const field = { ...fields[name], is: isNumber } as Fields[string];
      return [name, checkField<unknown>(this.#who, name, field, (values[name] as () => unknown)())];
    });
    return { ...values, ...Object.fromEntries(called) } as Hyper<F>;
  }

  /** The step has happened: it counts even if a constraint throws. */
  #finish(state: State, { arrays }: Program, own: boolean): number {
    this.#counter++;
    try {
      const { variables } = state;
      for (let i = 0; i < variables.length; i++) {
        const variable = variables[i] as Variable;
        if (variable.constraint !== null && (own || arrays[i] !== null)) constrain(variable);
      }
    } finally {
      if (!own) arrays.fill(null, 0, state.variables.length); // keeps no array of the caller's alive
    }
    return this.#counter;
  }

  #warnOf(skipped: readonly Variable[]): void {
    if (this.#warned) return;
    this.#warned = true;
    const paths = skipped.map(({ path }) => `"${path}"`).join(', ');
    process.emitWarning(`${this.#who}: gradients do not exist for variables ${paths}; they stay as they are`);
  }
}
markConfigurable(Optimizer.prototype);

function constrain(variable: Variable): void {
  const result = variable.constraint?.(variable.value);
  if (result !== undefined) variable.assign(result);
}

const isNumber = (x: unknown): boolean => typeof x === 'number';
const isEmpty = (list: readonly unknown[] | undefined): boolean => Array.isArray(list) && list.length === 0;
