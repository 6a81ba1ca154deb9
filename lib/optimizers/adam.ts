import type { Arithmetic } from '../arithmetic.ts';
import { flag, fraction, nonNegative, orCallable, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** Decay of the mean of the gradients, in [0, 1]; or a function of no arguments, called once a step. */
  beta_1: orCallable(fraction(0.9)),
  /** Decay of the mean of their squares, in [0, 1]; or a function of no arguments, called once a step. */
  beta_2: orCallable(fraction(0.999)),
  /** Beside the root of the uncorrected mean of squares, >= 0. */
  epsilon: nonNegative(1e-7),
  /** Whether the largest mean of squares so far divides, instead of the last. */
  amsgrad: flag(false),
};
const fields = { ...common(0.001), ...own };

export interface Adam extends Values<typeof own> {}

/**
 * Adam, arxiv.org/abs/1412.6980, with AMSGrad as an option. `epsilon` is the paper's "epsilon hat": it stands beside the
 * root of the uncorrected second moment. Source: keras/src/optimizers/adam.py.
 *
 * @example new Adam({ learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 })
 */
export class Adam extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className: string = 'Adam';

  protected override get rule(): string {
    return this.amsgrad ? 'adam_amsgrad' : 'adam';
  }
  protected override get blocks() {
    return this.amsgrad ? [['momentum', 'velocity'], ['velocity_hat']] : [['momentum', 'velocity']];
  }
  protected override scalars(hyper: Hyper<typeof fields>, moment: Moment, arithmetic: Arithmetic) {
    return adamScalars(hyper, moment, arithmetic);
  }
}

/** The scalars of the rules `adam` and `adam_amsgrad`. */
export function adamScalars(
  { beta_1, beta_2, epsilon }: Readonly<Record<'beta_1' | 'beta_2' | 'epsilon', number>>,
  { step, learning_rate }: Moment,
  { round, sub, mul, div, sqrt, pow }: Arithmetic,
) {
  const power = (beta: number) => pow(round(beta), round(step));
  return {
    one_minus_beta_1: round(1 - beta_1),
    one_minus_beta_2: round(1 - beta_2),
    alpha: div(mul(learning_rate, sqrt(sub(1, power(beta_2)))), sub(1, power(beta_1))),
    epsilon: round(epsilon),
  };
}
