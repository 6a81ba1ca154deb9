// Runs the steps of an optimizer that wraps others: it gives each of them its variables and gradients, and a step happens in all
// of them or in none. Over 200 lines: one class, the counterpart of an engine.
import type { CommonValues } from './optimizers/common.ts';
import type { Shards } from './distribution.ts';
import { rangeError, stateError, typeError, describe } from './errors.ts';
import type { Gradient } from './gradients.ts';
import { Optimizer } from './optimizer.ts';
import { together, type Given, type Parts, type Waiting } from './parts.ts';
import { Roster } from './roster.ts';
import { isEmpty, Runner, type Averaged, type Foreseen, type Norm, type Told } from './runner.ts';
import { Snapshot } from './snapshot.ts';
import { State } from './state.ts';
import type { Trainable } from './trainables.ts';
import { Variable } from './variable.ts';

/** A loss scale: it divides the gradients, and says no to a step in which one of them is not finite. */
export interface Guard {
  scale(): number;
  settle(finite: boolean): void;
  /** Its variables, when the optimizer is built. */
  create(): readonly Variable[];
}

/** What a wrapper tells. */
export interface Wrapper extends Told {
  layout(): { readonly names: readonly string[] | undefined };
  readonly settings: CommonValues;
  /** The optimizers that are known. */
  members(): readonly Optimizer[];
  /** The optimizer of a variable; may be a new one. */
  memberFor(variable: Variable): Optimizer;
  readonly guard?: Guard;
}

/** An optimizer with variables. */
interface Member {
  readonly optimizer: Optimizer;
  readonly runner: Runner;
  /** Its variables as it knows them, by their places in the roster. */
  readonly handles: ReadonlyMap<number, Variable>;
}

export class Wrapping extends Runner {
  readonly #wrapper: Wrapper;
  #roster: Roster | undefined;
  #members: readonly Member[] = [];
  #unbuildMembers: readonly (() => void)[] = [];
  #excluded: ((variable: Variable) => boolean) | undefined;
  #fresh = true;

  constructor(wrapper: Wrapper) {
    super(wrapper);
    this.#wrapper = wrapper;
  }

  override get state(): Roster | undefined {
    return this.#roster;
  }

  protected override get isFresh(): boolean {
    return this.#fresh;
  }

  override build(variables: readonly Trainable[]): void {
    this.checkOpen();
    if (this.#roster !== undefined) return;
    this.checkAlone('build');
    const roster = new Roster(variables, this.#wrapper.who, this.#wrapper.layout().names);
    const undo: (() => void)[] = [];
    try {
      const routes = this.alone(() => this.#routes(roster));
      this.#members = [...routes].map(([optimizer, indices]) =>
        builtMember(optimizer, roster, indices, undo, this.shards),
      );
    } catch (error) {
      for (const back of undo) back();
      throw error;
    }
    this.#roster = roster;
    this.#unbuildMembers = undo;
    keepApart(this.#members);
    if (this.#excluded !== undefined) this.exclude(this.#excluded);
    for (const variable of this.#wrapper.guard?.create() ?? []) this.track(variable);
  }

  /** The places of the variables of each optimizer, in the order of the optimizers. */
  #routes(roster: Roster): ReadonlyMap<Optimizer, readonly number[]> {
    const found = roster.variables.map((variable) => this.#wrapper.memberFor(variable));
    const routes = new Map(this.#wrapper.members().map((optimizer) => [optimizer, [] as number[]]));
    found.forEach((optimizer, i) => routes.get(optimizer)?.push(i));
    if (this.#wrapper.guard !== undefined) return routes;
    return new Map([...routes].filter(([, indices]) => indices.length > 0)); // as in Keras, the others are not built
  }

  protected override unbuild(first = 0, end?: number): void {
    this.untrack(first, end);
    for (const back of this.#unbuildMembers) back();
    this.#roster = undefined;
    this.#members = this.#unbuildMembers = [];
  }

  override rescale(loss_scale_factor: number | null): void {
    for (const optimizer of this.wrapped) Optimizer.setLossScale(optimizer, loss_scale_factor);
  }

  override dispose(): void {
    const runners = this.#wrapper.members().map((optimizer) => Optimizer.runnerOf(optimizer));
    for (const runner of [this, ...runners]) {
      runner.checkAlone('dispose');
      runner.queue.checkIdle(this.#wrapper.who, 'dispose');
    }
    for (const optimizer of this.#wrapper.members()) optimizer.dispose();
    this.untrack(0);
    this.#roster = undefined;
    this.#members = this.#unbuildMembers = [];
    this.setDisposed();
  }

  override get exclusions(): string {
    return this.wrapped.map((optimizer) => Optimizer.runnerOf(optimizer).exclusions).join();
  }

  override exclude(excluded: (variable: Variable) => boolean): void {
    this.#excluded = excluded;
    for (const optimizer of this.#wrapper.members()) Optimizer.runnerOf(optimizer).exclude(excluded);
  }

  override averages(method: string, variables?: readonly Trainable[]): readonly Averaged[] | undefined {
    const using = this.#wrapper.members().filter((optimizer) => usesAverages(optimizer));
    if (using.length === 0) return undefined;
    const indices = this.built(method).indicesOf(variables);
    return this.#members.flatMap(
      ({ runner, handles }) =>
        runner.averages(
          method,
          indices.flatMap((i) => handles.get(i) ?? []),
        ) ?? [],
    );
  }

  override updateOne(gradient: Gradient, variable: Trainable, rate: number | undefined): void {
    this.checkIdle('update_step');
    const index = this.built('update_step').indexOf(variable);
    const { optimizer, handles } = this.#members.find((member) => member.handles.has(index)) as Member; // each has one
    optimizer.update_step(gradient, handles.get(index) as Variable, rate);
  }

  override keeping<R>(part: () => R): R {
    const { counter, norm } = this;
    const [fresh, own, putBack] = [this.#fresh, new Snapshot(), this.#wrapper.remember()];
    own.take(this.tracked.filter((variable) => Variable.hasMemory(variable)));
    const all = this.#members.reduceRight<() => R>(
      (inner, { runner }) =>
        () =>
          runner.keeping(inner),
      part,
    );
    try {
      return all();
    } finally {
      own.restore();
      this.counter = counter;
      this.norm = norm;
      this.#fresh = fresh;
      putBack();
    }
  }

  override get wrapped(): readonly Optimizer[] {
    return this.#wrapper.members();
  }

  /** Calls of apply that were steps. */
  override get applied(): number {
    const [member] = this.#members;
    return this.#wrapper.guard === undefined ? this.counter : (member?.runner.counter ?? 0);
  }

  override apply(gradients: readonly Gradient[] | undefined, variables: readonly Trainable[] | undefined): number {
    this.checkIdle('apply');
    if (isEmpty(gradients)) return this.applied;
    const undo = this.buildFor(variables);
    this.built('apply');
    try {
      this.alone(() => this.#step(this.#begin({ gradients, variables }, this)));
    } catch (error) {
      undo();
      throw error;
    }
    return this.applied;
  }

  #step(parts: Parts): void {
    const { guard } = this.#wrapper;
    try {
      if (guard !== undefined && !parts.finite()) return this.#skip(guard);
      parts.prepare(guard?.scale());
      try {
        parts.custom();
        parts.check();
      } catch (error) {
        parts.undo();
        throw error;
      }
      parts.run();
      this.#settle(parts);
      parts.constrain();
    } finally {
      parts.end();
    }
  }

  override foresee(): Foreseen {
    const foreseen = all(
      this.#members.map(
        ({ runner }) =>
          () =>
            runner.foresee(),
      ),
      ({ forget }) => forget(),
    );
    return {
      numbers: foreseen.map(({ numbers }) => numbers).join(),
      forget: () => foreseen.forEach(({ forget }) => forget()),
    };
  }

  protected override take(given: Given): () => Promise<number> {
    const waiting = this.#stage(given, this);
    return async () => {
      await this.#stepAsync(waiting);
      return this.applied;
    };
  }

  async #stepAsync(waiting: Waiting): Promise<void> {
    const { guard } = this.#wrapper;
    const parts = this.alone(() => waiting.begin());
    try {
      if (guard !== undefined && !(await this.#areFinite(parts))) return this.#skip(guard);
      this.alone(() => parts.prepare(guard?.scale()));
      await this.#runAsync(parts);
      this.#settle(parts);
      if (this.distribution !== undefined) await this.distribution.gather();
      this.alone(() => parts.constrain());
    } finally {
      parts.end();
    }
  }

  /** Whether the gradients are finite; where processes have parts of them, those of all. */
  async #areFinite(parts: Parts): Promise<boolean> {
    const finite = await parts.finiteAsync();
    if (this.shards === undefined) return finite;
    const others = Float64Array.of(finite ? 0 : 1);
    await this.shards.sum(others);
    return others[0] === 0;
  }

  async #runAsync(parts: Parts): Promise<void> {
    try {
      await parts.customAsync();
      await parts.normsAsync();
      parts.check();
      await parts.runAsync();
    } catch (error) {
      parts.undo();
      throw error;
    }
  }

  #skip(guard: Guard): void {
    guard.settle(false);
    this.norm = null;
    this.#fresh = false;
  }

  /** The step has happened, here and in all members. */
  #settle(parts: Parts): void {
    parts.count();
    this.#counted();
  }

  #counted(): void {
    const { guard } = this.#wrapper;
    if (guard === undefined) this.counter++;
    else guard.settle(true);
    const norms = this.#members.map(({ runner }) => runner.norm);
    this.stepped();
    this.norm = norms.some((norm) => typeof norm === 'function') ? () => togetherOf(norms) : togetherOf(norms);
    this.#fresh = false;
  }

  override begin(given: Given, holder: object): Parts {
    return this.#held(holder, () => this.#nested(this.#begin(given, holder)));
  }

  override stage(given: Given, holder: object): Waiting {
    return this.#held(holder, () => {
      const waiting = this.#stage(given, holder);
      return {
        begin: () => this.#orRelease(() => this.#nested(waiting.begin())),
        cancel: () => (waiting.cancel(), this.release()),
      };
    });
  }

  #held<R>(holder: object, part: () => R): R {
    this.hold(holder);
    return this.#orRelease(() => this.alone(part));
  }

  #orRelease<R>(part: () => R): R {
    try {
      return part();
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** The step of another wrapper, in which this one takes part. */
  #nested(parts: Parts): Parts {
    const count = () => (parts.count(), this.#counted());
    const end = () => (parts.end(), this.release());
    return { ...parts, count, end };
  }

  #begin(given: Given, holder: object): Parts {
    const begins = this.#split(given).map(
      ([runner, own]) =>
        () =>
          runner.begin(own, holder),
    );
    return together(all(begins, (parts) => parts.end()));
  }

  #stage(given: Given, holder: object): Waiting {
    const stages = this.#split(given).map(
      ([runner, own]) =>
        () =>
          runner.stage(own, holder),
    );
    const waiting = all(stages, (one) => one.cancel());
    const cancelFrom = (first: number) => waiting.slice(first).forEach((one) => one.cancel());
    const begins = waiting.map((one, i) => () => {
      try {
        return one.begin();
      } catch (error) {
        cancelFrom(i + 1); // this one has cancelled itself
        throw error;
      }
    });
    return { begin: () => together(all(begins, (parts) => parts.end())), cancel: () => cancelFrom(0) };
  }

  /** What each member gets. */
  #split({ gradients, variables, places }: Given): readonly (readonly [Runner, Given])[] {
    const roster = this.built('apply');
    const indices = this.#checkedIndices(roster, gradients, variables);
    const list = gradients && Array.from(gradients); // getters are called once
    return this.#members.flatMap(({ runner, handles }) => {
      const at = indices.flatMap((index, i) => (handles.has(index) ? [i] : []));
      if (at.length === 0) return [];
      const whole = list === undefined && variables === undefined && runner.state?.variables.length === handles.size;
      return [
        [
          runner,
          {
            gradients: list && at.map((i) => list[i] as Gradient),
            variables: whole ? undefined : at.map((i) => handles.get(indices[i] as number) as Variable),
            places: at.map((i) => places?.[i] ?? i),
          },
        ],
      ];
    });
  }

  #checkedIndices(roster: Roster, gradients: unknown, variables: readonly Trainable[] | undefined): readonly number[] {
    const { who, guard } = this.#wrapper;
    const indices = roster.indicesOf(variables);
    if (gradients !== undefined && !Array.isArray(gradients))
      throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects an array of gradients, got ${describe(gradients)}`);
    const count = gradients?.length ?? indices.length;
    const expected = guard === undefined ? roster.variables.length : indices.length;
    if (count !== indices.length || count !== expected)
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${who} expects ${expected} gradients, one for each variable, got ${Math.min(count, indices.length)}`,
      );
    return indices;
  }
}

/** The norm of all gradients together; null where one of them is unknown. */
function togetherOf(norms: readonly Norm[]): number | null {
  const numbers = norms.map((norm) => (typeof norm === 'function' ? norm() : norm));
  return numbers.includes(null) ? null : Math.hypot(...(numbers as number[]));
}

/** What all of them make, or nothing: what some have made is taken back. */
function all<M>(makes: readonly (() => M)[], takeBack: (made: M) => void): readonly M[] {
  const made: M[] = [];
  try {
    for (const make of makes) made.push(make());
  } catch (error) {
    made.forEach(takeBack);
    throw error;
  }
  return made;
}

/** Builds an optimizer for some variables of the roster, if it is not built yet; `undo` gets what takes that back. */
function builtMember(
  optimizer: Optimizer,
  roster: Roster,
  indices: readonly number[],
  undo: (() => void)[],
  shards: Shards | undefined,
): Member {
  const runner = Optimizer.runnerOf(optimizer);
  runner.checkIdle('build');
  const wasBuilt = runner.state !== undefined;
  if (wasBuilt && runner.shards !== shards)
    throw stateError(
      'ERR_OPT_DISTRIBUTED',
      `"${optimizer.name}" is expected not to be built before the optimizer that wraps it shares its state with other processes`,
    );
  runner.shards = shards;
  undo.push(runner.buildFor(indices.map((i) => roster.variables[i] as Variable)));
  const state = runner.built('build');
  const known = (i: number): Variable => {
    const variable = roster.variables[i] as Variable;
    if (!wasBuilt) return variable;
    const given = state.find(variable) ?? roster.trainables[i];
    return state.variables[state.indexOf(given)] as Variable;
  };
  return { optimizer, runner, handles: new Map(indices.map((i) => [i, known(i)])) };
}

/** No gradient of one may lie where another writes. */
function keepApart(members: readonly Member[]): void {
  const states = members.flatMap(({ runner: { state } }) => (state instanceof State ? [state] : []));
  if (states.length > 1) for (const state of states) state.stepWith(states.filter((other) => other !== state));
}

/** The states of an optimizer, or of those that it wraps. */
export function statesIn(runner: Runner): readonly State[] {
  if (runner.state instanceof State) return [runner.state];
  return runner.wrapped.flatMap((optimizer) => statesIn(Optimizer.runnerOf(optimizer)));
}

/** What is stepped here of the variables of an optimizer. */
export function targetsIn(runner: Runner): readonly Variable[] {
  const pairs = statesIn(runner).flatMap(({ variables, targets }) =>
    variables.map((one, i) => [one, targets[i]] as const),
  );
  const targets = new Map(pairs);
  return runner.state?.variables.map((variable) => targets.get(variable) ?? variable) ?? [];
}

/** Whether it, or one that it wraps, keeps averages. */
export function usesAverages(optimizer: Optimizer): boolean {
  const runner = Optimizer.is(optimizer) ? Optimizer.runnerOf(optimizer) : undefined;
  return optimizer.use_ema || (runner instanceof Wrapping && runner.wrapped.some(usesAverages));
}
