import { counting, listOf, type Arguments, type Values } from '../configurable.ts';
import { rangeError } from '../errors.ts';
import { LearningRateSchedule, named } from './schedule.ts';

const fields = {
  /** The last step of each value but the last, rising. */
  boundaries: counting(listOf<number>('an array of numbers', Number.isFinite)),
  /** The rates: one more than there are boundaries. */
  values: listOf<number>('a non-empty array of numbers', Number.isFinite, (values) => values.length > 0),
  ...named('PiecewiseConstant'),
};

export interface PiecewiseConstantDecay extends Values<typeof fields> {}

/**
 * `values[0]` up to and including step `boundaries[0]`, then `values[1]` up to and including `boundaries[1]`, and so on: a
 * boundary belongs to the piece before it. `values` has one element more than `boundaries`.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py.
 *
 * @example new PiecewiseConstantDecay({ boundaries: [1000, 5000], values: [0.1, 0.01, 0.001] })
 */
export class PiecewiseConstantDecay extends LearningRateSchedule<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'PiecewiseConstantDecay';

  constructor(...args: Arguments<typeof fields>) {
    super(...args);
    const { boundaries, values } = this;
    if (values.length !== boundaries.length + 1)
      throw rangeError(
        'ERR_OPT_CONFIG_RANGE',
        `PiecewiseConstantDecay expects values to have one element more than boundaries (${boundaries.length}), got ${values.length}`,
      );
  }

  override at(step: number): number {
    const { boundaries, values } = this;
    // Keras adds up what every piece's indicator lets through, which shows where boundaries are not sorted.
    const inPiece = (i: number) => step > (boundaries[i - 1] ?? -Infinity) && step <= (boundaries[i] ?? Infinity);
    return values.reduce((sum, value, i) => (inPiece(i) ? sum + value : sum), 0);
  }
}
