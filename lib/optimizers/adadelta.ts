import type { Arithmetic } from '../arithmetic.ts';
import { fraction, nonNegative, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** Decay of both means of squares, in [0, 1]. */
  rho: fraction(0.95),
  /** Under the roots, >= 0. */
  epsilon: nonNegative(1e-7),
};
const fields = { ...common(0.001), ...own };

export interface Adadelta extends Values<typeof own> {}

/**
 * Adadelta, arxiv.org/abs/1212.5701: steps as large as those before, by the gradient's own scale. The paper's learning rate
 * is 1; with Keras's default of 0.001 the variables hardly move. Source: keras/src/optimizers/adadelta.py.
 *
 * @example new Adadelta({ learning_rate: 1, rho: 0.95 })
 */
export class Adadelta extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Adadelta';

  protected override get rule(): string {
    return 'adadelta';
  }
  protected override get blocks() {
    return [['accumulated_grad', 'accumulated_delta_var']];
  }
  protected override scalars({ rho, epsilon }: Hyper<typeof fields>, { learning_rate }: Moment, { round }: Arithmetic) {
    return { rho: round(rho), one_minus_rho: round(1 - rho), learning_rate, epsilon: round(epsilon) };
  }
}
