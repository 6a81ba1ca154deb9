import { finite, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named, scheduleField } from './schedule.ts';

const fields = {
  /** What follows, from its step 0. */
  schedule: scheduleField,
  /** Steps until then, > 0. */
  warmup_steps: positive(),
  /** The rate at step 0. */
  initial_learning_rate: finite(0),
  ...named('WarmUp'),
};

export interface WarmUp extends Values<typeof fields> {}

/**
 * Linearly from `initial_learning_rate` to the first value of `schedule` in `warmup_steps` steps; then `schedule`, which
 * counts from there. An extension: Keras has a warm-up in `CosineDecay` only.
 *
 * @example new WarmUp({ schedule: new ExponentialDecay({ ... }), warmup_steps: 500 })
 */
export class WarmUp extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'WarmUp';

  override at(step: number): number {
    const { schedule, warmup_steps, initial_learning_rate } = this;
    if (step >= warmup_steps) return schedule(step - warmup_steps);
    return (schedule(0) - initial_learning_rate) * (step / warmup_steps) + initial_learning_rate;
  }
}
