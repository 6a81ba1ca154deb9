import type { Arithmetic } from '../arithmetic.ts';
import { flag, fraction, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** What the velocity keeps of itself, in [0, 1]; 0: there is none. */
  momentum: fraction(0),
  /** Whether the step looks ahead along the velocity. */
  nesterov: flag(false),
};
const fields = { ...common(0.01), ...own };

export interface SGD extends Values<typeof own> {}

/**
 * Stochastic gradient descent: `p - g lr`; with momentum `m <- m momentum - g lr`, `p + m`, or Nesterov's
 * `p + m momentum - g lr`. Source: keras/src/optimizers/sgd.py.
 *
 * @example new SGD({ learning_rate: 0.01, momentum: 0.9, nesterov: true })
 */
export class SGD extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'SGD';

  protected override get rule(): string {
    if (this.momentum === 0) return 'sgd';
    return this.nesterov ? 'sgd_nesterov' : 'sgd_momentum';
  }
  protected override get blocks() {
    return this.momentum === 0 ? [] : [['momentum']];
  }
  protected override scalars({ momentum }: Hyper<typeof fields>, { learning_rate }: Moment, { round }: Arithmetic) {
    return { learning_rate, momentum: round(momentum) };
  }
}
