// TensorFlow.js's differentiation for optimizers on variables of this package, or on plain arrays.
import type { Scalar } from '@tensorflow/tfjs-core';

import type { FloatArray } from '../arrays.ts';
import { typeError } from '../errors.ts';
import type { Tape } from '../pairs.ts';
import type { Trainable } from '../trainables.ts';
import { isVariable } from '../variable.ts';
import type { Tensor, TensorFlow } from './tensorflow.ts';

/** A loss as a function of the variables as tensors, in their order. */
export type TensorLoss = (...variables: Tensor[]) => Scalar;

export const tapeOf = (tf: TensorFlow): Tape<TensorLoss> => ({
  /**
   * The gradients of `loss` at the values of the variables; null for one that it does not depend on. No tensor is left. All is
   * computed in float32, as TensorFlow.js does; the gradient of a float64 variable is a Float64Array.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything but a function; what `loss` and TensorFlow.js throw
   */
  gradient(loss, variables) {
    if (typeof loss !== 'function')
      throw typeError('ERR_OPT_CONFIG_TYPE', 'tape.gradient expects the loss to be a function of tensors');
    const gradients: (FloatArray | null)[] = [];
    tf.tidy(() => {
      const tensors = variables.map((variable) => tensorOf(tf, variable));
      const { grads } = tf.engine().gradients(() => loss(...tensors), tensors, undefined, true);
      for (const [i, gradient] of (grads as (Tensor | undefined)[]).entries())
        gradients.push(gradient ? fitting(variables[i] as Trainable, gradient.dataSync<'float32'>()) : null);
    });
    return gradients;
  },
});

/** A gradient in the dtype of its variable. */
function fitting(trainable: Trainable, gradient: Float32Array): FloatArray {
  const array = isVariable(trainable) ? trainable.value : trainable;
  return array instanceof Float64Array ? Float64Array.from(gradient) : gradient;
}

function tensorOf(tf: TensorFlow, trainable: Trainable): Tensor {
  const [array, shape] = isVariable(trainable)
    ? [trainable.value, trainable.shape]
    : [trainable as Float32Array, [(trainable as Float32Array).length]];
  return tf.tensor(Float32Array.from(array as Float32Array), [...shape], 'float32');
}
