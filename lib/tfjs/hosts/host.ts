// How the numbers of TensorFlow.js's variables come to the native step and back: one answer for each backend.
import type { Gradient } from '../../gradients.ts';
import type { Variable } from '../../variable.ts';
import type { Tensor, TensorVariable } from '../tensorflow.ts';

export interface Host {
  /** What an optimizer trains in place of a variable of TensorFlow.js, once at build; `take` gives it values. */
  variable(of: TensorVariable): Variable;
  /** A gradient as a step reads it; valid until TensorFlow.js does anything else. */
  gradient(tensor: Tensor): Gradient;
  /** Before a step: takes over what TensorFlow.js has, if that is not what the last step left there. */
  take(from: TensorVariable, variable: Variable): void;
  /** After a step: has TensorFlow.js see the values. */
  give(variable: Variable, to: TensorVariable): void;
  /** A new tensor with the values of any variable of an optimizer. */
  tensorOf(variable: Variable): Tensor;
}
