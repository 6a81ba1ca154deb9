import type { Arithmetic } from '../arithmetic.ts';
import { fraction, nonNegative, orCallable, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** Decay of the mean of the gradients, in [0, 1]; or a function of no arguments, called once a step. */
  beta_1: orCallable(fraction(0.9)),
  /** Decay of the largest absolute value, in [0, 1]; or a function of no arguments, called once a step. */
  beta_2: orCallable(fraction(0.999)),
  /** Keeps the divisor from 0, >= 0. */
  epsilon: nonNegative(1e-7),
};
const fields = { ...common(0.001), ...own };

export interface Adamax extends Values<typeof own> {}

/**
 * Adam with the largest gradient so far, slowly forgotten, in place of the second moment: arxiv.org/abs/1412.6980, section 7.1.
 * Source: keras/src/optimizers/adamax.py.
 *
 * @example new Adamax({ learning_rate: 0.002, beta_1: 0.9, beta_2: 0.999 })
 */
export class Adamax extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Adamax';

  protected override get rule(): string {
    return 'adamax';
  }
  protected override get blocks() {
    return [['momentum', 'norm']];
  }
  protected override scalars(
    { beta_1, beta_2, epsilon }: Hyper<typeof fields>,
    { step, learning_rate }: Moment,
    { round, sub, pow }: Arithmetic,
  ) {
    return {
      one_minus_beta_1: round(1 - beta_1),
      beta_2: round(beta_2),
      learning_rate,
      one_minus_beta_1_power: sub(1, pow(round(beta_1), round(step))),
      epsilon: round(epsilon),
    };
  }
}
