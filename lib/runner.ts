// What runs the steps of an optimizer: its own (engine.ts), or those of the optimizers that it wraps (wrapping.ts). Here is what
// both have: counter, variables of the optimizer's own, the queue of asynchronous steps, and who may do what when.
import type { Distribution, Shards } from './distribution.ts';
import { stateError } from './errors.ts';
import type { Gradient } from './gradients.ts';
import type { StateToCome } from './checkpoint/state_to_come.ts';
import type { Dtype } from './native.ts';
import type { Given, Parts, Waiting } from './parts.ts';
import { StepQueue } from './queue.ts';
import type { Optimizer } from './optimizer.ts';
import type { Roster } from './roster.ts';
import { scalarStorage } from './storage.ts';
import type { Trainable } from './trainables.ts';
import { Variable, variableOver } from './variable.ts';

/** What an optimizer tells whatever runs its steps. */
export interface Told {
  /** Its class, for errors. */
  readonly who: string;
  readonly name: string;
  /** Its method, which an heir may have replaced. */
  build(variables: readonly Trainable[]): void;
  /** What puts its own numbers back as they are now. */
  remember(): () => void;
}

/** The L2 norm of the gradients of a step: null for none; a function waits for a GPU that computes it. */
export type Norm = number | null | (() => number | null);

/** A variable and its average. */
export type Averaged = readonly [variable: Variable, average: Variable];

/** What the functions among the options said of the next step. */
export interface Foreseen {
  /** In words, for other processes. */
  readonly numbers: string;
  /** They are to be asked again. */
  readonly forget: () => void;
}

export abstract class Runner {
  /** Calls of apply so far. */
  counter = 0;
  /** L2 norm of all gradients of the last step. */
  norm: Norm = null;
  /** Variables of the optimizer's own, in the order of their creation. */
  readonly tracked: Variable[] = [];
  readonly queue = new StepQueue();
  /** Shares its steps with other processes. */
  distribution: Distribution | undefined;
  /** Its own, or that of a wrapper: where this process keeps a part of the state. */
  shards: Shards | undefined;
  /** The state that the next build puts in: what it was loaded with. */
  waiting: StateToCome | undefined;
  #putIn: StateToCome | undefined; // what the last build has put in, until a step has happened
  #start = 0; // the counter when it was built
  protected working = false; // a function of the caller's may be running
  readonly #told: Told;
  #disposed = false;
  #holder: object | undefined; // a wrapper in whose step this takes part,
  #holds = 0; // or in several: one runs, one waits

  constructor(told: Told) {
    this.#told = told;
  }

  /** The variables that it was built with; undefined before that. */
  abstract get state(): Roster | undefined;
  abstract build(variables: readonly Trainable[]): void;
  abstract apply(gradients: readonly Gradient[] | undefined, variables: readonly Trainable[] | undefined): number;
  /** What `apply` returns. */
  abstract get applied(): number;
  /** Takes the gradients of an asynchronous step; returns what runs it. `atOnce`: that is its turn already. */
  protected abstract take(given: Given, atOnce: boolean): () => Promise<number>;
  abstract updateOne(gradient: Gradient, variable: Trainable, rate: number | undefined): void;
  abstract exclude(excluded: (variable: Variable) => boolean): void;
  /** Which variables that said, a digit for each, of what it was built with. */
  abstract get exclusions(): string;
  /** Variables with their averages; undefined without `use_ema`. */
  abstract averages(method: string, variables?: readonly Trainable[]): readonly Averaged[] | undefined;
  /** Runs `part`, which changes the numbers of the optimizer, and puts them back. */
  abstract keeping<R>(part: () => R): R;
  /** Its `loss_scale_factor` changes. */
  abstract rescale(loss_scale_factor: number | null): void;
  abstract dispose(): void;
  /** Begins a step of a wrapper. Throws as `apply`, with nothing changed. */
  abstract begin(given: Given, holder: object): Parts;
  /** The same for an asynchronous step: takes the gradients now, and begins when it is told to. */
  abstract stage(given: Given, holder: object): Waiting;
  /** Undoes `build`; by places in `tracked`, what was added since. */
  protected abstract unbuild(first?: number, end?: number): void;

  /** `find`: what is stepped, at the call; what it throws the other processes hear of. */
  async applyAsync(find: () => Given): Promise<number> {
    this.checkOpen();
    this.checkAlone('apply_async');
    if (this.distribution === undefined) this.checkWhole('apply_async'); // it is a wrapper that is distributed
    this.queue.checkPlace(this.#told.who);
    let undo = () => {};
    const built = (given: Given) => {
      undo = this.buildFor(given.variables);
      this.built('apply_async');
      return given;
    };
    try {
      if (this.distribution !== undefined) return await this.queue.add(this.distribution.take(() => built(find())));
      const given = find();
      return isEmpty(given.gradients) ? this.applied : await this.queue.add(this.taken(built(given)));
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** Takes the gradients of an asynchronous step; returns what runs it when it is its turn. */
  taken(given: Given, atOnce = !this.queue.busy): () => Promise<number> {
    return this.alone(() => this.take(given, atOnce));
  }

  /**
   * Calls the functions among the options for the next step, which does not call them again: what they throw is thrown before anything
   * else happens.
   */
  abstract foresee(): Foreseen;

  /** A step whose turn it is. */
  async stepAsync(given: Given): Promise<number> {
    return this.taken(given, true)();
  }

  /** Undoes `build`, whatever has been stepped: for a state of another shape. */
  demolish(): void {
    if (this.state !== undefined) this.unbuild();
  }

  /** A number of the optimizer's as a variable. */
  scalar(name: string, dtype: Dtype | 'int64', get: () => number, set: (x: number) => void): Variable {
    const checked = (x: number): void => (this.checkIdle('assign'), set(x));
    return variableOver(scalarStorage(dtype, get, checked), { shape: [], name: `${this.#told.name}/${name}` });
  }

  /** The norm as a number. */
  readNorm(): number | null {
    if (typeof this.norm === 'function') this.norm = this.norm();
    return this.norm;
  }

  /** Adds a variable of the optimizer's own. */
  track(variable: Variable): Variable {
    this.tracked.push(variable);
    return variable;
  }

  /** Runs what adds several variables: all or none. */
  tracking<R>(add: () => R): R {
    const first = this.tracked.length;
    try {
      return add();
    } catch (error) {
      this.untrack(first);
      throw error;
    }
  }

  /** Disposes of variables of the optimizer's own, by their places. */
  untrack(first: number, end = this.tracked.length): void {
    for (const variable of this.tracked.splice(first, end - first))
      if (Variable.hasMemory(variable)) variable.dispose();
  }

  /** The optimizers that it wraps. */
  get wrapped(): readonly Optimizer[] {
    return [];
  }

  /** The number that its class carries from step to step, by the dtype it is computed in; undefined if there is none. */
  get running(): Readonly<Record<Dtype, number>> | undefined {
    return undefined;
  }
  /** Sets it; where only one dtype is known, the other gets that number, rounded. */
  setRunning(_numbers: Partial<Record<Dtype, number>>): void {}

  /** What that number is after so many updates; undefined if there is none, or it does not follow from the options. */
  runningAfter(_updates: number): Readonly<Record<Dtype, number>> | undefined {
    return undefined;
  }

  /** Goes on from a counter. */
  startAt(counter: number): void {
    this.counter = this.#start = counter;
  }

  /** Builds by a method of the optimizer's and puts in the state that waits: both or nothing. */
  buildWith(build: () => void, put: (state: StateToCome) => void): void {
    const { waiting } = this;
    if (waiting === undefined || this.state !== undefined) return build();
    const first = this.tracked.length;
    try {
      build();
      if (this.state === undefined) return; // a method that does nothing
      put(waiting);
    } catch (error) {
      this.unbuild(first);
      throw error;
    }
    this.waiting = undefined;
  }

  /** A step has happened: nothing can be undone any more. */
  protected stepped(): void {
    this.#putIn = undefined;
  }

  /** Builds if that has not been done; returns what undoes it, as long as nothing has been stepped. */
  buildFor(variables: readonly Trainable[] | undefined): () => void {
    if (this.state !== undefined || variables === undefined) return () => {};
    const first = this.tracked.length;
    const { waiting } = this;
    try {
      this.#told.build(variables);
    } catch (error) {
      this.unbuild(first);
      throw error;
    }
    const built = this.tracked.length;
    this.#start = this.counter;
    this.#putIn = waiting;
    return () => {
      if (!this.isFresh || this.queue.busy) return;
      this.unbuild(first, built);
      this.waiting = this.#putIn;
    };
  }

  /** Whether nothing has been stepped. */
  protected get isFresh(): boolean {
    return this.counter === this.#start;
  }

  protected setDisposed(): void {
    this.#disposed = true;
    this.waiting = this.#putIn = undefined;
  }

  /** Whether it has been disposed of. */
  protected get isDisposed(): boolean {
    return this.#disposed;
  }

  /** Keeps all others away until `release` has been called as often. */
  hold(holder: object): void {
    if (this.#holder !== holder) this.checkIdle('apply');
    this.checkOpen();
    this.#holder = holder;
    this.#holds++;
  }

  release(): void {
    if (--this.#holds === 0) this.#holder = undefined;
  }

  checkOpen(): void {
    const { who, name } = this.#told;
    if (this.#disposed) throw stateError('ERR_OPT_DISPOSED', `${who} "${name}" has been disposed of`);
  }

  /** Throws while a step runs, here or in another optimizer with the same variables, or a function of the caller's in one. */
  checkIdle(method: string): void {
    this.checkOpen();
    this.checkAlone(method);
    this.queue.checkIdle(this.#told.who, method);
    this.state?.checkIdle();
  }

  /** Throws where other processes have parts of the state. */
  checkWhole(method: string): void {
    if (this.shards !== undefined)
      throw stateError(
        'ERR_OPT_DISTRIBUTED',
        `${this.#told.who}.${method} expects all of the state, other processes have parts of it: save it together, and load it without shard_state`,
      );
  }

  /** Throws where a step waits for other processes. */
  checkAtOnce(method: string): void {
    if (this.distribution === undefined) this.checkWhole(method);
    else this.distribution.checkAtOnce(method);
  }

  checkAlone(method: string): void {
    if (this.working)
      throw stateError(
        'ERR_OPT_BUSY',
        `${this.#told.who}.${method} expects not to be called by a function in the middle of a step`,
      );
    if (this.#holder !== undefined)
      throw stateError(
        'ERR_OPT_BUSY',
        `${this.#told.who}.${method} expects no step of the optimizer that wraps it to be running: await its idle() before`,
      );
  }

  /** Throws while a state waits for build: `variables` do not show it. */
  checkPutIn(method: string): void {
    if (this.waiting !== undefined) this.built(method);
  }

  built(method: string): Roster {
    if (this.state !== undefined) return this.state;
    throw stateError(
      'ERR_OPT_NOT_BUILT',
      `${this.#told.who}.${method} expects build(variables) or a first apply(gradients, variables) before it`,
    );
  }

  /** Runs a part of a step that calls functions of the caller's. */
  alone<R>(part: () => R): R {
    this.working = true;
    try {
      return part();
    } finally {
      this.working = false;
    }
  }
}

export const isEmpty = (list: readonly unknown[] | undefined): boolean => Array.isArray(list) && list.length === 0;
