import { listOf, type Arguments, type Values } from '../configurable.ts';
import { rangeError } from '../errors.ts';
import { LearningRateSchedule, named, isSchedule } from './schedule.ts';

const fields = {
  /** The schedules, one after the other. */
  schedules: listOf<LearningRateSchedule>('a non-empty array of schedules', isSchedule, (list) => list.length > 0),
  /** The step at which each but the first begins, rising. */
  milestones: listOf<number>('an array of rising numbers', Number.isFinite, (list) =>
    list.every((milestone, i) => milestone > (list[i - 1] ?? -Infinity)),
  ),
  ...named('Sequential'),
};

export interface Sequential extends Values<typeof fields> {}

/**
 * One schedule after the other: `schedules[i + 1]` takes over at step `milestones[i]` and counts from there. There is one
 * milestone less than schedules. An extension: Keras has no such schedule.
 *
 * @example new Sequential({ schedules: [warm, cosine], milestones: [500] })
 */
export class Sequential extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Sequential';

  constructor(...args: Arguments<typeof fields>) {
    super(...args);
    const { schedules, milestones } = this;
    if (schedules.length !== milestones.length + 1)
      throw rangeError(
        'ERR_OPT_CONFIG_RANGE',
        `Sequential expects one schedule more than milestones (${milestones.length}), got ${schedules.length}`,
      );
  }

  override at(step: number): number {
    const { schedules, milestones } = this;
    const current = milestones.filter((milestone) => step >= milestone).length;
    const schedule = schedules[current] as LearningRateSchedule; // one more than milestones
    return schedule(step - (milestones[current - 1] ?? 0));
  }
}
