import type { Arithmetic } from '../arithmetic.ts';
import { finite, nonNegative, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const learningRatePower = {
  ...finite(-0.5),
  expects: 'a number <= 0',
  allows: (x: number) => Number.isFinite(x) && x <= 0,
};
const own = {
  /** Of the sums of squares, <= 0: -0.5 is a root, 0 a constant rate. */
  learning_rate_power: learningRatePower,
  /** What the sums of squares begin at, >= 0. */
  initial_accumulator_value: nonNegative(0.1),
  /** Weight of the L1 penalty, >= 0. */
  l1_regularization_strength: nonNegative(0),
  /** Weight of the L2 penalty, >= 0. */
  l2_regularization_strength: nonNegative(0),
  /** Weight of an L2 penalty that is added to the gradient, >= 0. */
  l2_shrinkage_regularization_strength: nonNegative(0),
  /** The paper's beta, added to the root of the sums. */
  beta: finite(0),
};
const fields = { ...common(0.001), ...own };

export interface Ftrl extends Values<typeof own> {}

/**
 * Ftrl, "follow the regularized leader", doi.org/10.1145/2487575.2488200: for wide, sparse, linear models. `l1_...` makes
 * variables exactly 0, `l2_...` and the paper's `beta` damp them, `l2_shrinkage_...` is a penalty of the loss.
 * `learning_rate_power` says how the rate falls with the sum of squared gradients: -0.5 as in the paper, 0 not at all.
 * Source: keras/src/optimizers/ftrl.py.
 *
 * Every step computes the variable from the slots: an element that has not had a gradient yet becomes 0. A learning rate of
 * 0 divides by 0, as in Keras: the variables are NaN from then on.
 *
 * @example new Ftrl({ learning_rate: 0.05, l1_regularization_strength: 0.01 })
 */
export class Ftrl extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Ftrl';

  protected override get rule(): string {
    return this.learning_rate_power === -0.5 ? 'ftrl' : 'ftrl_power';
  }
  protected override get blocks() {
    return [['accumulator', 'linear']];
  }
  protected override get initial() {
    return { accumulator: this.initial_accumulator_value };
  }
  protected override scalars(
    hyper: Hyper<typeof fields>,
    { learning_rate }: Moment,
    { round, add, mul, div }: Arithmetic,
  ) {
    const beta = div(round(hyper.beta), mul(2, learning_rate));
    return {
      learning_rate,
      l1: round(hyper.l1_regularization_strength),
      two_l2: mul(2, add(round(hyper.l2_regularization_strength), beta)),
      two_l2_shrinkage: round(2 * hyper.l2_shrinkage_regularization_strength),
      power: round(-hyper.learning_rate_power),
    };
  }
}
