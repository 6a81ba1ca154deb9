import { counting, finite, nullable, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The rate at step 0. */
  initial_learning_rate: finite(),
  /** Steps of the decay, > 0. */
  decay_steps: counting(positive()),
  /** The lowest rate, as a part of the highest. */
  alpha: finite(0),
  ...named('CosineDecay'),
  /** The rate at the end of a warm-up; null: there is none. */
  warmup_target: nullable(finite()),
  /** Steps of the warm-up, before those of the decay. */
  warmup_steps: counting(finite(0)),
};

export interface CosineDecay extends Values<typeof fields> {}

/**
 * Half a cosine from `initial_learning_rate` to `alpha` times it in `decay_steps` steps, then constant. With
 * `warmup_target`: first linearly from `initial_learning_rate` to the target in `warmup_steps` steps, and the cosine
 * starts from there. Loshchilov and Hutter 2016, arxiv.org/abs/1608.03983.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py.
 *
 * @example new CosineDecay({ initial_learning_rate: 0, decay_steps: 9000, warmup_target: 0.1, warmup_steps: 1000 })
 */
export class CosineDecay extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'CosineDecay';

  override at(step: number): number {
    const { initial_learning_rate, warmup_target, warmup_steps, decay_steps } = this;
    if (warmup_target === null) return this.#decay(Math.min(step, decay_steps), initial_learning_rate);
    const s = Math.min(step, decay_steps + warmup_steps);
    if (s >= warmup_steps) return this.#decay(s - warmup_steps, warmup_target);
    return (warmup_target - initial_learning_rate) * (s / warmup_steps) + initial_learning_rate;
  }

  #decay(step: number, from: number): number {
    const cosine = 0.5 * (1 + Math.cos((Math.PI * step) / this.decay_steps));
    return from * ((1 - this.alpha) * cosine + this.alpha);
  }
}
