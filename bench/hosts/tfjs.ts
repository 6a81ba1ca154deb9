// TensorFlow.js, on the backend that the mode names.
import * as tf from '@tensorflow/tfjs-core';

import { timed, type Instance, type Task } from '../host.ts';
import { gradientOf, variableOf } from '../inputs.ts';
import { elementsOf } from '../work.ts';

type Optimizer = ReturnType<typeof tf.train.adam | typeof tf.train.sgd | typeof tf.train.momentum>;

function optimizerOf({ rule, plain }: Task): Optimizer {
  const of = (name: string): number => plain[name] as number;
  if (rule === 'sgd') return tf.train.sgd(of('learning_rate'));
  if (rule === 'sgd_momentum') return tf.train.momentum(of('learning_rate'), of('momentum'));
  return tf.train.adam(of('learning_rate'), of('beta_1'), of('beta_2'), of('epsilon'));
}

export async function make(task: Task, backend: string): Promise<Instance> {
  tf.enableProdMode(); // no advice on the console
  await import('@tensorflow/tfjs-backend-cpu');
  if (backend === 'wasm') (await import('@tensorflow/tfjs-backend-wasm')).setThreadsCount(task.threads);
  await tf.setBackend(backend);
  const variables = task.shapes.map((shape, i) => tf.variable(tf.tensor(variableOf(elementsOf(shape), i), [...shape])));
  const gradients = variables.map(({ name, shape, size }, i) => ({
    name,
    tensor: tf.tensor(gradientOf(size, i), shape),
  }));
  const optimizer = optimizerOf(task);
  return {
    run: timed(() => optimizer.applyGradients(gradients)),
    values: () => variables.map((variable) => variable.dataSync()),
    drop: () => tf.dispose([...variables, ...gradients.map(({ tensor }) => tensor)]),
    version: `TensorFlow.js ${tf.version_core}`,
  };
}
