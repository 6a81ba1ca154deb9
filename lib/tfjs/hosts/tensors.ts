// TensorFlow.js where no kernel of ours reaches its numbers, on a GPU behind WebGL, WebGPU or libtensorflow: its variables are trained
// where they lie, by its own operations.
import type { Gradient } from '../../gradients.ts';
import type { Variable } from '../../variable.ts';
import { spaceOf, type TensorSpace } from '../space.ts';
import type { Tensor, TensorFlow, TensorVariable } from '../tensorflow.ts';
import type { Host } from './host.ts';

export class TensorHost implements Host {
  readonly #space: TensorSpace;

  constructor(tf: TensorFlow) {
    this.#space = spaceOf(tf);
  }

  variable(of: TensorVariable): Variable {
    return this.#space.variable(of);
  }

  gradient(tensor: Tensor): Gradient {
    return this.#space.gradient(tensor);
  }

  take(): void {} // there is one place for the numbers
  give(): void {}

  tensorOf(variable: Variable): Tensor {
    return this.#space.tensorOf(variable);
  }
}
