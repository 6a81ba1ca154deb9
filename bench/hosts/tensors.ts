// What the drivers on TensorFlow.js share: a backend, the task's tensors, and steps of an optimizer on them.
import * as tf from '@tensorflow/tfjs-core';

import { timed } from '../../lib/bench/measure.ts';
import type { Instance, Task } from '../host.ts';
import { gradientOf, variableOf } from '../inputs.ts';
import { loadTfjsNode } from '../tfjs/node.ts';
import { elementsOf } from '../work.ts';

async function start(backend: string, threads: number): Promise<void> {
  tf.enableProdMode(); // no advice on the console
  if (backend === 'tensorflow') loadTfjsNode();
  else await import('@tensorflow/tfjs-backend-cpu');
  if (backend === 'wasm') (await import('@tensorflow/tfjs-backend-wasm')).setThreadsCount(threads);
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no backend ${backend}`);
}

/** Made by an operation, as gradients are: numbers of the caller's may still lie on this side of a backend. */
const computed = (values: Float32Array, shape: number[]): tf.Tensor =>
  tf.tidy(() => tf.mul(tf.tensor(values, shape), 1));

/** A backend with an optimizer, made when the backend is there, and variables that it has not stepped yet. */
export async function instanceOf(task: Task, backend: string, optimizerOf: () => tf.Optimizer): Promise<Instance> {
  await start(backend, task.threads);
  const variables = task.shapes.map((shape, i) =>
    tf.tidy(() => tf.variable(computed(variableOf(elementsOf(shape), i), [...shape]))),
  );
  const gradients = variables.map(({ name, shape, size }, i) => ({
    name,
    tensor: computed(gradientOf(size, i), shape),
  }));
  const optimizer = optimizerOf();
  return {
    run: timed(() => optimizer.applyGradients(gradients)),
    values: () => variables.map((variable) => variable.dataSync()),
    drop: () => {
      optimizer.dispose();
      tf.dispose([...variables, ...gradients.map(({ tensor }) => tensor)]);
    },
    version: `TensorFlow.js ${tf.version_core}`,
  };
}
