// The drivers: what does a step, or moves as much memory. All are run through the same interface.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { Variable } from 'keras-optimizers';
import { addon, useBackend } from '../dist/native.js';
import { bytesOf, rules, type Rule } from './rules.ts';

export interface Driver {
  readonly name: string;
  /** Read and written in a repetition. */
  readonly bytes: number;
  /** Does that many repetitions; returns the seconds they took. */
  readonly run: (repetitions: number) => number;
  /** The variable as it is now; absent where no rule is computed. */
  readonly values?: () => ArrayLike<number>;
}

/** A loop of bench/traffic.cpp; returns seconds. */
type Loop = (arrays: number, elements: number, repetitions: number, threads: number) => number;

/** Says how many threads a step and the loops beside it use. */
export const threadsVariable = 'KERAS_OPTIMIZERS_NUM_THREADS';
export const trafficAddon = fileURLToPath(new URL('../build-cmake/bench/traffic.node', import.meta.url));

/** Backends of the library, best first, with the reason if one cannot run here. */
export const { backends } = addon;
const usable = backends.filter(({ unusable }) => unusable === null).map(({ name }) => name);

/** Every driver by name, with what it does. */
export const drivers: Readonly<Record<string, string>> = {
  traffic: 'a C++ loop that reads and writes the arrays of the step and only adds, the faster of two widths',
  memcpy: 'one half of as much memory copied onto the other',
  ...Object.fromEntries(
    usable.map((name) => [name, 'optimizer.apply() on a Variable, gradients in variable.gradient']),
  ),
  arrays: `optimizer.apply([gradient]), ${usable[0]}, the variable and the gradient being Float32Arrays`,
  javascript: 'the same step as a loop over Float32Arrays',
  tfjs: 'optimizer.applyGradients of TensorFlow.js, CPU backend',
};

// It needs 0.2 microseconds an element: one step of more elements would take seconds.
const kMostForTensorFlow = 2 ** 20;

/** Why a driver has nothing to measure in a trial; undefined if it has. */
export function whyNot(driver: string, rule: string, elements: number): string | undefined {
  if (driver !== 'tfjs') return undefined;
  if (rules[rule]?.tensorflow === undefined) return `tfjs: TensorFlow.js has no ${rule}`;
  return elements > kMostForTensorFlow
    ? `tfjs: skipped above ${kMostForTensorFlow} elements, a step takes too long`
    : undefined;
}

const timed =
  (step: () => void) =>
  (repetitions: number): number => {
    const start = performance.now();
    for (let i = 0; i < repetitions; i++) step();
    return (performance.now() - start) / 1000;
  };

/** Numbers in [-1, 1], none of them tiny; another `phase` gives others. */
const wave = (elements: number, phase: number): Float32Array => {
  const values = new Float32Array(elements);
  for (let i = 0; i < elements; i++) values[i] = Math.sin((i % 997) + phase);
  return values;
};
const variableOf = (elements: number): Float32Array => wave(elements, 0.25);
const gradientOf = (elements: number): Float32Array => wave(elements, 0.5);

export async function makeDriver(name: string, rule: Rule, elements: number): Promise<Driver> {
  const bytes = bytesOf(rule) * elements;
  if (name === 'traffic') return { name, bytes, run: loopOf(name, rule, elements) };
  if (name === 'memcpy') return { name, bytes: 4 * rule.arrays * elements, run: loopOf(name, rule, elements) };
  if (name === 'arrays') return { name, bytes, ...overArrays(rule, elements) };
  if (name === 'javascript') return { name, bytes, ...javascript(rule, elements) };
  if (name === 'tfjs') return { name, bytes, ...(await tensorflow(rule, elements)) };
  return { name, bytes, ...backend(name, rule, elements) };
}

type Measured = Pick<Driver, 'run' | 'values'>;

function loopOf(name: 'traffic' | 'memcpy', { arrays }: Rule, elements: number): Driver['run'] {
  const loop = (createRequire(import.meta.url)(trafficAddon) as Readonly<Record<typeof name, Loop>>)[name];
  const threads = Number(process.env[threadsVariable] ?? 1);
  return (repetitions) => loop(arrays, elements, repetitions, threads);
}

function backend(name: string, rule: Rule, elements: number): Measured {
  const variable = new Variable(variableOf(elements));
  variable.gradient.set(gradientOf(elements));
  const optimizer = rule.optimizer();
  optimizer.build([variable]);
  const run = timed(() => optimizer.apply());
  const runThere = (repetitions: number): number => {
    useBackend(name); // the first step of an optimizer binds it to the backend that is chosen then
    return run(repetitions);
  };
  return { run: runThere, values: () => variable.value };
}

function overArrays(rule: Rule, elements: number): Measured {
  const variable = variableOf(elements);
  const gradients = [gradientOf(elements)];
  const optimizer = rule.optimizer();
  optimizer.build([variable]);
  const run = timed(() => optimizer.apply(gradients));
  const runThere = (repetitions: number): number => {
    useBackend(usable[0] as string);
    return run(repetitions);
  };
  return { run: runThere, values: () => variable };
}

function javascript(rule: Rule, elements: number): Measured {
  const [m, v] = [1, 2].map((slot) => new Float32Array(rule.arrays >= slot + 2 ? elements : 0)) as [
    Float32Array,
    Float32Array,
  ];
  const p = variableOf(elements);
  return { run: timed(rule.javascript({ p, g: gradientOf(elements), m, v })), values: () => p };
}

async function tensorflow(rule: Rule, elements: number): Promise<Measured> {
  const tf = await import('@tensorflow/tfjs-core');
  tf.enableProdMode(); // no advice on the console
  await import('@tensorflow/tfjs-backend-cpu');
  await tf.setBackend('cpu');
  const variable = tf.variable(tf.tensor1d(variableOf(elements)));
  const gradients = [{ name: variable.name, tensor: tf.tensor1d(gradientOf(elements)) }];
  const optimizer = rule.tensorflow?.(tf);
  return { run: timed(() => optimizer?.applyGradients(gradients)), values: () => variable.dataSync() };
}
