// Over 200 lines: the whole public face of an optimizer, most of it doc comments. How steps are run is in engine.ts, their order
// in step.ts, what an optimizer keeps in state.ts.
import type { Arithmetic } from './arithmetic.ts';
import { load, type LoadOptions } from './checkpoint/load.ts';
import { save, type FilePath, type SaveOptions } from './checkpoint/save.ts';
import { loadOwnVariables, saveOwnVariables, type OwnVariables } from './checkpoint/store.ts';
import {
  checkField,
  classNameOf,
  finite,
  flag,
  markConfigurable,
  notImplemented,
  readOptions,
  type Config,
  type ConfigurableClass,
  type Fields,
  type Options,
  type Values,
} from './configurable.ts';
import { nameOf, type DeviceName } from './devices.ts';
import type { Communicator } from './distributed/communicator.ts';
import type { DistributeOptions } from './distributed/distribute.ts';
import { isSharing, later, shares } from './distribution.ts';
import { Engine, type Driver } from './engine.ts';
import { describe, rangeError, typeError } from './errors.ts';
import type { Gradient } from './gradients.ts';
import {
  checkCommon,
  checkFields,
  decayedRate,
  rateAt,
  replacedRate,
  uniqueName,
  type CommonFields,
  type CommonValues,
  type LearningRate,
} from './optimizers/common.ts';
import {
  addedFromReference,
  addedVariable,
  checkNames,
  checkReference,
  type Initializer,
  type ListSettings,
  type ReferenceSettings,
  type VariableSettings,
} from './own_variables.ts';
import {
  checkKeys,
  checkPairs,
  checkUnique,
  entriesOf,
  taped,
  type GradientAndVariable,
  type Named,
  type Tape,
  unzipped,
} from './pairs.ts';
import { inspect, type InspectOptions } from './platform.ts';
import type { Averaged, Runner } from './runner.ts';
import { configOf, fromConfig, type CustomObjects } from './serialization.ts';
import type { Initial, Layout, Slot, Trainable } from './state.ts';
import { updatesAfter, type Hyper, type Moment, type Running } from './step.ts';
import { swapValues } from './swap.ts';
import { checkList } from './trainables.ts';
import { Variable, type Numbers } from './variable.ts';
import { addTo, copyOf, exclusion, setWeights, type Exclusion, type Weight, type WeightArray } from './weights.ts';

/** Names the method that makes what runs an optimizer's steps. */
export const runs = Symbol('runs');

// eslint-disable-next-line @typescript-eslint/no-unused-vars -- merged with the class, which has the parameter
export interface Optimizer<F extends Fields = Fields> extends CommonValues {}

/**
 * What all optimizers share. It is abstract: make a `Nadam`, an `AdamW`, ..., or extend it: list the options in a static `fields` and
 * write `update_step`; clipping, decay, averages, accumulation, config and asynchronous steps work around that.
 * Source: keras/src/optimizers/base_optimizer.py.
 *
 * @example
 * class SignSGD extends Optimizer {
 *   static fields = { ...fields.common(0.01), scale: fields.positive(1) };
 *   update_step(gradient, variable, learning_rate) {
 *     const { value } = variable;
 *     for (let i = 0; i < value.length; i++) value[i] -= learning_rate * this.scale * Math.sign(gradient[i]);
 *   }
 * }
 */
export abstract class Optimizer<F extends Fields = Fields> {
  /** The descriptors of the options: name, default, check. */
  declare static readonly fields: Fields;
  /** Its own or Keras's automatic name, the first part of the paths of its variables. */
  readonly name: string;
  readonly #who: string; // its class, for errors
  #values: Values<F>;
  readonly #callables: readonly string[]; // options that are functions of no arguments
  readonly #engine: Runner;
  #rate: LearningRate;
  #keys: readonly string[] | undefined; // of `update`

  /**
   * @param args one object with Keras's names; a positional call is an error that shows the object form
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for an unknown option or one of the wrong kind
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` for a value out of range, or options that exclude each other
   * @throws Error `ERR_OPT_NOT_IMPLEMENTED` for a class without `update_step`
   */
  constructor(...args: [options?: Options<F>]) {
    const who = (this.#who = classNameOf(new.target));
    const { fields } = new.target as unknown as { readonly fields?: F };
    if (fields === undefined)
      throw typeError(
        'ERR_OPT_CONFIG_TYPE',
        `${who} is abstract: make a Nadam, an AdamW, ...; or in a class of yours list its options, static fields = { ...fields.common(0.01) }`,
      );
    checkFields(who, fields, Optimizer.prototype);
    this.#values = readOptions(who, fields, args);
    this.#callables = Object.entries(this.#values)
      .filter(([name, value]) => typeof value === 'function' && name !== 'learning_rate')
      .map(([name]) => name);
    const shared = this.#values as unknown as Values<CommonFields>;
    checkCommon(who, shared);
    this.#rate = decayedRate(who, shared);
    this.name = shared.name ?? uniqueName(who);
    for (const [name, value] of Object.entries(this.#values))
      if (!['name', 'learning_rate'].includes(name) && !fields[name]?.transient)
        Object.defineProperty(this, name, { value, enumerable: true, configurable: name === 'loss_scale_factor' });
    this.#engine = this[runs](this.#driver());
  }

  /**
   * What runs its steps; a wrapper has something else. Asked by the constructor, when the options are there.
   *
   * @internal
   */
  protected [runs](driver: Driver<F>): Runner {
    if (!this.#custom && this.rule === undefined) throw notImplemented(this.#who, 'update_step, as a method');
    return new Engine(driver);
  }

  /**
   * Whether a value is an optimizer of this package.
   *
   * @internal
   */
  static is(value: unknown): value is Optimizer {
    return typeof value === 'object' && value !== null && #engine in value;
  }

  /**
   * What runs the steps of an optimizer.
   *
   * @internal
   */
  static runnerOf(optimizer: Optimizer): Runner {
    return optimizer.#engine;
  }

  /**
   * What an optimizer keeps for its variables.
   *
   * @internal
   */
  static layoutOf(optimizer: Optimizer): Layout {
    return optimizer.#layout();
  }

  /**
   * Gives an optimizer another `loss_scale_factor`: its wrapper says what the gradients are divided by.
   *
   * @internal
   */
  static setLossScale(optimizer: Optimizer, loss_scale_factor: number | null): void {
    optimizer.#engine.rescale(loss_scale_factor);
    optimizer.#values = { ...optimizer.#values, loss_scale_factor };
    const property = { value: loss_scale_factor, enumerable: true, configurable: true };
    Object.defineProperty(optimizer, 'loss_scale_factor', property);
  }

  /** Whether it steps in TypeScript: also by a property that an heir's constructor sets. */
  get #custom(): boolean {
    return this.update_step !== Optimizer.prototype.update_step;
  }

  #driver(): Driver<F> {
    return {
      who: this.#who,
      name: this.name,
      settings: this,
      layout: () => this.#layout(),
      build: (variables) => this.build(variables),
      remember: () => {
        const rate = this.#rate;
        return () => void (this.#rate = rate);
      },
      rate: () => this.learning_rate,
      hyper: () => this.#hyper(),
      running: () => this.running,
      decayOf: (rule) => this.decayOf(rule),
      scalars: (hyper, moment, arithmetic) => this.scalars(hyper, moment, arithmetic),
      updateStep: (gradient, variable, rate): unknown => this.update_step(gradient, variable, rate),
    };
  }

  #layout(): Layout {
    const { name, blocks, initial, use_ema: averages, state_dtype, gradient_dtype } = this;
    const accumulators = Boolean(this.gradient_accumulation_steps);
    const ruleOf = (variable: Variable) => this.ruleOf(variable);
    const slotOf = (slot: string, variable: Variable) => this.slotOf(slot, variable);
    const own = { who: this.#who, custom: this.#custom, names: this.#keys, ruleOf, slotOf };
    return { ...own, name, blocks, initial, averages, accumulators, state_dtype, gradient_dtype };
  }

  /** The native rule of this instance's options; undefined in a class that steps in TypeScript alone. */
  protected get rule(): string | undefined {
    return undefined;
  }
  /** The native rule of a variable, in a class that has several. */
  protected ruleOf(_variable: Variable): string | undefined {
    return this.rule;
  }
  /** The weight decay of the variables with a native rule; null for none. */
  protected decayOf(_rule: string): number | null {
    return this.weight_decay;
  }
  /** What a slot is for a variable: of which shape; undefined if the variable has no such slot. */
  protected slotOf(_slot: string, { shape }: Variable): Slot | undefined {
    return { shape };
  }
  /** Names of the slots, block by block as Keras creates them; within a block those of one variable stand together. */
  protected get blocks(): readonly (readonly string[])[] {
    return [];
  }
  /** What slots hold before the first step, where that is not 0. */
  protected get initial(): Initial {
    return {};
  }
  /** The scalars of a step, by the names of the rule's header, in Keras's order of operations. */
  protected scalars(_hyper: Hyper<F>, _moment: Moment, _arithmetic: Arithmetic): Readonly<Record<string, number>> {
    throw notImplemented(this.#who, 'scalars');
  }
  /** The number that the class carries from step to step, if any. */
  protected get running(): Running<F> | undefined {
    return undefined;
  }

  /** Number of updates: calls of `apply`, divided by `gradient_accumulation_steps` where that is set. */
  get iterations(): number {
    return updatesAfter(this.#engine.counter, this);
  }

  /** Whether `build`, or a first `apply`, has allocated the state. */
  get built(): boolean {
    return this.#engine.state !== undefined;
  }

  /**
   * The learning rate of the next update. Set it to a number, a schedule or a function of the raw counter; where a
   * schedule or a function is installed, a number does not replace it (as in Keras).
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` when set to something else, or when a
   *   schedule or function gives no finite number
   */
  get learning_rate(): number {
    return rateAt(this.#who, this.#rate, this.#engine.counter);
  }
  /** Replaces a number by anything, a schedule or a function by another one. */
  set learning_rate(value: LearningRate) {
    this.#rate = replacedRate(this.#who, this.#rate, value);
  }

  /**
   * Refused: its name is `learning_rate`.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`
   */
  get lr(): never {
    throw typeError('ERR_OPT_CONFIG_TYPE', `${this.#who} expects learning_rate to be read, got lr`);
  }
  /** @throws TypeError `ERR_OPT_CONFIG_TYPE`: its name is `learning_rate` */
  set lr(_: never) {
    throw typeError('ERR_OPT_CONFIG_TYPE', `${this.#who} expects learning_rate to be set, got lr`);
  }

  /**
   * L2 norm of all gradients of the last step together, before clipping; null if that step computed no norm. Reading it waits for a
   * GPU that computes it.
   */
  get gradient_norm(): number | null {
    return this.#engine.readNorm();
  }

  /** Where its variables and its state lie: `cpu`, `cuda:0`; undefined before it is built. */
  get device(): DeviceName | undefined {
    const { state } = this.#engine;
    return state && nameOf(state.site);
  }

  /**
   * Keras's state variables in Keras's order, with its names and dtypes: iteration, learning_rate (unless a schedule or
   * a function is installed), averages, accumulators, slots, and Nadam's product; what is added with `add_variable` stands where it
   * was added. The numbers are float64 inside.
   */
  get variables(): Variable[] {
    const engine = this.#engine;
    const count = engine.scalar(
      'iteration',
      'int64',
      () => engine.counter,
      (x) => (engine.counter = x),
    );
    const dtype = engine.state?.dtype ?? 'float32';
    const rate = () =>
      engine.scalar(
        'learning_rate',
        dtype,
        () => this.learning_rate,
        (x) => (this.learning_rate = x),
      );
    return [count, ...(typeof this.#rate === 'number' ? [rate()] : []), ...engine.tracked];
  }

  /**
   * Allocates the state for `variables`. `apply` does it by itself on its first call; a second call changes nothing. A class that
   * keeps variables of its own replaces it: `if (this.built) return; super.build(variables);`, and then `add_optimizer_variables`.
   *
   * @param variables each once; plain arrays are trained in place
   * @throws TypeError `ERR_OPT_ARRAY_TYPE`; RangeError `ERR_OPT_ALIAS` for overlapping arrays, `ERR_OPT_OOM`;
   *   Error `ERR_OPT_DISPOSED`
   */
  build(variables: readonly Trainable[]): void {
    this.#engine.build(variables);
  }

  /**
   * One step. Happens whole or, if it throws, not at all; only what a `constraint` throws comes after it. An optimizer that shares its
   * steps with other processes expects `apply_async`, which waits for them (ERR_OPT_DISTRIBUTED).
   *
   * @param gradients one for each variable, null where there is none; without it, every variable's `gradient`
   * @param variables the ones that the gradients belong to; default: those it was built with
   * @returns the raw counter: calls of `apply` so far
   * @throws Error `ERR_OPT_NOT_BUILT` without variables before `build`, `ERR_OPT_NO_GRADIENT` if all gradients are null,
   *   `ERR_OPT_UNKNOWN_VARIABLE`, `ERR_OPT_DISPOSED`, `ERR_OPT_BUSY` while an asynchronous step runs
   * @throws TypeError `ERR_OPT_ARRAY_TYPE`, RangeError `ERR_OPT_LENGTH` or `ERR_OPT_ALIAS` for a gradient that does not fit
   */
  apply(gradients?: readonly Gradient[], variables?: readonly Trainable[]): number {
    this.#engine.checkAtOnce('apply');
    return this.#engine.apply(gradients, variables);
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
    return this.#engine.applyAsync(() => ({ gradients, variables }));
  }

  /** Resolves when no asynchronous step runs or waits. */
  idle(): Promise<void> {
    return this.#engine.queue.idle();
  }

  /**
   * `apply` on pairs, as in Keras.
   *
   * @param options `skip_gradients_aggregation`: the gradients have been summed over replicas already
   * @throws as `apply`; RangeError `ERR_OPT_LENGTH` for an empty list
   */
  apply_gradients(
    grads_and_vars: readonly GradientAndVariable[],
    options: { readonly skip_gradients_aggregation?: boolean } = {},
  ): number {
    const who = `${this.#who}.apply_gradients`;
    const { skip_gradients_aggregation: summed } = readOptions(who, pairFields, [options]);
    const pairs = checkPairs(who, grads_and_vars);
    const { distribution } = this.#engine;
    if (!summed) this.#engine.checkAtOnce('apply_gradients');
    const own = !summed && this.#aggregates;
    const { gradients, variables } = unzipped(own ? checkPairs(who, this.aggregate_gradients(pairs)) : pairs);
    const apply = () => this.apply(gradients, variables);
    return distribution?.summed(apply) ?? apply();
  }

  /**
   * `apply_async` on pairs, as in Keras: on the sums of the gradients over all processes, once `distribute` has been awaited.
   *
   * @param options `skip_gradients_aggregation`: the gradients are the sums already, the same in all processes
   * @throws (rejects) as `apply_async`; RangeError `ERR_OPT_LENGTH` for an empty list
   */
  async apply_gradients_async(
    grads_and_vars: readonly GradientAndVariable[],
    options: { readonly skip_gradients_aggregation?: boolean } = {},
  ): Promise<number> {
    const who = `${this.#who}.apply_gradients_async`;
    const engine = this.#engine;
    const { skip_gradients_aggregation: summed } = readOptions(who, pairFields, [options]);
    const pairs = later(() => checkPairs(who, grads_and_vars));
    const own = !summed && this.#aggregates; // what comes is a sum, then
    const sums = own ? this.aggregate_gradients(pairs()) : [];
    const all = sums instanceof Promise ? await sums : sums;
    const found = later(() => unzipped(own ? checkPairs(who, all) : pairs()));
    const apply = () => engine.applyAsync(found);
    return ((own || summed) && engine.distribution?.summed(apply)) || apply();
  }

  /** Whether a class of the user's aggregates gradients in a way of its own. */
  get #aggregates(): boolean {
    return this.aggregate_gradients !== Optimizer.prototype.aggregate_gradients;
  }

  /**
   * The sum of every gradient over all replicas. In one process there is one, and the pairs come back as they are; after `distribute` a
   * promise of new arrays, for `apply_gradients` with `skip_gradients_aggregation`: `await` is right for both. A class that overrides it
   * has to return sums, the same on all ranks.
   *
   * @throws TypeError `ERR_OPT_ARRAY_TYPE`, RangeError `ERR_OPT_LENGTH` for anything but pairs; it rejects with what communicators
   *   reject with, and Error `ERR_OPT_DISTRIBUTED` with `micro_batches`
   */
  aggregate_gradients(
    grads_and_vars: readonly GradientAndVariable[],
  ): readonly GradientAndVariable[] | Promise<readonly GradientAndVariable[]> {
    const { distribution, queue } = this.#engine;
    const pairs = later(() => checkPairs(`${this.#who}.aggregate_gradients`, grads_and_vars));
    return distribution === undefined ? pairs() : queue.add(() => distribution.aggregate(() => unzipped(pairs())));
  }

  /**
   * Shares its steps with other processes, all of which call this with communicators of one group: `apply_async` then steps on the sum
   * of their gradients (or the mean), the same bits everywhere. Variables and state become those of rank 0 if it is built; else the
   * first step finds out whether the variables are the same. Variables may lie on a GPU, but for `shard_state`: their gradients are
   * summed there by a communicator over NCCL with that GPU, and on the host by all others. docs/scale.md.
   *
   * @param communicator of `keras-optimizers/distributed`
   * @param options `reduction`: "sum" (default, Keras's) or "mean"; `shard_state` (default false): each process keeps and steps a part of
   *   the state, about 1 / size of it; `micro_batches`: backward passes of all processes together in a step, a multiple of their number:
   *   `apply_async` is called for each of them, and the last call steps; for all divisors the bits are those of one process;
   *   `bucket_bytes` (default 4 MiB, or 256 KiB for each process if that is more): what is summed at once
   * @throws (rejects) TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE`; CommunicatorError `ERR_COMM_MISMATCH` on all
   *   ranks where class, options or variables differ; TypeError `ERR_OPT_DEVICE`; Error `ERR_OPT_DISTRIBUTED`, `ERR_OPT_BUSY`, `ERR_OPT_DISPOSED`
   * @example await optimizer.distribute(await connect(), { shard_state: true });
   */
  async distribute(communicator: Communicator, options: DistributeOptions = {}): Promise<void> {
    const given: unknown = communicator;
    if (isSharing(given)) return given[shares](this.#who, this, options);
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${this.#who}.distribute expects a Communicator of keras-optimizers/distributed, got ${describe(communicator)}`,
    );
  }

  /**
   * The gradients of a loss, by a tape of yours, with their variables.
   *
   * @param loss what the tape differentiates: whatever it understands
   * @param var_list the variables
   * @param tape an object with `gradient(loss, variables)`, which returns one gradient for each variable: this package has no
   *   automatic differentiation of its own
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` without a tape, `ERR_OPT_ARRAY_TYPE`, RangeError `ERR_OPT_LENGTH` for what it returns
   */
  compute_gradients<L>(loss: L, var_list: readonly Trainable[], tape: Tape<L>): readonly GradientAndVariable[] {
    return taped(`${this.#who}.compute_gradients`, loss, var_list, tape);
  }

  /**
   * `compute_gradients`, then `apply_gradients`.
   *
   * @returns the raw counter
   * @throws as these two
   */
  minimize<L>(loss: L, var_list: readonly Trainable[], tape: Tape<L>): number {
    return this.apply_gradients(this.compute_gradients(loss, var_list, tape));
  }

  /**
   * One step on parameters by name. The first call builds; from then on the same names and the same arrays are expected.
   *
   * @param params a Map or an object of variables or arrays, which are trained in place
   * @param grads their gradients by the same names, null where there is none
   * @returns the raw counter
   * @throws as `apply`; Error `ERR_OPT_NO_GRADIENT` for a name that is missing, `ERR_OPT_UNKNOWN_VARIABLE` for one too many;
   *   RangeError `ERR_OPT_ALIAS` if it was built with variables of the same name
   * @example optimizer.update(params, grads); // both Map<string, Float32Array>
   */
  update(params: Named<Trainable>, grads: Named<Gradient>): number {
    const who = `${this.#who}.update`;
    this.#engine.checkIdle('update');
    const [named, gradients] = [entriesOf(who, 'params', params), entriesOf(who, 'grads', grads)];
    const paths = () => this.#engine.state?.variables.map(({ path }) => path) ?? [...named.keys()];
    const keys = this.#keys ?? checkUnique(who, paths());
    checkKeys(who, 'params', named, keys);
    checkKeys(who, 'grads', gradients, keys);
    const list = (values: ReadonlyMap<string, unknown>) => keys.map((key) => values.get(key));
    this.#keys = keys;
    try {
      return this.apply(list(gradients) as Gradient[], list(named) as Trainable[]);
    } finally {
      if (!this.built) this.#keys = undefined;
    }
  }

  /**
   * The update of one variable, without clipping, decay and all else that surrounds it, with the numbers of the next step; nothing
   * is counted, so that Nadam's product and the bias corrections stay where they are. This is what a class of yours replaces; it
   * may call `super.update_step` if it extends a class that has one. Then it is called in every step for each variable that has a
   * gradient, writes into `variable.value` and variables of its own, and returns nothing. If it throws, the whole step is undone.
   *
   * @param gradient of the variable's length; in a step it has been unscaled, accumulated and clipped
   * @param variable one that the optimizer was built with
   * @param learning_rate default: that of the next step
   * @throws as `apply`
   */
  update_step(gradient: Gradient, variable: Trainable, learning_rate?: number): void {
    const rate =
      learning_rate === undefined
        ? undefined
        : checkField(`${this.#who}.update_step`, 'learning_rate', finite(0), learning_rate);
    this.#engine.checkWhole('update_step');
    this.#engine.updateOne(gradient, variable, rate);
  }

  /**
   * What a step would make of given values; the optimizer and its variables stay as they are.
   *
   * @param optimizer_variables values for all of `variables`, in their order
   * @param grads as in `apply`
   * @param trainable_variables values for the variables that the optimizer was built with
   * @returns new values of the trainable variables, and of the optimizer's
   * @throws as `set_weights` and `apply`
   */
  stateless_apply(
    optimizer_variables: readonly Weight[],
    grads: readonly Gradient[],
    trainable_variables: readonly Weight[],
  ): [trainable_variables: WeightArray[], optimizer_variables: WeightArray[]] {
    const who = `${this.#who}.stateless_apply`;
    this.#engine.checkIdle('stateless_apply');
    const { variables, site } = this.#engine.built('stateless_apply');
    if (site !== undefined)
      throw typeError(
        'ERR_OPT_DEVICE',
        `${who} expects variables on the cpu, they are on ${nameOf(site)}: call it on an optimizer that is built with variables there`,
      );
    return this.#engine.keeping(() => {
      setWeights(who, this.variables, optimizer_variables);
      setWeights(who, variables, trainable_variables);
      this.apply(grads);
      return [variables.map(copyOf), this.variables.map(copyOf)];
    });
  }

  /**
   * Adds a variable to the state: it is saved, restored and disposed of with the optimizer.
   *
   * @param options `shape` (default `[]`, a scalar), `dtype` (float32), `initializer` ("zeros", "ones" or a function of shape and
   *   dtype that gives the values), `name`
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE`, `ERR_OPT_LENGTH` for values that do not fill the shape
   */
  add_variable(options: VariableSettings = {}): Variable {
    this.#engine.checkOpen();
    return this.#engine.track(addedVariable(`${this.#who}.add_variable`, this.name, options));
  }

  /**
   * Adds a variable like another one: of its shape and dtype, named after it.
   *
   * @param reference_variable a variable, or an array that the optimizer was built with
   * @param options `name` (default "var"), `shape` (that of the reference), `initializer` or `initial_value`
   * @throws as `add_variable`; TypeError `ERR_OPT_ARRAY_TYPE` for another reference
   */
  add_variable_from_reference(reference_variable: Trainable, options: ReferenceSettings = {}): Variable {
    const who = `${this.#who}.add_variable_from_reference`;
    const reference = this.#variableOf('add_variable_from_reference', reference_variable);
    return this.#engine.track(addedFromReference(who, this.name, reference, options));
  }

  /**
   * Adds a variable like each of `trainable_variables`; for several names several lists, in which those of one variable were
   * created together, as Keras does.
   *
   * @param name what stands behind the names of the variables, or an array of that
   * @param options `initializer`: one, or one for each name
   * @throws as `add_variable_from_reference`
   */
  add_optimizer_variables(
    trainable_variables: readonly Trainable[],
    name: string,
    options?: { readonly initializer?: Initializer | undefined },
  ): Variable[];
  add_optimizer_variables(
    trainable_variables: readonly Trainable[],
    name: readonly string[],
    options?: ListSettings,
  ): Variable[][];
  add_optimizer_variables(
    trainable_variables: readonly Trainable[],
    name: string | readonly string[],
    options: ListSettings = {},
  ): Variable[] | Variable[][] {
    const who = `${this.#who}.add_optimizer_variables`;
    checkList(who, trainable_variables);
    const names = checkNames(who, name, options);
    const rows = this.#engine.tracking(() =>
      trainable_variables.map((variable) =>
        names.map(([one, initializer]) => this.add_variable_from_reference(variable, { name: one, initializer })),
      ),
    );
    const lists = names.map((_, i) => rows.map((row) => row[i] as Variable));
    return typeof name === 'string' ? (lists[0] as Variable[]) : lists;
  }

  /**
   * Overwrites a variable, of the model's or of the optimizer's.
   *
   * @param value as many numbers as it has elements
   * @throws as `Variable.assign`; Error `ERR_OPT_UNKNOWN_VARIABLE` for an array that the optimizer was not built with
   */
  assign(variable: Trainable, value: Numbers | Variable): void {
    this.#variableOf('assign', variable).assign(value);
  }

  /** Adds numbers to a variable, element by element; otherwise as `assign`. */
  assign_add(variable: Trainable, value: Numbers | Variable): void {
    addTo(this.#variableOf('assign_add', variable), value, 1);
  }

  /** Subtracts numbers from a variable, element by element; otherwise as `assign`. */
  assign_sub(variable: Trainable, value: Numbers | Variable): void {
    addTo(this.#variableOf('assign_sub', variable), value, -1);
  }

  #variableOf(method: string, variable: unknown): Variable {
    this.#engine.checkOpen();
    return this.#engine.state?.find(variable) ?? checkReference(`${this.#who}.${method}`, variable);
  }

  /**
   * Keras's name for it: the place of a variable among those that the optimizer was built with, for a class that keeps lists.
   *
   * @throws Error `ERR_OPT_NOT_BUILT`, `ERR_OPT_UNKNOWN_VARIABLE`
   */
  protected _get_variable_index(variable: Trainable): number {
    return this.#engine.built('_get_variable_index').indexOf(variable);
  }

  /**
   * Keeps the weight decay away from some variables. Replaces what was excluded before.
   *
   * @param options `var_list`: these variables; `var_names`: those in whose path one of these regular expressions is found
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else or a string that is no regular expression
   */
  exclude_from_weight_decay(options: Exclusion = {}): void {
    this.#engine.checkOpen();
    this.#engine.checkAlone('exclude_from_weight_decay');
    this.#engine.exclude(exclusion(this.#who, options));
  }

  /**
   * With `use_ema`, copies the averages into the variables; without, does nothing.
   *
   * @param variables default: those it was built with
   * @throws Error `ERR_OPT_NOT_BUILT`, `ERR_OPT_UNKNOWN_VARIABLE`, `ERR_OPT_DISPOSED`; `ERR_OPT_DISTRIBUTED` where processes share the
   *   state: call `finalize_variable_values_async`
   */
  finalize_variable_values(variables?: readonly Trainable[]): void {
    const method = 'finalize_variable_values';
    this.#engine.checkWhole(method);
    this.#engine.checkIdle(method);
    for (const [variable, average] of this.#averaged(method, variables)) variable.assign(average);
  }

  /**
   * `finalize_variable_values` behind the steps before. Where processes share the state (`shard_state` of `distribute`), all of them call
   * it.
   *
   * @param variables default: those it was built with
   * @throws (rejects) as `finalize_variable_values`, and with what communicators reject with
   */
  async finalize_variable_values_async(variables?: readonly Trainable[]): Promise<void> {
    const method = 'finalize_variable_values_async';
    const engine = this.#engine;
    const { distribution, queue } = engine;
    const averaged = () => {
      engine.checkOpen();
      engine.state?.checkIdle();
      return this.#averaged(method, variables);
    };
    if (distribution?.shards !== undefined) return queue.add(() => distribution.finalize(averaged));
    await queue.idle();
    return this.finalize_variable_values(variables);
  }

  /** Variables and their averages, which all have their memory. */
  #averaged(method: string, variables: readonly Trainable[] | undefined): readonly Averaged[] {
    const pairs = this.#engine.averages(method, variables) ?? [];
    for (const variable of pairs.flat()) Variable.checkAttached(variable);
    return pairs;
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
    this.#engine.checkWhole(method);
    this.#engine.checkIdle(method);
    const pairs = this.#engine.averages(method);
    if (pairs === undefined)
      throw rangeError('ERR_OPT_CONFIG_RANGE', `${this.#who}.${method} expects use_ema to be true, got false`);
    swapValues(
      pairs.map(([variable]) => variable),
      pairs.map(([, average]) => average),
    );
  }

  /**
   * Overwrites all of `variables`: first every value is checked, then all are written.
   *
   * @param weights one array (or number, for a scalar) for each, in their order
   * @throws Error `ERR_OPT_NOT_BUILT`, `ERR_OPT_DISPOSED`; RangeError `ERR_OPT_LENGTH`, `ERR_OPT_CONFIG_RANGE` for a bad
   *   counter; TypeError `ERR_OPT_ARRAY_TYPE`
   */
  set_weights(weights: readonly Weight[]): void {
    this.#engine.checkWhole('set_weights');
    this.#engine.checkIdle('set_weights');
    this.#engine.built('set_weights');
    setWeights(`${this.#who}.set_weights`, this.variables, weights);
  }

  /**
   * Copies the values of all `variables` into a store, under "0", "1", ... Of a GPU it waits.
   *
   * @param store an object or a Map
   * @throws Error `ERR_OPT_DISPOSED`, `ERR_OPT_BUSY`, `ERR_OPT_NOT_BUILT` if it was loaded and its state waits for `build`;
   *   TypeError `ERR_OPT_CONFIG_TYPE` for another store
   */
  save_own_variables(store: OwnVariables<WeightArray>): void {
    this.#engine.checkWhole('save_own_variables');
    this.#engine.checkIdle('save_own_variables');
    this.#engine.checkPutIn('save_own_variables');
    saveOwnVariables(`${this.#who}.save_own_variables`, this, store);
  }

  /**
   * Overwrites all `variables` with the values of a store. As in Keras, a store of another number of values is only warned of, and
   * nothing is loaded: `load` is the way that makes sure.
   *
   * @param store what `save_own_variables` has filled
   * @throws as `set_weights`, but for the number of values; TypeError `ERR_OPT_CONFIG_TYPE` for another store; Error
   *   `ERR_OPT_NOT_BUILT` only if it was loaded and its state waits for `build`
   */
  load_own_variables(store: OwnVariables): void {
    this.#engine.checkWhole('load_own_variables');
    this.#engine.checkIdle('load_own_variables');
    this.#engine.checkPutIn('load_own_variables');
    loadOwnVariables(`${this.#who}.load_own_variables`, this, store);
  }

  /**
   * Saves class, config and all numbers in a file, a `.safetensors` that Python reads as well. The file that was there before stays
   * as it is until the new one is complete and on the disk. It waits for a step that runs; until it has ended `apply` is refused with
   * `ERR_OPT_BUSY`, and one `apply_async` may wait. The event loop goes on. docs/checkpoints.md has the format.
   *
   * @param path a path, or a `file:` URL; symbolic links are followed
   * @param options `variables`: whether the values of the variables that it was built with are saved too; default false
   * @throws (rejects) CheckpointError `ERR_CKPT_IO`, with the old file intact and nothing left beside it; Error `ERR_OPT_BUSY` if a
   *   step waits already or a function in a step calls it, `ERR_OPT_DISPOSED`, `ERR_OPT_NOT_BUILT` for `variables` before build;
   *   TypeError `ERR_OPT_CONFIG_TYPE` for a config with an anonymous function, `ERR_OPT_DETACHED`
   * @example await optimizer.save('run.safetensors', { variables: true });
   */
  async save(path: FilePath, options: SaveOptions = {}): Promise<void> {
    return save(this.#who, this, path, options);
  }

  /**
   * An optimizer as it was saved. Counter, learning rate and config are there at once; all other numbers come in when it is built with
   * variables of the same number and shapes, by `build` or the first `apply`. Numbers of another dtype are converted. What
   * `exclude_from_weight_decay` said is not in the file, and neither are constraints: say it again.
   *
   * @param path what `save` has written
   * @param options `variables`: build with them at once, and give them their values if the file has those; `custom_objects`: classes
   *   and functions of yours by name, as in `deserialize`; `distribute`: share its steps at once, `{ communicator }` and the options of
   *   `distribute`: of a folder that several processes have saved, each of them reads its part only
   * @throws (rejects) CheckpointError: `ERR_CKPT_IO`, `ERR_CKPT_FORMAT`, `ERR_CKPT_VERSION`, `ERR_CKPT_LAYOUT`, `ERR_CKPT_HASH` for a
   *   file that cannot be read or has been altered; `ERR_CKPT_CLASS` for an optimizer of another class than this; `ERR_CKPT_CONFIG`;
   *   `ERR_CKPT_MISMATCH`, from `build` as well, for variables that it does not fit: nothing is loaded then, into none of them
   * @example const optimizer = await Nadam.load('run.safetensors', { variables });
   */
  static async load<T extends Optimizer>(
    this: abstract new (...args: never) => T,
    path: FilePath,
    options: LoadOptions = {},
  ): Promise<T> {
    return (await load(this, path, options)) as T;
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
    this.#engine.dispose();
    this.#engine.distribution?.release();
  }

  /** `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** What `console.log` shows: its class and options, and how far it is. */
  [inspect.custom](depth: number, options: InspectOptions): string {
    if (depth < 0) return `[${this.#who}]`;
    const { iterations, name, ...own } = this;
    return `${this.#who} ${inspect({ name, iterations, learning_rate: this.#rate, ...(own as object) }, options)}`;
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
}
markConfigurable(Optimizer.prototype);

const pairFields = { skip_gradients_aggregation: flag(false) };
const isNumber = (x: unknown): boolean => typeof x === 'number';
