import { finite, positive, type Values } from '../configurable.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The rate at step 0. */
  initial_learning_rate: finite(),
  /** Steps of the decay, > 0. */
  decay_steps: positive(),
  /** Exponent: 1 halves the rate after `decay_steps` steps. */
  power: finite(1),
  ...named('PowerDecay'),
};

export interface PowerDecay extends Values<typeof fields> {}

/**
 * `initial_learning_rate / (1 + step / decay_steps) ** power`: power scheduling. With `power` 1 this is the `decay`
 * argument of Keras 2, `decay` being `1 / decay_steps`. An extension: Keras has no such schedule.
 *
 * @example new PowerDecay({ initial_learning_rate: 0.02, decay_steps: 20 })
 */
export class PowerDecay extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'PowerDecay';

  override at(step: number): number {
    return this.initial_learning_rate / (1 + step / this.decay_steps) ** this.power;
  }
}
