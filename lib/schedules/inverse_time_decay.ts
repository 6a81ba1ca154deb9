import { counting, finite, flag, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The rate at step 0. */
  initial_learning_rate: finite(),
  /** Steps of the decay, > 0. */
  decay_steps: counting(positive()),
  /** How fast: after `decay_steps / decay_rate` steps it is half. */
  decay_rate: finite(),
  /** Whether it falls in whole decays instead of at every step. */
  staircase: flag(false),
  ...named('InverseTimeDecay'),
};

export interface InverseTimeDecay extends Values<typeof fields> {}

/**
 * `initial_learning_rate / (1 + decay_rate * step / decay_steps)`; with `staircase`, the quotient is floored.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py.
 *
 * @example new InverseTimeDecay({ initial_learning_rate: 0.1, decay_steps: 1000, decay_rate: 0.5 })
 */
export class InverseTimeDecay extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'InverseTimeDecay';

  override at(step: number): number {
    const p = step / this.decay_steps;
    return this.initial_learning_rate / (1 + this.decay_rate * (this.staircase ? Math.floor(p) : p));
  }
}
