// TensorFlow.js, on the backend that the mode names.
import * as tf from '@tensorflow/tfjs-core';

import type { Instance, Task } from '../host.ts';
import { instanceOf } from './tensors.ts';

/** By the name in `tf.train`, the options in the order of its arguments. */
const kinds = {
  sgd: ['learning_rate'],
  momentum: ['learning_rate', 'momentum'],
  rmsprop: ['learning_rate', 'rho', 'momentum', 'epsilon', 'centered'],
  adagrad: ['learning_rate', 'initial_accumulator_value'], // its epsilon is the backend's, 1e-7
  adam: ['learning_rate', 'beta_1', 'beta_2', 'epsilon'],
  adamax: ['learning_rate', 'beta_1', 'beta_2', 'epsilon'],
} as const;

function optimizerOf({ rule, plain }: Task): tf.Optimizer {
  const kind = rule === 'sgd_momentum' ? 'momentum' : (rule.split('_')[0] as keyof typeof kinds);
  const makers = tf.train as unknown as Readonly<Record<string, (...options: unknown[]) => tf.Optimizer>>;
  const make = makers[kind];
  if (make === undefined) throw new Error(`TensorFlow.js has no ${rule}`);
  return make(...kinds[kind].map((name) => plain[name]));
}

export const make = (task: Task, backend: string): Promise<Instance> =>
  instanceOf(task, backend, () => optimizerOf(task));
