import { counting, finite, flag, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The rate at step 0. */
  initial_learning_rate: finite(),
  /** Steps of the decay, > 0. */
  decay_steps: counting(positive()),
  /** What the rate is multiplied with in `decay_steps` steps. */
  decay_rate: finite(),
  /** Whether it falls in whole decays instead of at every step. */
  staircase: flag(false),
  ...named('ExponentialDecay'),
};

export interface ExponentialDecay extends Values<typeof fields> {}

/**
 * `initial_learning_rate * decay_rate ** (step / decay_steps)`; with `staircase`, the quotient is floored.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py.
 *
 * @example new ExponentialDecay({ initial_learning_rate: 0.1, decay_steps: 1000, decay_rate: 0.96 })
 */
export class ExponentialDecay extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'ExponentialDecay';

  override at(step: number): number {
    const p = step / this.decay_steps;
    return this.initial_learning_rate * this.decay_rate ** (this.staircase ? Math.floor(p) : p);
  }
}
