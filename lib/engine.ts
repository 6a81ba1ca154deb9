// Runs the steps of one optimizer: whole or not at all, at once or off the event loop, on the variables' own gradients or on
// those that are brought. Over 200 lines: one class, whose checks and ways to step belong together.
import { arithmeticsWith, type Arithmetic } from './arithmetic.ts';
import type { FloatArray } from './arrays.ts';
import type { Fields } from './configurable.ts';
import { isSpace } from './devices.ts';
import { describe, typeError } from './errors.ts';
import { gatherGradients, nothingGathered, type Gathered, type Gradient } from './gradients.ts';
import { dtypes, type Memory } from './native.ts';
import type { CommonValues } from './optimizers/common.ts';
import type { Given, Parts, Waiting } from './parts.ts';
import type { Brought, Program } from './pass.ts';
import { warn } from './platform.ts';
import { rememberedPower } from './powers.ts';
import type { Rows } from './rows.ts';
import { Runner, isEmpty, type Averaged, type Foreseen, type Norm, type Told } from './runner.ts';
import { Snapshot } from './snapshot.ts';
import { nothingStaged, Staging, type Staged } from './staging.ts';
import { State, type Layout, type Stages, type Steps } from './state.ts';
import {
  configureStages,
  runningNumbers,
  setAccumulation,
  setAverages,
  setUnscale,
  updatesAfter,
  updatesAt,
  type Hyper,
  type Moment,
  type Running,
  type RunningNumbers,
} from './step.ts';
import type { Trainable } from './trainables.ts';
import { Variable } from './variable.ts';

/** What an optimizer tells its engine. */
export interface Driver<F extends Fields> extends Told {
  readonly settings: CommonValues;
  layout(): Layout;
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

/** What a step of a wrapper has found. */
interface Opened {
  readonly own: boolean;
  /** The memories that the gradients of an asynchronous step lie in. */
  readonly held: readonly Memory[];
  readonly gathered: Gathered;
  readonly gather: () => Gathered;
  readonly end: () => void;
}

export class Engine<F extends Fields> extends Runner {
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
  #foreseen: { readonly rate: number; readonly hyper: Hyper<F> } | undefined; // of the next update
  #stepping = false; // the function that is running is an update_step

  constructor(driver: Driver<F>) {
    super(driver);
    this.#driver = driver;
  }

  override get state(): State | undefined {
    return this.#state;
  }

  override build(variables: readonly Trainable[]): void {
    this.checkOpen();
    if (this.#state !== undefined) return;
    const state = new State(variables, this.#driver.layout(), this.shards);
    if (this.#state !== undefined || this.isDisposed) {
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

  protected override unbuild(first = 0, end?: number): void {
    this.#keepNorm();
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

  /** A norm that a GPU computes outlives the program that asked for it. */
  #keepNorm(): void {
    try {
      this.readNorm();
    } catch {
      this.norm = null; // the step has failed
    }
  }

  /** Adds a variable of the optimizer's own. A step that adds one and fails leaves it as it was when it was added. */
  override track(variable: Variable): Variable {
    super.track(variable);
    if (!this.working) return variable;
    this.#before.add(variable);
    this.#trial?.add(variable);
    return variable;
  }

  #dropSteps(drop: (steps: Steps) => void): void {
    const made = [this.#own, this.#brought, ...this.#single.values(), ...this.#sparse.values()];
    this.#own = this.#brought = undefined;
    this.#single.clear();
    this.#sparse.clear();
    for (const steps of made) if (steps !== undefined) drop(steps);
  }

  /** A running step goes on with its own; in a space none runs, and what a program has there is to be given back. */
  #forgetSteps(): void {
    const inSpace = isSpace(this.#state?.site);
    if (inSpace) this.#keepNorm();
    this.#dropSteps((steps) => {
      if (inSpace) steps.program.release();
    });
  }

  override dispose(): void {
    this.checkAlone('dispose');
    this.queue.checkIdle(this.#driver.who, 'dispose');
    this.unbuild();
    this.setDisposed();
  }

  override rescale(): void {
    this.#forgetSteps();
  }

  override averages(method: string, variables?: readonly Trainable[]): readonly Averaged[] | undefined {
    if (!this.#driver.settings.use_ema) return undefined;
    const state = this.built(method);
    return state.indicesOf(variables).map((i) => [state.variables[i], state.averages?.[i]] as unknown as Averaged);
  }

  override exclude(excluded: (variable: Variable) => boolean): void {
    this.#excluded = excluded;
    this.#forgetSteps();
  }

  override get exclusions(): string {
    return this.state?.variables.map((variable) => Number(this.#excluded(variable))).join('') ?? '';
  }

  override apply(gradients: readonly Gradient[] | undefined, variables: readonly Trainable[] | undefined): number {
    this.checkIdle('apply');
    if (isEmpty(gradients)) return this.counter;
    const undo = this.buildFor(variables);
    const state = this.built('apply');
    try {
      return this.alone(() => this.#step(state, gradients, variables));
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
      this.#run(state, steps, numbers, gathered.rows, own, gather);
      this.#count(numbers, gathered.skipped);
      this.#constrain(state, own ? undefined : program.arrays);
      return this.counter;
    } finally {
      state.giveBack(gathered);
      brought.program.clear();
      steps.program.clear();
    }
  }

  /** The native call of a step; of a class in TypeScript two, around its updates. `gather` says what is wrong with gradients. */
  #run(
    state: State,
    { program, after }: Steps,
    { rate }: Numbers,
    rows: readonly Rows[],
    own: boolean,
    gather: () => Gathered,
  ): () => void {
    const undo = this.#undoOf(state, after, rate);
    try {
      this.norm = state.sparse.during(rows, program, () => program.run());
    } catch (error) {
      this.#explain(state, own, gather);
      throw error;
    }
    if (after === undefined) return undo;
    try {
      this.#updateEach(state, own ? undefined : program.arrays, rate);
      after.run();
    } catch (error) {
      undo();
      throw error;
    }
    return undo;
  }

  /** A native call was refused: `gather` says better what is wrong with which gradient. */
  #explain(state: State, own: boolean, gather: () => Gathered): void {
    state.fitting = new WeakMap();
    if (!own) state.giveBack(gather());
  }

  override get applied(): number {
    return this.counter;
  }

  protected override take(given: Given, atOnce: boolean): () => Promise<number> {
    const state = this.built('apply_async');
    const staged = this.#stage(state, given, atOnce);
    return () => this.#runAsync(state, staged);
  }

  #stage(state: State, { gradients, variables, places }: Given, atOnce = false): Staged {
    if (gradients !== undefined || variables !== undefined || !state.asyncSafe)
      return this.#staging.take(this.#driver.who, state, gradients, variables, places, atOnce);
    state.checkOwnGradients();
    return nothingStaged;
  }

  /** Starts a step whose turn it is. Everything is checked before the native call; only then are the variables taken. */
  async #runAsync(state: State, staged: Staged): Promise<number> {
    const own = staged === nothingStaged;
    const { gathered } = staged;
    const { skipped, rows } = gathered;
    const brought = this.#steps(state, own);
    const steps = rows.length > 0 ? this.#sparseSteps(state, brought, rows) : brought;
    const { program } = steps;
    try {
      const numbers = this.alone(() => this.#setStages(state, steps.stages));
      state.checkIdle(); // functions of the caller's have run
      if (own) state.checkOwnGradients();
      staged.arrays.forEach((array, i) => (program.arrays[i] = array));
      await this.#runParts(state, steps, numbers, own, staged);
      this.#count(numbers, skipped);
      if (this.distribution !== undefined) await this.distribution.gather();
      this.alone(() => this.#constrain(state, own ? undefined : program.arrays));
      return this.counter;
    } finally {
      state.giveBack(gathered);
      program.clear();
    }
  }

  /** `#run` off the event loop. */
  async #runParts(
    state: State,
    steps: Steps,
    numbers: Numbers,
    own: boolean,
    { gathered: { rows }, held }: Omit<Staged, 'arrays'>,
  ): Promise<() => void> {
    const { program } = steps;
    const undo = this.#undoOf(state, steps.after, numbers.rate);
    const run = (all: readonly Memory[]) =>
      this.#clips(state, numbers) ? this.#runHalves(state, program, all, undo) : program.runAsync(all);
    this.norm = await state.sparse.duringAsync(rows, program, (more) => state.whileUsed(run([...held, ...more])));
    await this.#updateAsync(state, steps, numbers, own).catch((error: unknown) => {
      undo();
      throw error;
    });
    return undo;
  }

  /** Whether parts of gradients are clipped by norms of all of them. */
  #clips({ sums }: State, { rate }: Pick<Numbers, 'rate'>): boolean {
    const { clipnorm, global_clipnorm } = this.#driver.settings;
    return sums !== undefined && rate !== undefined && ((clipnorm ?? 0) > 0 || (global_clipnorm ?? 0) > 0);
  }

  async #runHalves(state: State, program: Program, held: readonly Memory[], undo: () => void): Promise<Norm> {
    try {
      const norm = await this.#sum(state, program, held);
      await program.runAsync(held, state.sums?.squares.memory);
      return norm;
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** The first half of a run on parts, up to the norms; returns that of all gradients together. */
  async #sum({ sums }: State, program: Program, held: readonly Memory[]): Promise<number> {
    if (sums === undefined) return NaN;
    const { memory, array } = sums.sums;
    array.fill(0);
    await program.sumsAsync(held, memory);
    await this.shards?.sum(array);
    return sums.fold();
  }

  /** What follows the native call of a class that steps in TypeScript. */
  async #updateAsync(state: State, { program, after }: Steps, { rate }: Numbers, own: boolean): Promise<void> {
    if (after === undefined) return;
    this.alone(() => this.#updateEach(state, own ? undefined : program.arrays, rate));
    await state.whileUsed(after.runAsync([]));
  }

  override begin({ gradients, variables, places }: Given, holder: object): Parts {
    this.hold(holder);
    const state = this.state;
    const own = gradients === undefined && variables === undefined && state?.asyncSafe === true;
    const gather = (arrays: (Brought | null)[]) =>
      gatherGradients(this.#driver.who, this.built('apply'), arrays, gradients, variables, places);
    return this.#open(own, [], gather, () => this.release());
  }

  override stage(given: Given, holder: object): Waiting {
    this.hold(holder);
    try {
      const state = this.built('apply_async');
      const staged = this.alone(() => this.#stage(state, given));
      const cancel = () => {
        state.giveBack(staged.gathered);
        this.release();
      };
      const place = (arrays: (Brought | null)[]) => {
        staged.arrays.forEach((array, i) => (arrays[i] = array));
        return staged.gathered;
      };
      return { begin: () => this.#open(staged === nothingStaged, staged.held, place, cancel), cancel };
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Begins a step of a wrapper; `gather` puts its gradients into the arrays of the program, `cancel` is for before that. */
  #open(
    own: boolean,
    held: readonly Memory[],
    gather: (arrays: (Brought | null)[]) => Gathered,
    cancel: () => void,
  ): Parts {
    let end = cancel;
    try {
      const state = this.built('apply');
      const brought = this.#steps(state, own);
      const { arrays } = brought.program;
      if (own) state.checkOwnGradients();
      const gathered = own ? nothingGathered : this.alone(() => gather(arrays));
      let steps = brought;
      end = () => {
        state.giveBack(gathered);
        for (const { program } of [brought, steps]) program.clear();
        setUnscale(steps.stages, this.#driver.settings.loss_scale_factor ?? 1);
        this.release();
      };
      if (gathered.rows.length > 0) steps = this.#sparseSteps(state, brought, gathered.rows);
      const again = (): Gathered => {
        const found = gather(arrays);
        return found === gathered ? nothingGathered : found; // what was staged is given back once
      };
      return this.#parts(state, steps, { own, held, gathered, gather: again, end });
    } catch (error) {
      end();
      throw error;
    }
  }

  #parts(state: State, steps: Steps, opened: Opened): Parts {
    const { program, stages, after } = steps;
    const { own, held, gathered, gather, end } = opened;
    const { rows, skipped } = gathered;
    const native = after === undefined;
    const during = <R>(run: () => R): R => state.sparse.during(rows, program, run);
    const duringAsync = <R>(run: (held: readonly Memory[]) => Promise<R>): Promise<R> =>
      state.sparse.duringAsync(rows, program, (more) => state.whileUsed(run([...held, ...more])));
    const check = () => this.#checkReady(state, own, gather, () => during(() => program.bind()));
    let numbers: Numbers = { running: this.#running, rate: undefined };
    let undo = () => {};
    let norm: number | undefined;
    return {
      finite: () => during(() => program.finite()),
      finiteAsync: () => duringAsync((all) => program.finiteAsync(all)),
      prepare: (unscale) => {
        if (unscale !== undefined) setUnscale(stages, unscale);
        numbers = this.alone(() => this.#setStages(state, stages));
      },
      custom: () => {
        if (native) return;
        check();
        undo = this.alone(() => this.#run(state, steps, numbers, rows, own, gather));
      },
      customAsync: async () => {
        if (native) return;
        check();
        undo = await this.#runParts(state, steps, numbers, own, opened);
      },
      normsAsync: async () => {
        if (!native || !this.#clips(state, numbers)) return;
        undo = this.#undoOf(state, after, numbers.rate);
        norm = await duringAsync((all) => this.#sum(state, program, all));
      },
      check: () => {
        if (native) check();
      },
      run: () => {
        if (native) this.norm = during(() => program.run());
      },
      runAsync: async () => {
        if (!native) return;
        const squares = norm === undefined ? undefined : state.sums?.squares.memory;
        const found = await duringAsync((all) => program.runAsync(all, squares));
        this.norm = norm ?? found;
      },
      undo: () => undo(),
      count: () => this.#count(numbers, skipped),
      constrain: () => this.alone(() => this.#constrain(state, own ? undefined : program.arrays)),
      end,
    };
  }

  /** Throws if a native call would, which `bind` tries; functions of the caller's have run. */
  #checkReady(state: State, own: boolean, gather: () => Gathered, bind: () => void): void {
    state.checkThere();
    if (own) state.checkOwnGradients();
    try {
      bind();
    } catch (error) {
      this.alone(() => this.#explain(state, own, gather));
      throw error;
    }
  }

  /**
   * Notes all that a class which steps in TypeScript may write in its update, and what a run in two halves writes in the first;
   * returns what writes it back.
   */
  #undoOf(state: State, after: Program | undefined, rate: number | undefined): () => void {
    const halves = this.#clips(state, { rate }) ? (state.accumulators ?? []) : [];
    const written = after === undefined || rate === undefined ? halves : this.#written(state);
    if (written.length === 0) return () => {};
    const { norm } = this;
    this.#before.take(written);
    return () => {
      this.#before.restore();
      this.norm = norm;
    };
  }

  #written(state: State): Variable[] {
    return [...state.variables, ...this.tracked.filter((variable) => Variable.hasMemory(variable))];
  }

  /** The updates of a class that steps in TypeScript, of the variables with a gradient. */
  #updateEach(state: State, arrays: readonly (Brought | null)[] | undefined, rate: number | undefined): void {
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
  override updateOne(gradient: Gradient, variable: Trainable, rate: number | undefined): void {
    if (!this.#stepping) this.checkIdle('update_step');
    const state = this.built('update_step');
    const index = state.indexOf(variable);
    const { program, stages } = this.#stepsOfOne(state, index);
    const before = this.working;
    let gathered = nothingGathered;
    this.working = true;
    try {
      if (this.#stepping && gradient === state.preparedOf(index)) program.arrays[index] = gradient;
      else gathered = gatherGradients(this.#driver.who, state, program.arrays, [gradient], [variable]);
      this.#setUpdate(state, stages, rate ?? this.#driver.rate());
      state.checkIdle(); // functions of the caller's have run
      state.sparse.during(gathered.rows, program, () => program.run());
    } finally {
      state.giveBack(gathered);
      program.clear();
      this.working = before;
    }
  }

  /** Runs `part`, which changes the numbers of the optimizer, and puts them back. */
  override keeping<R>(part: () => R): R {
    const { counter, norm } = this;
    const running = this.#running;
    const putBack = this.#driver.remember();
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
      putBack();
    }
  }

  override built(method: string): State {
    return super.built(method) as State;
  }

  override get running(): RunningNumbers | undefined {
    return this.#driver.running() && this.#running;
  }

  override setRunning(numbers: Partial<RunningNumbers>): void {
    const any = numbers.float64 ?? numbers.float32;
    if (any === undefined) return;
    this.#running = runningNumbers(this.#state?.dtypes ?? [], this.#arithmetics, ({ round }, dtype) =>
      round(numbers[dtype] ?? any),
    );
  }

  override runningAfter(updates: number): RunningNumbers | undefined {
    const running = this.#driver.running();
    const settings: Readonly<Record<string, unknown>> = { ...this.#driver.settings };
    const changing = Object.entries(settings).some(([name, x]) => typeof x === 'function' && name !== 'learning_rate');
    if (running === undefined || changing) return undefined;
    const hyper = this.#driver.hyper();
    return runningNumbers(dtypes, this.#arithmetics, (arithmetic) => {
      let number = arithmetic.round(running.initial);
      for (let step = 1; step <= updates && number !== 0; step++)
        number = running.next(number, hyper, step, arithmetic);
      return number;
    });
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
    if (state.site !== undefined) return brought; // there they become dense gradients
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

  override foresee(): Foreseen {
    if (updatesAt(this.counter, this.#driver.settings))
      this.#foreseen = this.alone(() => ({ rate: this.#driver.rate(), hyper: this.#driver.hyper() }));
    return { numbers: JSON.stringify(this.#foreseen), forget: () => (this.#foreseen = undefined) };
  }

  /** Computes the numbers of the next step. */
  #setStages(state: State, stages: Stages): Numbers {
    const { settings } = this.#driver;
    const updates = updatesAt(this.counter, settings);
    const rate = updates ? (this.#foreseen?.rate ?? this.#driver.rate()) : undefined;
    setAccumulation(stages, settings, updates);
    const running = rate === undefined ? this.#running : this.#setUpdate(state, stages, rate);
    if (!updates) for (const pass of stages.update) pass.rest();
    setAverages(stages, settings, updatesAfter(this.counter, settings));
    return { running, rate };
  }

  /** Returns what carries over to the step after this one. */
  #setUpdate(state: State, { update }: Stages, rate: number): RunningNumbers {
    const carried = this.#driver.running();
    const hyper = this.#foreseen?.hyper ?? this.#driver.hyper();
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
  #count({ running }: Numbers, skipped: readonly Variable[]): void {
    this.#running = running;
    if (skipped.length > 0) this.#warnOf(skipped);
    this.counter++;
    this.stepped();
  }

  /** `arrays`: the gradients that were brought. */
  #constrain({ variables, site }: State, arrays: readonly (Brought | null)[] | undefined): void {
    if (site !== undefined) return; // there are none off the host
    for (let i = 0; i < variables.length; i++) {
      const variable = variables[i] as Variable;
      if (variable.constraint !== null && arrays?.[i] !== null) constrain(variable);
    }
  }

  #warnOf(skipped: readonly Variable[]): void {
    if (this.#warned) return;
    this.#warned = true;
    const paths = skipped.map(({ path }) => `"${path}"`).join(', ');
    warn(`${this.#driver.who}: gradients do not exist for variables ${paths}; they stay as they are`);
  }
}

/** Sets of variables with sparse gradients whose programs are kept. */
const kPatterns = 16;

function constrain(variable: Variable): void {
  const result = variable.constraint?.(variable.value);
  if (result !== undefined) variable.assign(result);
}
