// The rules that are measured: the class, the same step as plain JavaScript would have it, and TensorFlow.js's optimizer
// where there is one.
import { Adam, AdamW, Nadam, SGD, type Optimizer } from 'keras-optimizers';

export interface Arrays {
  readonly p: Float32Array;
  readonly g: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
}

/** TensorFlow.js as far as it is used here, so that it may be absent. */
export type TensorFlow = typeof import('@tensorflow/tfjs-core');
export type TensorFlowOptimizer = ReturnType<TensorFlow['train']['adam' | 'sgd' | 'momentum']>;

export interface Rule {
  /** Arrays of a step: variable, gradient, slots. All are read, and all but the gradient written. */
  readonly arrays: 2 | 3 | 4;
  readonly optimizer: () => Optimizer;
  /** A function that does the next step on the arrays. */
  readonly javascript: (arrays: Arrays) => () => void;
  readonly tensorflow?: (tf: TensorFlow) => TensorFlowOptimizer;
}

const rate = 0.001;
const momentum = 0.9;
const beta_1 = 0.9;
const beta_2 = 0.999;
const epsilon = 1e-7;
const weight_decay = 0.004;
const adamOptions = { learning_rate: rate, beta_1, beta_2, epsilon };

/** Bytes that a step must read and write for an element. */
export const bytesOf = ({ arrays }: Rule): number => 4 * (2 * arrays - 1);

// The loops are functions of their own: inside a closure V8 keeps the arrays in memory and takes twice as long.

function sgd({ p, g }: Arrays): void {
  for (let i = 0; i < p.length; i++) p[i] = (p[i] as number) - (g[i] as number) * rate;
}

function sgdMomentum({ p, g, m }: Arrays): void {
  for (let i = 0; i < p.length; i++) {
    const next = (m[i] as number) * momentum - (g[i] as number) * rate;
    m[i] = next;
    p[i] = (p[i] as number) + next;
  }
}

function adam({ p, g, m, v }: Arrays, step: number, kept: number): void {
  const alpha = (rate * Math.sqrt(1 - beta_2 ** step)) / (1 - beta_1 ** step);
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    m[i] = first;
    v[i] = second;
    p[i] = (p[i] as number) * kept - (first * alpha) / (Math.sqrt(second) + epsilon);
  }
}

/** `product` is that of the momenta of all steps, this one included. */
function nadam({ p, g, m, v }: Arrays, step: number, product: number): void {
  const ofMoment = (rate * nadamMomentum(step + 1)) / (1 - product * nadamMomentum(step + 1));
  const ofGradient = (rate * (1 - nadamMomentum(step))) / (1 - product);
  const correction = 1 / (1 - beta_2 ** step);
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    m[i] = first;
    v[i] = second;
    const direction = (ofMoment * first + ofGradient * gradient) / (Math.sqrt(second * correction) + epsilon);
    p[i] = (p[i] as number) - direction;
  }
}

const nadamMomentum = (step: number): number => beta_1 * (1 - 0.5 * 0.96 ** step);

/** Counts the steps of a loop. */
const counted =
  (loop: (arrays: Arrays, step: number) => void) =>
  (arrays: Arrays): (() => void) => {
    let step = 0;
    return () => loop(arrays, ++step);
  };

function nadamSteps(arrays: Arrays): () => void {
  let product = 1;
  return counted((_, step) => nadam(arrays, step, (product *= nadamMomentum(step))))(arrays);
}

export const rules: Readonly<Record<string, Rule>> = {
  sgd: {
    arrays: 2,
    optimizer: () => new SGD({ learning_rate: rate }),
    javascript: counted(sgd),
    tensorflow: (tf) => tf.train.sgd(rate),
  },
  sgd_momentum: {
    arrays: 3,
    optimizer: () => new SGD({ learning_rate: rate, momentum }),
    javascript: counted(sgdMomentum),
    tensorflow: (tf) => tf.train.momentum(rate, momentum),
  },
  adam: {
    arrays: 4,
    optimizer: () => new Adam(adamOptions),
    javascript: counted((arrays, step) => adam(arrays, step, 1)),
    tensorflow: (tf) => tf.train.adam(rate, beta_1, beta_2, epsilon),
  },
  adamw: {
    arrays: 4,
    optimizer: () => new AdamW({ ...adamOptions, weight_decay }),
    javascript: counted((arrays, step) => adam(arrays, step, 1 - weight_decay * rate)),
  },
  nadam: { arrays: 4, optimizer: () => new Nadam(adamOptions), javascript: nadamSteps },
};
