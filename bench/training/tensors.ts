// What the networks on TensorFlow.js share. Its WebAssembly backend is fast at the plain product of two matrices; it is
// slow at products of transposed ones and at sums over rows, so everything here is made of that product.
import { createRequire } from 'node:module';
import * as tf from '@tensorflow/tfjs-core';
import '@tensorflow/tfjs-backend-wasm';
import type { Variable } from 'keras-optimizers';

// The package's entry for Node leaves them out.
createRequire(import.meta.url)('@tensorflow/tfjs-core/dist/register_all_gradients.js');

/** Variables as matrices, by their paths. */
export type Weights = Readonly<Record<string, tf.Tensor2D>>;

/** Before anything else. */
export async function startTensorFlow(): Promise<void> {
  tf.enableProdMode(); // no advice on the console
  if (!(await tf.setBackend('wasm'))) throw new Error('the wasm backend of TensorFlow.js cannot start');
}

export const transposed = <T extends tf.Tensor>(x: T): T => tf.transpose(x, x.rank === 3 ? [0, 2, 1] : [1, 0]);

export const product = <T extends tf.Tensor>(x: T, y: T): T =>
  tf.customGrad((x, y, save) => {
    (save as tf.GradSaveFunc)([x as T, y as T]);
    const gradFunc = (dz: tf.Tensor, saved: tf.Tensor[]) => {
      const [x, y] = saved as [T, T];
      return [tf.matMul(dz, transposed(y)), tf.matMul(transposed(x), dz)];
    };
    return { value: tf.matMul(x as T, y as T), gradFunc };
  })(x, y) as T;

/** The product with data, of which no gradient is wanted. */
export const applied = (data: tf.Tensor2D, kernel: tf.Tensor2D): tf.Tensor2D =>
  tf.customGrad((kernel, save) => {
    (save as tf.GradSaveFunc)([data]);
    const gradFunc = (dz: tf.Tensor, [data]: tf.Tensor[]) => tf.matMul(transposed(data as tf.Tensor2D), dz);
    return { value: tf.matMul(data, kernel as tf.Tensor2D), gradFunc };
  })(kernel) as tf.Tensor2D;

/** The row vector in every row. */
export const repeated = (row: tf.Tensor2D, rows: number): tf.Tensor2D => applied(tf.ones([rows, 1]), row);

/** Mean cross-entropy, for targets that are rows of zeros and a one. */
export const crossEntropy = (logits: tf.Tensor2D, targets: tf.Tensor2D): tf.Scalar =>
  tf.div(tf.sum(tf.mul(tf.logSoftmax(logits), targets)), -logits.shape[0]);

function weightsOf(variables: readonly Variable[]): Weights {
  const tensor = ({ path, value, shape: [rows = 1, columns] }: Variable) =>
    [path, tf.tensor2d(value as Float32Array, columns === undefined ? [1, rows] : [rows, columns])] as const;
  return Object.fromEntries(variables.map(tensor));
}

/** The loss; `lossOf` makes it of the variables' values. */
export const lossAt = (variables: readonly Variable[], lossOf: (weights: Weights) => tf.Scalar): number =>
  tf.tidy(() => lossOf(weightsOf(variables)).dataSync()[0] as number);

/** The same; writes the gradients into the variables' `gradient`. */
export function differentiate(variables: readonly Variable[], lossOf: (weights: Weights) => tf.Scalar): number {
  return tf.tidy(() => {
    const weights = weightsOf(variables);
    const named = (tensors: tf.Tensor[]) =>
      Object.fromEntries(tensors.map((x, i) => [variables[i]?.path, x])) as Weights;
    const { value, grads } = tf.valueAndGrads((...tensors: tf.Tensor[]) => lossOf(named(tensors)))(
      Object.values(weights),
    );
    grads.forEach((gradient, i) => variables[i]?.gradient.set(gradient.dataSync()));
    return value.dataSync()[0] as number;
  });
}
