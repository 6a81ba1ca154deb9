import { counting, finite, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The rate at step 0. */
  initial_learning_rate: finite(),
  /** Steps of the first cycle, > 0. */
  first_decay_steps: counting(positive()),
  /** How many times as long a cycle is as the one before it. */
  t_mul: finite(2),
  /** How many times as high it begins. */
  m_mul: finite(1),
  /** The lowest rate, as a part of the highest. */
  alpha: finite(0),
  ...named('SGDRDecay'),
};

export interface CosineDecayRestarts extends Values<typeof fields> {}

/**
 * Half a cosine that starts again: the first one lasts `first_decay_steps`, each next one `t_mul` times as long and starts
 * `m_mul` times as high; none falls below `alpha` times `initial_learning_rate`. A restart begins exactly at its step.
 * SGDR, Loshchilov and Hutter 2016, arxiv.org/abs/1608.03983.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py.
 *
 * @example new CosineDecayRestarts({ initial_learning_rate: 0.1, first_decay_steps: 1000 })
 */
export class CosineDecayRestarts extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'CosineDecayRestarts';

  override at(step: number): number {
    const { i, f } = this.#cycle(step / this.first_decay_steps);
    const cosine = 0.5 * this.m_mul ** i * (1 + Math.cos(Math.PI * f));
    return this.initial_learning_rate * ((1 - this.alpha) * cosine + this.alpha);
  }

  /** The cycle that x (in first cycles) lies in, and how much of it has passed, in [0, 1). */
  #cycle(x: number): { i: number; f: number } {
    const { t_mul } = this;
    if (t_mul === 1) return { i: Math.floor(x), f: x - Math.floor(x) };
    const inCycle = (i: number) => ({ i, f: (x - (1 - t_mul ** i) / (1 - t_mul)) / t_mul ** i });
    const guess = inCycle(Math.floor(Math.log(1 - x * (1 - t_mul)) / Math.log(t_mul)));
    // The quotient of logarithms may miss a whole number by a rounding, which would turn a restart into an end.
    if (guess.f >= 1) return inCycle(guess.i + 1);
    return guess.f < 0 ? inCycle(guess.i - 1) : guess;
  }
}
