// Runs the steps of one optimizer: whole or not at all, at once or off the event loop, on the variables' own gradients or on
// those that are brought. Over 200 lines: one class, whose checks and ways to step belong together.
import { arithmeticsWith, type Arithmetic } from './arithmetic.ts';
import type { AnyArray, FloatArray } from './arrays.ts';
import type { Fields } from './configurable.ts';
import { describe, stateError, typeError } from './errors.ts';
import { gatherGradients, nothingGathered, type Gathered, type Gradient } from './gradients.ts';
import type { Dtype } from './native.ts';
import type { CommonValues } from './optimizers/common.ts';
import type { Program } from './pass.ts';
import { rememberedPower } from './powers.ts';
import { StepQueue } from './queue.ts';
import type { Rows } from './rows.ts';
import { Snapshot } from './snapshot.ts';
import { nothingStaged, Staging, type Staged } from './staging.ts';
import { State, type Layout, type Stages, type Steps } from './state.ts';
import {
  configureStages,
  runningNumbers,
  setAccumulation,
  setAverages,
  updatesAfter,
  updatesAt,
  type Hyper,
  type Moment,
  type Running,
  type RunningNumbers,
} from './step.ts';
import { scalarStorage } from './storage.ts';
import type { Trainable } from './trainables.ts';
import { Variable, variableOver } from './variable.ts';

/** What an optimizer tells its engine. */
export interface Driver<F extends Fields> {
  /** Its class, for errors. */
  readonly who: string;
  readonly name: string;
  readonly settings: CommonValues;
  layout(): Layout;
  /** Its method, which an heir may have replaced. */
  build(variables: readonly Trainable[]): void;
  /** The learning rate of the next update. */
  rate(): number;
  hyper(): Hyper<F>;
  running(): Running<F> | undefined;
  /** The weight decay of the variables with a rule; null for none. */
  decayOf(rule: string): number | null;
  scalars(hyper: Hyper<F>, moment: Moment, arithmetic: Arithmetic): Readonly<Record<string, number>>;
  /** Its update_step, where its layout says that it has one. */
  updateStep(gradient: FloatArray, variable: Variable, rate: number): unknown;
}

/** The numbers of a step that follow from its place in the sequence of steps. */
interface Numbers {
  readonly running: RunningNumbers;
  /** The learning rate; undefined in a step that only accumulates. */
  readonly rate: number | undefined;
}

export class Engine<F extends Fields> {
  /** Calls of apply so far. */
  counter = 0;
  /** L2 norm of all gradients of the last step. */
  norm: number | null = null;
  /** Variables of the optimizer's own, in the order of their creation. */
  readonly tracked: Variable[] = [];
  readonly queue = new StepQueue();
  readonly #driver: Driver<F>;
  #state: State | undefined;
  #running: RunningNumbers = { float32: NaN, float64: NaN };
  #excluded: (variable: Variable) => boolean = () => false;
  // Derived from the state and the exclusion: the steps on the variables' own gradients, on those that are brought, and on one.
  #own: Steps | undefined;
  #brought: Steps | undefined;
  readonly #single = new Map<number, Steps>();
  readonly #sparse = new Map<string, Steps>(); // by the variables that come with sparse gradients
  readonly #arithmetics = arithmeticsWith(rememberedPower());
  readonly #staging = new Staging();
  readonly #before = new Snapshot(); // what a step of a class in TypeScript found,
  #trial: Snapshot | undefined; // and what stateless_apply did
  #warned = false;
  #disposed = false;
  #working = false; // a function of the caller's may be running,
  #stepping = false; // which is an update_step

  constructor(driver: Driver<F>) {
    this.#driver = driver;
  }

  get state(): State | undefined {
    return this.#state;
  }

  /** A number of the optimizer's as a variable. */
  scalar(name: string, dtype: Dtype | 'int64', get: () => number, set: (x: number) => void): Variable {
    const checked = (x: number): void => (this.checkIdle('assign'), set(x));
    return variableOver(scalarStorage(dtype, get, checked), { shape: [], name: `${this.#driver.name}/${name}` });
  }

  build(variables: readonly Trainable[]): void {
    this.checkOpen();
    if (this.#state !== undefined) return;
    const state = new State(variables, this.#driver.layout());
    if (this.#state !== undefined || this.#disposed) {
      state.dispose(); // a getter in the list has built, or disposed of it
      return this.checkOpen();
    }
    this.#state = state;
    this.tracked.push(...state.owned);
    const running = this.#driver.running();
    if (running === undefined) return;
    const { dtype } = state;
    this.#setRunning(running.initial);
    this.tracked.push(
      this.scalar(
        'variable',
        dtype,
        () => this.#running[dtype],
        (x) => this.#setRunning(x),
      ),
    );
  }

  /** Builds if that has not been done; returns what undoes it, as long as nothing has been stepped. */
  #buildFor(variables: readonly Trainable[] | undefined): () => void {
    if (this.#state !== undefined || variables === undefined) return () => {};
    const first = this.tracked.length;
    try {
      this.#driver.build(variables);
    } catch (error) {
      this.#unbuild(first);
      throw error;
    }
    const built = this.tracked.length;
    return () => {
      if (this.counter === 0 && !this.queue.busy) this.#unbuild(first, built);
    };
  }

  #unbuild(first = 0, end?: number): void {
    this.#dropSteps((steps) => {
      steps.program.release();
      steps.after?.release();
    });
    this.untrack(first, end);
    this.#state?.dispose();
    this.#state = undefined;
    this.#staging.release();
    this.#before.take([]);
  }

  /** Adds a variable of the optimizer's own. A step that adds one and fails leaves it as it was when it was added. */
  track(variable: Variable): Variable {
    this.tracked.push(variable);
    if (!this.#working) return variable;
    this.#before.add(variable);
    this.#trial?.add(variable);
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

  #dropSteps(drop: (steps: Steps) => void): void {
    const made = [this.#own, this.#brought, ...this.#single.values(), ...this.#sparse.values()];
    this.#own = this.#brought = undefined;
    this.#single.clear();
    this.#sparse.clear();
    for (const steps of made) if (steps !== undefined) drop(steps);
  }

  dispose(): void {
    this.checkAlone('dispose');
    this.queue.checkIdle(this.#driver.who, 'dispose');
    this.#unbuild();
    this.#disposed = true;
  }

  exclude(excluded: (variable: Variable) => boolean): void {
    this.#excluded = excluded;
    this.#dropSteps(() => {}); // a running step goes on with its own
  }

  apply(gradients: readonly Gradient[] | undefined, variables: readonly Trainable[] | undefined): number {
    this.checkIdle('apply');
    if (isEmpty(gradients)) return this.counter;
    const undo = this.#buildFor(variables);
    const state = this.built('apply');
    try {
      return this.#alone(() => this.#step(state, gradients, variables));
    } catch (error) {
      undo();
      throw error;
    }
  }

  #step(state: State, gradients: unknown, variables: readonly Trainable[] | undefined): number {
    const own = gradients === undefined && variables === undefined && state.asyncSafe;
    const brought = this.#steps(state, own);
    const gather = () => gatherGradients(this.#driver.who, state, brought.program.arrays, gradients, variables);
    let [gathered, steps] = [nothingGathered, brought];
    try {
      if (own) state.checkOwnGradients();
      else gathered = gather();
      if (gathered.rows.length > 0) steps = this.#sparseSteps(state, brought, gathered.rows);
      const { program } = steps;
      const numbers = this.#setStages(state, steps.stages);
      state.checkIdle(); // functions of the caller's have run
      if (own) state.checkOwnGradients();
      this.#run(state, steps, numbers, gathered.rows, own ? undefined : gather);
      return this.#finish(state, program.arrays, own, numbers, gathered.skipped);
    } finally {
      state.sparse.give(gathered.rows);
      brought.program.clear();
      steps.program.clear();
    }
  }

  /** The native call of a step; of a class in TypeScript two, around its updates. `gather` is for gradients that are brought. */
  #run(
    state: State,
    { program, after }: Steps,
    { rate }: Numbers,
    rows: readonly Rows[],
    gather: (() => Gathered) | undefined,
  ): void {
    const undo = this.#undoOf(state, after, rate);
    try {
      this.norm = state.sparse.during(rows, program, () => program.run());
    } catch (error) {
      state.fitting = new WeakMap();
      state.sparse.give(gather?.().rows ?? []); // says better what is wrong with which gradient
      throw error;
    }
    if (after === undefined) return;
    try {
      this.#updateEach(state, gather && program.arrays, rate);
      after.run();
    } catch (error) {
      undo();
      throw error;
    }
  }

  async applyAsync(
    gradients: readonly Gradient[] | undefined,
    variables: readonly Trainable[] | undefined,
  ): Promise<number> {
    this.checkOpen();
    this.checkAlone('apply_async');
    if (isEmpty(gradients)) return this.counter;
    this.queue.checkPlace(this.#driver.who);
    const undo = this.#buildFor(variables);
    const state = this.built('apply_async');
    try {
      const staged = this.#alone(() => this.#stage(state, gradients, variables));
      return await this.queue.add(() => this.#runAsync(state, staged));
    } catch (error) {
      undo();
      throw error;
    }
  }

  #stage(
    state: State,
    gradients: readonly Gradient[] | undefined,
    variables: readonly Trainable[] | undefined,
  ): Staged {
    if (gradients !== undefined || variables !== undefined || !state.asyncSafe)
      return this.#staging.take(this.#driver.who, state, gradients, variables);
    state.checkOwnGradients();
    return nothingStaged;
  }

  /** Starts a step whose turn it is. Everything is checked before the native call; only then are the variables taken. */
  async #runAsync(state: State, staged: Staged): Promise<number> {
    const own = staged === nothingStaged;
    const { skipped, rows } = staged.gathered;
    const brought = this.#steps(state, own);
    const steps = rows.length > 0 ? this.#sparseSteps(state, brought, rows) : brought;
    const { program } = steps;
    try {
      const numbers = this.#alone(() => this.#setStages(state, steps.stages));
      state.checkIdle(); // functions of the caller's have run
      if (own) state.checkOwnGradients();
      staged.arrays.forEach((array, i) => (program.arrays[i] = array));
      const undo = this.#undoOf(state, steps.after, numbers.rate);
      this.norm = await state.sparse.duringAsync(rows, program, (held) =>
        state.whileUsed(program.runAsync([...staged.held, ...held])),
      );
      await this.#updateAsync(state, steps, numbers, own).catch((error: unknown) => {
        undo();
        throw error;
      });
      return this.#alone(() => this.#finish(state, program.arrays, own, numbers, skipped));
    } finally {
      state.sparse.give(rows);
      program.clear();
    }
  }

  /** What follows the native call of a class that steps in TypeScript. */
  async #updateAsync(state: State, { program, after }: Steps, { rate }: Numbers, own: boolean): Promise<void> {
    if (after === undefined) return;
    this.#alone(() => this.#updateEach(state, own ? undefined : program.arrays, rate));
    await state.whileUsed(after.runAsync([]));
  }

  /** Notes all that a class which steps in TypeScript may write in its update; returns what writes it back. */
  #undoOf(state: State, after: Program | undefined, rate: number | undefined): () => void {
    if (after === undefined || rate === undefined) return () => {};
    const { norm } = this;
    this.#before.take(this.#written(state));
    return () => {
      this.#before.restore();
      this.norm = norm;
    };
  }

  #written(state: State): Variable[] {
    return [...state.variables, ...this.tracked.filter((variable) => Variable.hasMemory(variable))];
  }

  /** The updates of a class that steps in TypeScript, of the variables with a gradient. */
  #updateEach(state: State, arrays: readonly (AnyArray | null)[] | undefined, rate: number | undefined): void {
    if (rate === undefined) return; // this step only accumulates
    this.#stepping = true;
    try {
      state.variables.forEach((variable, i) => {
        if (arrays?.[i] === null) return;
        const result = this.#driver.updateStep(state.preparedOf(i), variable, rate);
        if (result !== undefined)
          throw typeError(
            'ERR_OPT_ARRAY_TYPE',
            `${this.#driver.who}.update_step expects to write into its variable and return nothing, got ${describe(result)}`,
          );
      });
    } finally {
      this.#stepping = false;
    }
    state.checkThere();
  }

  /** The native update of one variable, with the numbers of the next step; nothing is counted. */
  updateOne(gradient: Gradient, variable: Trainable, rate: number | undefined): void {
    if (!this.#stepping) this.checkIdle('update_step');
    const state = this.built('update_step');
    const index = state.indexOf(variable);
    const { program, stages } = this.#stepsOfOne(state, index);
    const before = this.#working;
    let gathered = nothingGathered;
    this.#working = true;
    try {
      if (this.#stepping && gradient === state.preparedOf(index)) program.arrays[index] = gradient;
      else gathered = gatherGradients(this.#driver.who, state, program.arrays, [gradient], [variable]);
      this.#setUpdate(state, stages, rate ?? this.#driver.rate());
      state.checkIdle(); // functions of the caller's have run
      state.sparse.during(gathered.rows, program, () => program.run());
    } finally {
      state.sparse.give(gathered.rows);
      program.clear();
      this.#working = before;
    }
  }

  /** Runs `part`, which changes the numbers of the optimizer, and puts them back. */
  keeping<R>(part: () => R): R {
    const { counter, norm } = this;
    const running = this.#running;
    const trial = (this.#trial = new Snapshot());
    trial.take(this.#written(this.built('stateless_apply')));
    try {
      return part();
    } finally {
      this.#trial = undefined;
      trial.restore();
      this.counter = counter;
      this.norm = norm;
      this.#running = running;
    }
  }

  checkOpen(): void {
    const { who, name } = this.#driver;
    if (this.#disposed) throw stateError('ERR_OPT_DISPOSED', `${who} "${name}" has been disposed of`);
  }

  /** Throws while a step runs, here or in another optimizer with the same variables, or a function of the caller's in one. */
  checkIdle(method: string): void {
    this.checkOpen();
    this.checkAlone(method);
    this.queue.checkIdle(this.#driver.who, method);
    this.#state?.checkIdle();
  }

  checkAlone(method: string): void {
    if (this.#working)
      throw stateError(
        'ERR_OPT_BUSY',
        `${this.#driver.who}.${method} expects not to be called by a function in the middle of a step`,
      );
  }

  built(method: string): State {
    if (this.#state !== undefined) return this.#state;
    throw stateError(
      'ERR_OPT_NOT_BUILT',
      `${this.#driver.who}.${method} expects build(variables) or a first apply(gradients, variables) before it`,
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

  #setRunning(value: number): void {
    this.#running = runningNumbers(this.#state?.dtypes ?? [], this.#arithmetics, ({ round }) => round(value));
  }

  /** The program of a step and its passes by stage. */
  #steps(state: State, own: boolean): Steps {
    const made = own ? this.#own : this.#brought;
    if (made !== undefined) return made;
    const steps = this.#newSteps(state, own);
    if (own) this.#own = steps;
    else this.#brought = steps;
    return steps;
  }

  #newSteps(state: State, own: boolean, rows?: readonly Rows[]): Steps {
    const { settings } = this.#driver;
    const decayOf = (rule: string) => this.#driver.decayOf(rule);
    const steps = state.program((variable, rule) => decayOf(rule) !== null && !this.#excluded(variable), own, rows);
    configureStages(steps.stages, settings, decayOf);
    return steps;
  }

  /** The same for sparse gradients, with all the gradients that have been brought. */
  #sparseSteps(state: State, brought: Steps, rows: readonly Rows[]): Steps {
    const key = rows.map(({ index, columns }) => `${index}:${columns}`).join();
    const steps = this.#sparse.get(key) ?? this.#newSteps(state, false, rows);
    if (!this.#sparse.has(key) && this.#sparse.size >= kPatterns) this.#sparse.clear(); // one that runs goes on
    this.#sparse.set(key, steps);
    steps.program.takeFrom(brought.program);
    return steps;
  }

  #stepsOfOne(state: State, index: number): Steps {
    const steps = this.#single.get(index) ?? state.programOfOne(index, this.#driver.settings);
    this.#single.set(index, steps);
    return steps;
  }

  /** Computes the numbers of the next step. */
  #setStages(state: State, stages: Stages): Numbers {
    const { settings } = this.#driver;
    const updates = updatesAt(this.counter, settings);
    const rate = updates ? this.#driver.rate() : undefined;
    setAccumulation(stages, settings, updates);
    const running = rate === undefined ? this.#running : this.#setUpdate(state, stages, rate);
    if (!updates) for (const pass of stages.update) pass.rest();
    setAverages(stages, settings, updatesAfter(this.counter, settings));
    return { running, rate };
  }

  /** Returns what carries over to the step after this one. */
  #setUpdate(state: State, { update }: Stages, rate: number): RunningNumbers {
    const carried = this.#driver.running();
    const hyper = this.#driver.hyper();
    const step = updatesAfter(this.counter, this.#driver.settings) + 1;
    let running = this.#running;
    if (carried)
      running = runningNumbers(state.dtypes, this.#arithmetics, (arithmetic, dtype) =>
        carried.next(this.#running[dtype], hyper, step, arithmetic),
      );
    for (const pass of update) {
      const arithmetic = this.#arithmetics[pass.dtype];
      const moment = { step, learning_rate: arithmetic.round(rate), running: running[pass.dtype], rule: pass.rule };
      pass.set(pass.rule === 'prepare' ? {} : this.#driver.scalars(hyper, moment, arithmetic), rate, step);
    }
    return running;
  }

  /** The step has happened: it counts even if a constraint throws. */
  #finish(
    state: State,
    arrays: (AnyArray | null)[],
    own: boolean,
    { running }: Numbers,
    skipped: readonly Variable[],
  ): number {
    this.#running = running;
    if (skipped.length > 0) this.#warnOf(skipped);
    this.counter++;
    const { variables } = state;
    for (let i = 0; i < variables.length; i++) {
      const variable = variables[i] as Variable;
      if (variable.constraint !== null && (own || arrays[i] !== null)) constrain(variable);
    }
    return this.counter;
  }

  #warnOf(skipped: readonly Variable[]): void {
    if (this.#warned) return;
    this.#warned = true;
    const paths = skipped.map(({ path }) => `"${path}"`).join(', ');
    process.emitWarning(`${this.#driver.who}: gradients do not exist for variables ${paths}; they stay as they are`);
  }
}

/** Sets of variables with sparse gradients whose programs are kept. */
const kPatterns = 16;

function constrain(variable: Variable): void {
  const result = variable.constraint?.(variable.value);
  if (result !== undefined) variable.assign(result);
}

const isEmpty = (list: readonly unknown[] | undefined): boolean => Array.isArray(list) && list.length === 0;
