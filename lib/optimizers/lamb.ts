import type { Arithmetic } from '../arithmetic.ts';
import { fraction, nonNegative, orCallable, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** Decay of the mean of the gradients, in [0, 1]; or a function of no arguments, called once a step. */
  beta_1: orCallable(fraction(0.9)),
  /** Decay of the mean of their squares, in [0, 1]; or a function of no arguments, called once a step. */
  beta_2: orCallable(fraction(0.999)),
  /** Keeps the divisor from 0, >= 0. */
  epsilon: nonNegative(1e-7),
};
const fields = { ...common(0.001), ...own };

export interface Lamb extends Values<typeof own> {}

/**
 * Lamb, arxiv.org/abs/1904.00962: Adam with a step as long as the variable, for training with large batches. Each variable's step
 * is scaled by the norm of the variable over that of Adam's direction. `weight_decay` is Keras's decoupled one; in the paper it is a
 * part of the direction. Source: keras/src/optimizers/lamb.py.
 *
 * It keeps one array of a variable's length beside its state, for the direction.
 *
 * @example new Lamb({ learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 })
 */
export class Lamb extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Lamb';

  protected override get rule(): string {
    return 'lamb';
  }
  protected override get blocks() {
    return [['momentum', 'velocity']];
  }
  protected override scalars(
    { beta_1, beta_2, epsilon }: Hyper<typeof fields>,
    { step, learning_rate }: Moment,
    { round, sub, pow }: Arithmetic,
  ) {
    const power = (beta: number) => pow(round(beta), round(step));
    return {
      one_minus_beta_1: round(1 - beta_1),
      one_minus_beta_2: round(1 - beta_2),
      one_minus_beta_1_power: sub(1, power(beta_1)),
      one_minus_beta_2_power: sub(1, power(beta_2)),
      epsilon: round(epsilon),
      learning_rate,
    };
  }
}
