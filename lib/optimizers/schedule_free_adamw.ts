import type { Arithmetic } from '../arithmetic.ts';
import { counting, fraction, nonNegative, orCallable, positiveFraction, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment } from '../step.ts';
import { common } from './common.ts';

const own = {
  /** Where gradients are taken, between the base point (0, excluded) and the average (1); or a function of no arguments. */
  beta_1: orCallable(positiveFraction(0.9)),
  /** Decay of the mean of their squares, in [0, 1]; or a function of no arguments, called once a step. */
  beta_2: orCallable(fraction(0.999)),
  /** Keeps the divisor from 0, >= 0. */
  epsilon: nonNegative(1e-8),
  /** Steps in which the learning rate rises from 0, >= 0. */
  warmup_steps: counting(nonNegative(0)),
};
const fields = { ...common(0.0025), ...own };

export interface ScheduleFreeAdamW extends Values<typeof own> {}

/**
 * Schedule-Free AdamW, arxiv.org/abs/2405.15682: no schedule is needed, because an average of all points so far takes its
 * place. The variables hold the paper's y, between that average x and the point z, the slot `momentum`; `beta_1` says how
 * near to x. `x = (y - (1 - beta_1) z) / beta_1` is the better point to evaluate. The numbers are those of Keras on JAX; on
 * TensorFlow Keras reads a z that has moved already. Source: keras/src/optimizers/schedule_free_adamw.py.
 *
 * @example new ScheduleFreeAdamW({ learning_rate: 0.0025, warmup_steps: 100 })
 */
export class ScheduleFreeAdamW extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'ScheduleFreeAdamW';

  protected override get rule(): string {
    return 'schedule_free_adamw';
  }
  protected override get blocks() {
    return [['momentum', 'velocity']];
  }
  protected override get initial() {
    return { momentum: 'variable' as const };
  }
  protected override scalars(
    hyper: Hyper<typeof fields>,
    { step, learning_rate }: Moment,
    { round, sub, mul, div, pow }: Arithmetic,
  ) {
    const [beta_1, beta_2, warmup] = [round(hyper.beta_1), round(hyper.beta_2), round(hyper.warmup_steps)];
    const weight = div(1, round(step));
    return {
      one_minus_beta_2: sub(1, beta_2),
      one_minus_beta_1: sub(1, beta_1),
      beta_1,
      learning_rate: step < warmup ? mul(learning_rate, div(round(step), warmup)) : learning_rate,
      one_minus_beta_2_power: sub(1, pow(beta_2, round(step))),
      epsilon: round(hyper.epsilon),
      one_minus_weight: sub(1, weight),
      weight,
    };
  }
}
