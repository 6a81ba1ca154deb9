// A state that waits for `build`. An optimizer that was read from a file has no variables yet: its counter and its learning rate are
// put in at once, all other numbers when it is built, and both happen or neither.
//
//   const state = { from: 'model.keras', counter: 10, learning_rate: 0.01, values: [{ shape: [3], dtype: 'float32', numbers }] };
//   awaitState(optimizer, state); // an optimizer that is not built
//   optimizer.iterations; // 10
//   optimizer.build(variables); // CheckpointError ERR_CKPT_MISMATCH, at every attempt, if `values` do not fit; else they are in
//
// `values` are those of `optimizer.variables` but for iteration, learning_rate and what belongs to wrapped optimizers: averages,
// accumulators, slots, a product, what `add_variable` has made, each in its place. Nadam's product is the last one of them, and exact
// in `running` where that is known. A LossScaleOptimizer has [step_counter, dynamic_scale] and one member; a MultiOptimizer has no
// values and one member for each of its `optimizers`, in their order.
import { sizeOf } from '../arrays.ts';
import { typeError } from '../errors.ts';
import type { Dtype } from '../native.ts';
import { Optimizer } from '../optimizer.ts';
import type { Runner } from '../runner.ts';
import type { Storage } from '../storage.ts';
import { Variable } from '../variable.ts';
import { CheckpointError } from './errors.ts';

/** The numbers of one variable. */
export interface SavedValue {
  /** For messages; an optimizer may have been given another name since. */
  readonly path?: string;
  readonly shape: readonly number[];
  /** As it was saved; they are converted to what the variable has. */
  readonly dtype: string;
  readonly numbers: ArrayLike<number>;
  /** How many there are, where that is known before they are read. */
  readonly length?: number;
  /** Elements [first, first + count), where they can be read alone. */
  readonly range?: (first: number, count: number) => ArrayLike<number>;
  /** Of a part of a variable: its first element. */
  readonly part?: number;
  /** The same as files of ours have it, where it was read from one. */
  readonly bytes?: Uint8Array;
}

/** How many numbers a value has. */
export const lengthOf = (value: SavedValue): number => value.length ?? value.numbers.length;

/** A variable that an optimizer was built with when it was saved. */
export interface TrainedVariable {
  readonly path: string;
  readonly shape: readonly number[];
  readonly dtype: string;
}

/** All numbers of an optimizer. */
export interface StateToCome {
  /** What messages call it: the file. */
  readonly from: string;
  /** Calls of apply. */
  readonly counter: number;
  /** Left out where a schedule or a function is installed, and where the config has it. */
  readonly learning_rate?: number;
  /** The number that the class carries from step to step, by the dtype it is computed in. */
  readonly running?: Partial<Readonly<Record<Dtype, number>>>;
  /** Whether it had been built when it was saved; default true. */
  readonly built?: boolean;
  readonly values: readonly SavedValue[];
  /** What it was built with, where that is known: the same number and shapes are expected. */
  readonly trained?: readonly TrainedVariable[];
  /** The states of the optimizers that it wraps. */
  readonly members?: readonly StateToCome[];
}

const awaited = new WeakSet<StateToCome>(); // by the optimizer that they belong to, not by one that wraps it

/**
 * Gives an optimizer the counter and the learning rate of a state, and lets its next `build` put in the rest.
 *
 * @param optimizer one that is not built
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for one that is; Error `ERR_OPT_DISPOSED`, `ERR_OPT_BUSY`; CheckpointError
 *   `ERR_CKPT_MISMATCH` for another number of wrapped optimizers, or a counter or a rate that cannot be
 */
export function awaitState(optimizer: Optimizer, state: StateToCome): void {
  const runner = Optimizer.runnerOf(optimizer);
  runner.checkIdle('load');
  if (runner.state !== undefined)
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${state.from}: a state waits for an optimizer that is not built, this one is`,
    );
  const { wrapped } = runner;
  const { members = [] } = state;
  if (wrapped.length > members.length)
    throw mismatch(state, `has ${members.length} wrapped optimizers, "${optimizer.name}" has ${wrapped.length}`);
  setOwn(optimizer, state);
  wrapped.forEach((member, i) => awaitState(member, members[i] as StateToCome));
  awaited.add(state);
  if (state.built === false) return put(optimizer, state); // what was added before a build
  runner.waiting = state;
  putInAfterBuild(optimizer, runner);
}

/** Its `build`, an heir's as well, whoever calls it. Once nothing waits, it is as it was. */
function putInAfterBuild(optimizer: Optimizer, runner: Runner): void {
  const build = optimizer.build.bind(optimizer);
  const value: Optimizer['build'] = (variables) =>
    runner.buildWith(
      () => build(variables),
      (state) => put(optimizer, state),
    );
  Object.defineProperty(optimizer, 'build', { value, configurable: true, writable: true });
}

/** Counter and learning rate. */
function setOwn(optimizer: Optimizer, state: StateToCome): void {
  const { counter, learning_rate: rate } = state;
  if (!Number.isSafeInteger(counter) || counter < 0) throw mismatch(state, `has ${counter} calls of apply`);
  Optimizer.runnerOf(optimizer).startAt(counter);
  if (rate === undefined) return;
  if (!Number.isFinite(rate)) throw mismatch(state, `has a learning rate of ${rate}`);
  const variable = rateOf(optimizer);
  if (variable !== undefined) Variable.storageOf(variable).write([rate]);
}

/** The learning rate as a variable; undefined where a schedule or a function is installed. */
export function rateOf(optimizer: Optimizer): Variable | undefined {
  const [, second] = optimizer.variables;
  const { tracked } = Optimizer.runnerOf(optimizer);
  return second === tracked[0] ? undefined : second;
}

/** Writes a state into an optimizer and those that it wraps, after all of it has been found to fit. */
function put(optimizer: Optimizer, state: StateToCome): void {
  const all = pairsOf(optimizer, state);
  for (const [one, own] of all) check(one, own);
  for (const [one, own] of all) {
    const runner = Optimizer.runnerOf(one);
    if (own !== state) setOwn(one, own);
    runner.tracked.forEach((variable, i) => {
      const storage = Variable.storageOf(variable);
      storage.write(partOf(own.values[i] as SavedValue, storage)); // as many have been found
    });
    if (own.running !== undefined && runner.state !== undefined) runner.setRunning(own.running);
  }
}

/** What one of several processes keeps of the numbers of a variable. */
const partOf = (value: SavedValue, { part, length }: Storage): ArrayLike<number> =>
  part === undefined ? value.numbers : rangeOf(value, part.first, length);

/** Elements [first, first + count) of a value. */
export function rangeOf(value: SavedValue, first: number, count: number): ArrayLike<number> {
  if (value.range !== undefined) return value.range(first, count);
  const { numbers } = value;
  const end = first + count;
  return ArrayBuffer.isView(numbers)
    ? (numbers as Float64Array).subarray(first, end)
    : Array.from(numbers).slice(first, end);
}

/** An optimizer and its state; also those it wraps that do not wait by themselves: they were not known before. */
function pairsOf(optimizer: Optimizer, state: StateToCome): (readonly [Optimizer, StateToCome])[] {
  const { wrapped } = Optimizer.runnerOf(optimizer);
  const { members = [] } = state;
  if (wrapped.length !== members.length)
    throw mismatch(state, `has ${members.length} wrapped optimizers, "${optimizer.name}" has ${wrapped.length}`);
  const pairs = wrapped.flatMap((member, i) => {
    const own = members[i] as StateToCome;
    return awaited.has(own) ? [] : pairsOf(member, own);
  });
  return [[optimizer, state], ...pairs];
}

function check(optimizer: Optimizer, state: StateToCome): void {
  const { tracked, state: roster } = Optimizer.runnerOf(optimizer);
  const who = `"${optimizer.name}"`;
  if ((roster !== undefined) !== (state.built ?? true) && tracked.length !== state.values.length)
    throw mismatch(state, `has ${roster ? 'no' : 'a'} state for ${who}, which is ${roster ? '' : 'not '}built`);
  if (state.trained !== undefined && roster !== undefined) checkTrained(who, state, state.trained, roster.variables);
  const { values } = state;
  if (values.length !== tracked.length) throw otherNumber(who, state, tracked);
  tracked.forEach((variable, i) => checkValue(state, values[i] as SavedValue, variable));
}

function otherNumber(who: string, state: StateToCome, tracked: readonly Variable[]): CheckpointError {
  const { values } = state;
  const first = tracked[values.length]?.path ?? values[tracked.length]?.path;
  const named = first === undefined ? '' : `, the first that the other does not have is "${first}"`;
  return mismatch(
    state,
    `has ${values.length} variables of ${who}, which has ${tracked.length} when it is built${named}`,
  );
}

function checkTrained(
  who: string,
  state: StateToCome,
  trained: readonly TrainedVariable[],
  variables: readonly Variable[],
): void {
  if (trained.length !== variables.length)
    throw mismatch(state, `was written with ${trained.length} variables, ${who} is built with ${variables.length}`);
  variables.forEach(({ path, shape }, i) => {
    const before = trained[i] as TrainedVariable;
    if (!sameShape(before.shape, shape))
      throw mismatch(
        state,
        `was written with "${before.path}" of shape ${shown(before.shape)} as variables[${i}], ${who} is built with "${path}" of shape ${shown(shape)}`,
      );
  });
  checkOrder(who, state, trained, variables);
}

const isAutomatic = (path: string): boolean => /^variable(_\d+)?$/.test(path);

/** The same names in another order: the state would go to the wrong ones. Names that nobody has given say nothing. */
function checkOrder(
  who: string,
  state: StateToCome,
  trained: readonly TrainedVariable[],
  variables: readonly Variable[],
) {
  const i = variables.findIndex(({ path }, i) => path !== trained[i]?.path);
  if (i < 0 || trained.some(({ path }) => isAutomatic(path))) return;
  const names = new Set(trained.map(({ path }) => path));
  if (names.size !== trained.length || !variables.every(({ path }) => names.has(path))) return;
  throw mismatch(
    state,
    `was written with "${trained[i]?.path}" as variables[${i}], ${who} is built with "${variables[i]?.path}" there: give them in the same order`,
  );
}

function checkValue(state: StateToCome, value: SavedValue, variable: Variable): void {
  const { path, shape } = value;
  const storage = Variable.storageOf(variable);
  const { of } = storage.part ?? { of: variable.shape };
  if (!sameShape(shape, of) || lengthOf(value) !== sizeOf(of))
    throw mismatch(
      state,
      `has ${path === undefined ? 'an array' : `"${path}"`} of shape ${shown(shape)} for "${variable.path}", which has shape ${shown(of)}`,
    );
  if (storage.number === undefined) return;
  const { 0: first } = value.numbers;
  const whole = storage.readOnly === true;
  if (whole ? Number.isSafeInteger(first) && (first as number) >= 0 : Number.isFinite(first)) return;
  throw mismatch(
    state,
    `has ${first} for "${variable.path}", which is a ${whole ? 'whole number >= 0' : 'finite number'}`,
  );
}

const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);
const shown = (shape: readonly number[]): string => `[${shape.join(', ')}]`;

const mismatch = ({ from }: StateToCome, what: string): CheckpointError =>
  new CheckpointError('ERR_CKPT_MISMATCH', `${from} ${what}`);
