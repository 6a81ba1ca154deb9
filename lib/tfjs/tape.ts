// TensorFlow.js's differentiation for optimizers on variables of this package, or on plain arrays.
import type { Scalar } from '@tensorflow/tfjs-core';

import { typeError } from '../errors.ts';
import type { Tape } from '../pairs.ts';
import type { Trainable } from '../trainables.ts';
import { isVariable } from '../variable.ts';
import type { Tensor, TensorFlow } from './tensorflow.ts';

/** A loss as a function of the variables as tensors, in their order. */
export type TensorLoss = (...variables: Tensor[]) => Scalar;

export const tapeOf = (tf: TensorFlow): Tape<TensorLoss> => ({
  /**
   * The gradients of `loss` at the values of the variables; null for one that it does not depend on. No tensor is left.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything but a function; what `loss` and TensorFlow.js throw
   */
  gradient(loss, variables) {
    if (typeof loss !== 'function')
      throw typeError('ERR_OPT_CONFIG_TYPE', 'tape.gradient expects the loss to be a function of tensors');
    const gradients: (Float32Array | null)[] = [];
    tf.tidy(() => {
      const tensors = variables.map((variable) => tensorOf(tf, variable));
      const { grads } = tf.engine().gradients(() => loss(...tensors), tensors, undefined, true);
      for (const gradient of grads as (Tensor | undefined)[]) gradients.push(gradient?.dataSync<'float32'>() ?? null);
    });
    return gradients;
  },
});

function tensorOf(tf: TensorFlow, trainable: Trainable): Tensor {
  const [array, shape] = isVariable(trainable)
    ? [trainable.value, trainable.shape]
    : [trainable as Float32Array, [(trainable as Float32Array).length]];
  return tf.tensor(Float32Array.from(array as Float32Array), [...shape], 'float32');
}
