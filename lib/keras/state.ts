// The state of an optimizer in the arrays that Keras has written: which number is what.
import type { StateOf } from '../checkpoint/state_of.ts';
import { rateOf, type SavedValue, type StateToCome } from '../checkpoint/state_to_come.ts';
import { Optimizer } from '../optimizer.ts';
import { Adafactor } from '../optimizers/adafactor.ts';
import { LossScaleOptimizer } from '../optimizers/loss_scale_optimizer.ts';
import { MultiOptimizer } from '../optimizers/multi_optimizer.ts';
import { Muon } from '../optimizers/muon.ts';
import { updatesAfter } from '../step.ts';
import { arranged, sameShape, withPlaceholders, type Kept, type Told } from './arrangement.ts';
import type { Stored } from './h5.ts';
import { refusal } from './refusal.ts';

/** A file, and how many arrays each optimizer of a MultiOptimizer has there. */
export interface Found extends Told {
  readonly sizes: readonly number[];
}

/** A state, and the shapes of the variables that it is for, where the arrays tell them. */
export interface Placed {
  readonly state: StateToCome;
  readonly shapes: readonly (readonly number[])[] | undefined;
}

/** The state of an optimizer, which is not built, by `arrays` in the order of the file. */
export function placed(found: Found, optimizer: Optimizer, arrays: readonly Stored[]): Placed {
  if (optimizer instanceof LossScaleOptimizer) return ofLossScale(found, optimizer, arrays);
  if (optimizer instanceof MultiOptimizer) return ofMulti(found, optimizer, arrays);
  return ofOne(found, optimizer, arrays, false);
}

function ofLossScale(found: Found, { inner_optimizer }: LossScaleOptimizer, arrays: readonly Stored[]): Placed {
  const { counter, learning_rate } = heads(found, true, arrays);
  const steps = numberAt(found, 'step_counter', arrays, 2);
  const scale = arrays[3];
  if (scale === undefined) throw missing(found, 'dynamic_scale', 3);
  if (scale.shape.length > 0) throw misplaced(found, 'dynamic_scale', scale);
  const { state, shapes } = ofOne(found, inner_optimizer, arrays.slice(4), true);
  const counted = { path: arrays[2]?.path as string, shape: [], dtype: 'int64', numbers: [steps] };
  return {
    state: { from: found.path, counter, learning_rate, values: [counted, savedValue(scale)], members: [state] },
    shapes,
  };
}

function ofMulti(found: Found, { optimizers }: MultiOptimizer, arrays: readonly Stored[]): Placed {
  const { counter, learning_rate } = heads(found, true, arrays);
  const { sizes, path } = found;
  if (sizes.length !== optimizers.length || sizes.reduce((a, b) => a + b, 2) !== arrays.length)
    throw refusal(
      'ERR_CKPT_LAYOUT',
      path,
      `${optimizers.length} groups in optimizer/optimizers, with ${arrays.length - 2} arrays in all`,
      `groups of ${sizes.join(', ') || 'none'}`,
    );
  let begin = 2;
  const members = optimizers.map((optimizer, i) => {
    const own = arrays.slice(begin, (begin += sizes[i] as number));
    return ofOne(found, optimizer, own, false).state;
  });
  return { state: { from: path, counter, learning_rate, values: [], members }, shapes: undefined };
}

function ofOne(found: Found, optimizer: Optimizer, arrays: readonly Stored[], wrapped: boolean): Placed {
  const hasRate = rateOf(optimizer) !== undefined;
  const head = heads(found, hasRate, arrays);
  const rest = arrays.slice(hasRate ? 2 : 1);
  const own = { from: found.path, ...head };
  if (rest.length === 0) return { state: { ...own, built: false, values: [] }, shapes: undefined };
  const { layout, kept } = keptBy(optimizer, wrapped);
  if (layout.custom || optimizer instanceof Muon)
    return { state: { ...own, values: rest.map(savedValue) }, shapes: undefined }; // build compares them
  const complete = optimizer instanceof Adafactor ? withPlaceholders(found, kept, rest) : rest;
  const { arrays: ordered, shapes } = arranged(found, kept, complete);
  const { running, product } = ordered.at(-1) === undefined ? recomputed(found, optimizer, head.counter) : {};
  const values = ordered.map((array) => (array === undefined ? (product as SavedValue) : savedValue(array)));
  const known = shapes.length > 0 ? shapes : undefined;
  return { state: { ...own, values, ...(running === undefined ? {} : { running }) }, shapes: known };
}

function keptBy(optimizer: Optimizer, wrapped: boolean) {
  const layout = Optimizer.layoutOf(optimizer);
  const running = Optimizer.runnerOf(optimizer).running !== undefined;
  const kept: Kept = { who: layout.who, layout, running, wrapped };
  return { layout, kept };
}

/** Nadam's product, which a LossScaleOptimizer of Keras does not save, follows from the number of updates. */
function recomputed(found: Found, optimizer: Optimizer, counter: number) {
  const running = Optimizer.runnerOf(optimizer).runningAfter(updatesAfter(counter, optimizer));
  if (running === undefined)
    throw refusal('ERR_CKPT_LAYOUT', found.path, 'the running product of momenta', 'none, and functions as options');
  const product: SavedValue = { shape: [], dtype: 'float64', numbers: [running.float64] };
  return { running, product };
}

/** Calls of apply, and the learning rate where there is one. */
function heads(found: Found, hasRate: boolean, arrays: readonly Stored[]) {
  const counter = numberAt(found, 'iteration', arrays, 0);
  if (!hasRate) return { counter };
  return { counter, learning_rate: numberAt(found, 'learning_rate', arrays, 1) };
}

function numberAt(found: Found, name: string, arrays: readonly Stored[], i: number): number {
  const array = arrays[i];
  if (array === undefined) throw missing(found, name, i);
  const whole = name !== 'learning_rate';
  if (!sameShape(array.shape, []) || array.dtype.includes('int') !== whole) throw misplaced(found, name, array);
  const number = Number(array.value[0]);
  if (whole ? Number.isSafeInteger(number) && number >= 0 : Number.isFinite(number)) return number;
  throw refusal('ERR_CKPT_LAYOUT', found.path, `"${array.path}", its ${name}, to be a number that can be`, `${number}`);
}

const missing = ({ path }: Found, name: string, i: number) =>
  refusal('ERR_CKPT_LAYOUT', path, `${name} as number ${i} of the optimizer's variables`, 'nothing');
const misplaced = ({ path }: Found, name: string, array: Stored) =>
  refusal(
    'ERR_CKPT_LAYOUT',
    path,
    `"${array.path}" to be ${name}, one number`,
    `shape [${array.shape.join(', ')}] of ${array.dtype}`,
  );

const savedValue = ({ path, shape, dtype, value }: Stored): SavedValue => ({
  path,
  shape,
  dtype,
  numbers: value instanceof BigInt64Array || value instanceof BigUint64Array ? Array.from(value, Number) : value,
});

/** The shapes of the variables that a state is for; undefined where it does not tell them. */
export function shapesIn(optimizer: Optimizer, { trained, members }: StateOf): Placed['shapes'] {
  const [inner] = Optimizer.runnerOf(optimizer).wrapped;
  if (trained !== undefined) return trained.map(({ shape }) => shape);
  if (optimizer instanceof LossScaleOptimizer && inner !== undefined) return shapesIn(inner, members[0] as StateOf);
  return undefined;
}
