import { finite, nullable, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The highest rate. */
  maximal_learning_rate: finite(),
  /** Steps of the whole, > 0. */
  total_steps: positive(),
  /** The rate at step 0; null: a tenth of the highest. */
  initial_learning_rate: nullable(finite()),
  /** Steps of the last part; null: a tenth of `total_steps`, plus 1. */
  last_steps: nullable(positive()),
  /** The rate at the end; null: a thousandth of the first. */
  last_learning_rate: nullable(finite()),
  ...named('OneCycle'),
};

export interface OneCycle extends Values<typeof fields> {}

/**
 * The 1cycle policy as A. Geron's "Hands-On Machine Learning" has it: linearly up from `initial_learning_rate` (a tenth of
 * the maximum unless given) to `maximal_learning_rate`, as long down again, and in the `last_steps` (a tenth of
 * `total_steps`, plus 1) down to `last_learning_rate` (a thousandth of the initial one), where it stays. Smith 2018,
 * arxiv.org/abs/1803.09820. An extension: Keras has no such schedule.
 *
 * @example new OneCycle({ maximal_learning_rate: 0.05, total_steps: 4690 })
 */
export class OneCycle extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'OneCycle';

  override at(step: number): number {
    const { maximal_learning_rate: top, total_steps } = this;
    const start = this.initial_learning_rate ?? top / 10;
    const last = this.last_learning_rate ?? start / 1000;
    const half = Math.floor((total_steps - (this.last_steps ?? Math.floor(total_steps / 10) + 1)) / 2);
    if (step < half) return between(step, 0, half, start, top);
    if (step < 2 * half) return between(step, half, 2 * half, top, start);
    return Math.max(between(step, 2 * half, total_steps, start, last), last);
  }
}

/** The value at `step` of the line through (from, a) and (to, b). */
const between = (step: number, from: number, to: number, a: number, b: number): number =>
  ((b - a) * (step - from)) / (to - from) + a;
