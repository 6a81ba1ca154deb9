import type { Arithmetic } from '../arithmetic.ts';
import { nonNegative, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** What the sums of squares begin at, >= 0. */
  initial_accumulator_value: nonNegative(0.1),
  /** Under the root, >= 0. */
  epsilon: nonNegative(1e-7),
};
const fields = { ...common(0.001), ...own };

export interface Adagrad extends Values<typeof own> {}

/**
 * Adagrad, jmlr.org/papers/v12/duchi11a.html: the gradient over the root of the sum of all squared ones so far, which begins at
 * `initial_accumulator_value`. Source: keras/src/optimizers/adagrad.py.
 *
 * @example new Adagrad({ learning_rate: 0.01, initial_accumulator_value: 0.1 })
 */
export class Adagrad extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Adagrad';

  protected override get rule(): string {
    return 'adagrad';
  }
  protected override get blocks() {
    return [['accumulator']];
  }
  protected override get initial() {
    return { accumulator: this.initial_accumulator_value };
  }
  protected override scalars({ epsilon }: Hyper<typeof fields>, { learning_rate }: Moment, { round }: Arithmetic) {
    return { learning_rate, epsilon: round(epsilon) };
  }
}
