import { counting, finite, flag, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The rate at step 0. */
  initial_learning_rate: finite(),
  /** Steps of the decay, > 0. */
  decay_steps: counting(positive()),
  /** The rate at the end. */
  end_learning_rate: finite(0.0001),
  /** Of the polynomial: 1 is a line. */
  power: finite(1),
  /** Whether it begins again, longer, when it has ended. */
  cycle: flag(false),
  ...named('PolynomialDecay'),
};

export interface PolynomialDecay extends Values<typeof fields> {}

/**
 * From `initial_learning_rate` to `end_learning_rate` in `decay_steps` steps along `(1 - step / decay_steps) ** power`, then
 * constant; with `cycle`, `decay_steps` grows to its next multiple instead.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py.
 *
 * @example new PolynomialDecay({ initial_learning_rate: 0.1, decay_steps: 10000, end_learning_rate: 0.01, power: 0.5 })
 */
export class PolynomialDecay extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'PolynomialDecay';

  override at(step: number): number {
    const { initial_learning_rate, end_learning_rate, decay_steps, power } = this;
    const cycles = this.cycle && step !== 0 ? Math.ceil(step / decay_steps) : 1;
    const s = this.cycle ? step : Math.min(step, decay_steps);
    return (initial_learning_rate - end_learning_rate) * (1 - s / (decay_steps * cycles)) ** power + end_learning_rate;
  }
}
