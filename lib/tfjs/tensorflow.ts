// The caller's TensorFlow.js. Only its types are imported: there is one copy of it in a process, and it is the caller's.
import type * as core from '@tensorflow/tfjs-core';

/** TensorFlow.js as the caller imported it: `@tensorflow/tfjs`, `@tensorflow/tfjs-core` or `@tensorflow/tfjs-node`. */
export type TensorFlow = typeof core;
/** A tensor of your TensorFlow.js. */
export type Tensor = core.Tensor;
/** What TensorFlow.js's optimizers take and give. */
export interface NamedTensor {
  name: string;
  tensor: Tensor;
}
/** A variable of your TensorFlow.js. */
export type TensorVariable = core.Variable;
export type Backend = core.KernelBackend;

/** The backend that holds a tensor's numbers, which is another one than the current one after `tf.setBackend`. */
export const backendOf = (tf: TensorFlow, { dataId }: Tensor): Backend =>
  tf.engine().state.tensorInfo.get(dataId)?.backend ?? tf.backend();

/** Makes a variable show an array: without a copy where the backend keeps arrays as they are. */
export function show(tf: TensorFlow, variable: TensorVariable, array: Float32Array): void {
  const tensor = tf.tensor(array, variable.shape, 'float32');
  variable.assign(tensor);
  tensor.dispose();
}
