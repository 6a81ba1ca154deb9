import type { Arithmetic } from '../arithmetic.ts';
import { flag, fraction, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const fields = { ...common(0.01), momentum: fraction(0), nesterov: flag(false) };

export interface SGD extends Pick<Values<typeof fields>, 'momentum' | 'nesterov'> {}

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
