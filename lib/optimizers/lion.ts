import type { Arithmetic } from '../arithmetic.ts';
import { fraction, orCallable, positiveFraction, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** What the direction has of the momentum, in (0, 1]; or a function of no arguments, called once a step. */
  beta_1: orCallable(positiveFraction(0.9)),
  /** What the momentum keeps of itself, in [0, 1]; or a function of no arguments, called once a step. */
  beta_2: orCallable(fraction(0.99)),
};
const fields = { ...common(0.001), ...own };

export interface Lion extends Values<typeof own> {}

/**
 * Lion, arxiv.org/abs/2302.06675: every element moves by the learning rate, in the direction of an average of gradient and
 * momentum. A rate 3 to 10 times smaller than Adam's suits it, and a `weight_decay` as much larger.
 * Source: keras/src/optimizers/lion.py.
 *
 * @example new Lion({ learning_rate: 0.0001, weight_decay: 0.01 })
 */
export class Lion extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Lion';

  protected override get rule(): string {
    return 'lion';
  }
  protected override get blocks() {
    return [['momentum']];
  }
  protected override scalars(hyper: Hyper<typeof fields>, { learning_rate }: Moment, { round, sub }: Arithmetic) {
    const [beta_1, beta_2] = [round(hyper.beta_1), round(hyper.beta_2)];
    return { beta_1, one_minus_beta_1: sub(1, beta_1), beta_2, one_minus_beta_2: sub(1, beta_2), learning_rate };
  }
}
