// The same few steps by this library and by Keras: what they start from, and what both leave.
import {
  deserialize,
  IndexedSlices,
  LossScaleOptimizer,
  MultiOptimizer,
  stringify,
  Variable,
  type Optimizer,
} from '../../lib/index.ts';
import { pattern } from '../../bench/inputs.ts';
import type { Configuration } from '../promise.ts';
import { decode, encode, type Keras, type Sent, type SentGradient, type Training } from './keras.ts';

export type Numbers = ArrayLike<number> & Iterable<number>;
type Run = Training<Numbers>;

export const parts = [
  { path: 'dense/kernel', shape: [7, 5] }, // not a whole number of vectors
  { path: 'dense/bias', shape: [3] },
  { path: 'norm/scale', shape: [] },
] as const;
const lengthOf = ({ shape }: { readonly shape: readonly number[] }): number => shape.reduce((a, b) => a * b, 1);

/** What each part is before the first step. */
export const beginning: readonly Numbers[] = parts.map((part, i) => pattern(lengthOf(part), 3 * i));

/** The gradients of step t, counted from 1: multiples of 1/256 in (-1, 1), a fifth of them 0. */
export const gradientsOf = (t: number): readonly Float32Array[] =>
  parts.map((part, i) => pattern(lengthOf(part), 3 * i + 17 * t + 100).map((g, k) => ((k + t) % 5 === 4 ? 0 : g)));

type Gradients = readonly (Float32Array | IndexedSlices)[];
export type GradientsAt = (t: number) => Gradients;

/** The same, but of three rows of the matrix, other ones in each step, only what they have. */
export const sparseGradientsOf = (t: number): Gradients =>
  gradientsOf(t).map((gradient, i) => {
    const { shape } = parts[i] as (typeof parts)[number];
    if (shape.length < 2) return gradient;
    const [rows, columns] = shape as readonly [number, number];
    const indices = [5, 1, 3].map((row) => (row + 2 * t) % rows);
    return new IndexedSlices(gradient.slice(0, 3 * columns), indices, shape);
  });

/** Where a training goes on: the numbers of the variables, and of the optimizer's. */
export interface Start {
  readonly values: readonly Numbers[];
  readonly state: readonly Numbers[] | null;
  /** Steps before it. */
  readonly after: number;
}
export const fromTheBeginning: Start = { values: beginning, state: null, after: 0 };
export const startAfter = (run: Run, after: number): Start => {
  const { values, state } = run.moments[after - 1] as Run['moments'][number];
  return { values, state, after };
};
const stepsFrom = ({ after }: Start, count: number, gradients: GradientsAt): Gradients[] =>
  Array.from({ length: count }, (_, i) => gradients(after + i + 1));

const sent = (gradient: Float32Array | IndexedSlices): SentGradient => {
  if (gradient instanceof Float32Array) return encode(gradient);
  const { values, indices, dense_shape } = gradient;
  return { values: encode(values), indices: [...indices], shape: [indices.length, ...dense_shape.slice(1)] };
};

/** With a name that is the same on both sides, where none is given. */
const optimizerOf = ({ class: class_name, args: config }: Configuration): Optimizer =>
  deserialize({ class_name, config: { name: 'optimizer', ...config } }) as Optimizer;

const variableOf = ({ path, shape }: (typeof parts)[number], values: Numbers): Variable =>
  new Variable(Float32Array.from(values), { name: path, shape });

/** A MultiOptimizer has none. */
const rateOf = (optimizer: Optimizer): number => {
  const inner = optimizer instanceof LossScaleOptimizer ? optimizer.inner_optimizer : optimizer;
  return inner instanceof MultiOptimizer ? 0 : inner.learning_rate;
};

/** `count` steps of ours. */
export function trainOurs(c: Configuration, start: Start, count: number, given: GradientsAt = gradientsOf): Run {
  const optimizer = optimizerOf(c);
  const variables = parts.map((part, i) => variableOf(part, start.values[i] ?? []));
  optimizer.build(variables);
  if (start.state !== null) optimizer.set_weights(start.state.map((numbers) => Float64Array.from(numbers)));
  const numbersOf = (list: readonly Variable[]) => list.map(({ value }) => Float64Array.from(value, Number));
  const moments = stepsFrom(start, count, given).map((gradients) => {
    const rate = rateOf(optimizer);
    optimizer.apply(gradients);
    return { rate, values: numbersOf(variables), state: numbersOf(optimizer.variables) };
  });
  optimizer.finalize_variable_values();
  const kept = optimizer.variables.map(({ path, shape, dtype }) => ({ path, shape, dtype }));
  const run = { moments, finalized: numbersOf(variables), kept };
  optimizer.dispose();
  return run;
}

/** `count` steps of the optimizer that Keras makes of our config. */
export async function trainKeras(
  keras: Keras,
  c: Configuration,
  start: Start,
  count: number,
  given: GradientsAt = gradientsOf,
): Promise<Run> {
  const optimizer = optimizerOf(c);
  optimizer.build(parts.map((part, i) => variableOf(part, start.values[i] ?? [])));
  const shapes = optimizer.variables.map(({ shape }) => shape);
  const state = start.state?.map((numbers, i): Sent => ({ shape: shapes[i] ?? [], values: encode(numbers) })) ?? null;
  const { moments, finalized, kept } = await keras.ask('train', {
    text: stringify(optimizer),
    variables: parts.map((part, i) => ({ ...part, values: encode(start.values[i] ?? []) })),
    state,
    gradients: stepsFrom(start, count, given).map((gradients) => gradients.map(sent)),
  });
  optimizer.dispose();
  const decoded = moments.map(({ rate, values, state }) => ({
    rate,
    values: values.map(decode),
    state: state.map(decode),
  }));
  return { moments: decoded, finalized: finalized.map(decode), kept };
}
