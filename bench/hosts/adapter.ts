// Our optimizers as those of TensorFlow.js, on the backend that the mode names.
import * as tf from '@tensorflow/tfjs-core';
import { optimizers } from 'keras-optimizers/tfjs';

import type { Instance, Task } from '../host.ts';
import { instanceOf } from './tensors.ts';

type Class = new (options: Task['options']) => tf.Optimizer;

function optimizerOf({ className, options }: Task): tf.Optimizer {
  const classes = optimizers(tf) as unknown as Readonly<Record<string, Class | undefined>>;
  const Optimizer = classes[className ?? ''];
  if (Optimizer === undefined) throw new Error(`the adapter has no ${className}`);
  return new Optimizer(options);
}

export const make = (task: Task, backend: string): Promise<Instance> =>
  instanceOf(task, backend, () => optimizerOf(task));
