// The network of the MNIST example on TensorFlow.js, over the variables of the plain one.
import * as tf from '@tensorflow/tfjs-core';
import type { Variable } from 'keras-optimizers';
import { kClasses, kPixels, type Batch } from '../../examples/mnist-data.ts';
import type { Score } from '../../examples/network.ts';
import {
  applied,
  crossEntropy,
  differentiate,
  lossAt,
  product,
  repeated,
  startTensorFlow,
  type Weights,
} from './tensors.ts';

await startTensorFlow();

class TensorNetwork {
  readonly variables: readonly Variable[];
  constructor(variables: readonly Variable[]) {
    this.variables = variables;
  }

  /** With `train`, also writes the gradients of the mean loss into the variables' `gradient`. */
  run({ x, labels }: Batch, train: boolean): Score {
    let right = 0;
    const lossOf = (weights: Weights) => {
      const logits = logitsOf(tf.tensor2d(x, [labels.length, kPixels]), weights);
      if (!train) right = rightOnes(logits.dataSync() as Float32Array, labels);
      const targets = new Float32Array(labels.length * kClasses);
      labels.forEach((label, row) => (targets[row * kClasses + label] = 1));
      return crossEntropy(logits, tf.tensor2d(targets, [labels.length, kClasses]));
    };
    const loss = (train ? differentiate : lossAt)(this.variables, lossOf);
    return { loss, accuracy: train ? NaN : right / labels.length };
  }
}

export const onTensors = (variables: readonly Variable[]): TensorNetwork => new TensorNetwork(variables);

function logitsOf(x: tf.Tensor2D, weights: Weights): tf.Tensor2D {
  const [rows, w] = [x.shape[0], (name: string) => weights[name] as tf.Tensor2D];
  const hidden = tf.relu(tf.add<tf.Tensor2D>(applied(x, w('dense/kernel')), repeated(w('dense/bias'), rows)));
  return tf.add(product(hidden, w('dense_1/kernel')), repeated(w('dense_1/bias'), rows));
}

/** Rows whose largest number is the label's. */
function rightOnes(logits: Float32Array, labels: Uint8Array): number {
  const rows = Array.from(labels, (label, row) => ({
    label,
    z: logits.subarray(row * kClasses, (row + 1) * kClasses),
  }));
  return rows.filter(({ label, z }) => z[label] === Math.max(...z)).length;
}
