// What the backends on the host share: the variables lie in native memory, beside or as those of TensorFlow.js.
import type { Gradient } from '../../gradients.ts';
import { Variable } from '../../variable.ts';
import type { Tensor, TensorFlow, TensorVariable } from '../tensorflow.ts';
import type { Host } from './host.ts';

export abstract class NativeHost implements Host {
  protected readonly tf: TensorFlow;

  constructor(tf: TensorFlow) {
    this.tf = tf;
  }

  variable({ shape, name }: TensorVariable): Variable {
    return Variable.zeros(shape, { name });
  }

  abstract gradient(tensor: Tensor): Gradient;
  abstract take(from: TensorVariable, variable: Variable): void;
  abstract give(variable: Variable, to: TensorVariable): void;

  tensorOf({ value, shape }: Variable): Tensor {
    const numbers = value as ArrayLike<number | bigint>; // int64 is the counter's
    if (numbers instanceof Float32Array) return this.tf.tensor(numbers.slice(), [...shape], 'float32');
    return this.tf.tensor(
      Array.from(numbers, Number),
      [...shape],
      numbers instanceof Float64Array ? 'float32' : 'int32',
    );
  }
}
