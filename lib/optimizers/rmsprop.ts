import type { Arithmetic } from '../arithmetic.ts';
import { flag, fraction, nonNegative, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** Decay of the mean of the squares, in [0, 1]. */
  rho: fraction(0.9),
  /** What a step keeps of the step before it, in [0, 1]. */
  momentum: fraction(0),
  /** Under the root, >= 0. */
  epsilon: nonNegative(1e-7),
  /** Whether the square of the mean gradient is taken off the mean of squares. */
  centered: flag(false),
};
const fields = { ...common(0.001), ...own };

export interface RMSprop extends Values<typeof own> {}

/**
 * RMSprop: the gradient over the root of its mean square, with momentum and, `centered`, over its standard deviation, as
 * options. `epsilon` stands under the root. Source: keras/src/optimizers/rmsprop.py.
 *
 * @example new RMSprop({ learning_rate: 0.001, rho: 0.9, momentum: 0.9, centered: true })
 */
export class RMSprop extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'RMSprop';

  protected override get rule(): string {
    return `rmsprop${this.centered ? '_centered' : ''}${this.momentum > 0 ? '_momentum' : ''}`;
  }
  protected override get blocks() {
    return [
      ['velocity'],
      ...(this.momentum > 0 ? [['momentum']] : []),
      ...(this.centered ? [['average_gradient']] : []),
    ];
  }
  protected override scalars(
    { rho, momentum, epsilon }: Hyper<typeof fields>,
    { learning_rate }: Moment,
    { round }: Arithmetic,
  ) {
    return {
      rho: round(rho),
      one_minus_rho: round(1 - rho),
      learning_rate,
      epsilon: round(epsilon),
      momentum: round(momentum),
    };
  }
}
