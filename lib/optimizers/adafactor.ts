import type { Arithmetic } from '../arithmetic.ts';
import { finite, flag, nonNegative, oneOf, positive, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Slot } from '../state.ts';
import type { Hyper, Moment } from '../step.ts';
import type { Variable } from '../variable.ts';
import { common } from './common.ts';

const beta2Decay = { ...finite(-0.8), expects: 'a number <= 0', allows: (x: number) => Number.isFinite(x) && x <= 0 };
const own = {
  /** Exponent of the step in the decay of the mean of squares, `1 - t ** beta_2_decay`; <= 0. */
  beta_2_decay: beta2Decay,
  /** Added to every square, >= 0. */
  epsilon_1: nonNegative(1e-30),
  /** The least root mean square of a variable that a relative step takes, >= 0. */
  epsilon_2: nonNegative(0.001),
  /** The largest root mean square of an update, > 0. */
  clip_threshold: positive(1),
  /** Asks for a rate of at most `1 / sqrt(step)`, which it is without it as well, as in Keras. */
  relative_step: flag(true),
};
const shared = common(0.001);
// Its moments are factored already: bfloat16 would save nothing of what lasts.
const fields = { ...shared, state_dtype: { ...oneOf(['float32'] as const), extension: true }, ...own };

export interface Adafactor extends Values<typeof own> {}

/**
 * Adafactor, arxiv.org/abs/1804.04235: of the second moments of a matrix it averages the means of rows (`r`) and columns (`c`), and
 * scales its step by the size of the variable. Of more dimensions the last two are a matrix; a variable of less than two keeps all
 * its moments. The rate of a step is the smaller of `learning_rate` and 1 / sqrt(step); `relative_step` asks for that, but in Keras it
 * is so without it as well. Source: keras/src/optimizers/adafactor.py.
 *
 * As in Keras, `velocity` has the shape of the variable also where `r` and `c` say all of it. Beside its state it keeps one more
 * array of a variable's length, for the direction.
 *
 * @example new Adafactor({ learning_rate: 0.01, clip_threshold: 1, relative_step: true })
 */
export class Adafactor extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className = 'Adafactor';

  protected override get rule(): string {
    return 'adafactor';
  }
  protected override ruleOf({ shape }: Variable): string {
    return shape.length < 2 ? 'adafactor' : 'adafactor_factored';
  }
  protected override get blocks() {
    return [['r', 'c', 'velocity']];
  }
  /** Keras names r and c as their variable; where they say nothing, it keeps a place for them. */
  protected override slotOf(slot: string, { shape, name }: Variable): Slot {
    if (slot === 'velocity') return { shape };
    if (shape.length < 2) return { shape: [], name, dtype: 'int32' };
    return { shape: slot === 'r' ? shape.slice(0, -1) : [...shape.slice(0, -2), shape.at(-1) as number], name };
  }
  protected override scalars(
    { beta_2_decay, epsilon_1, epsilon_2, clip_threshold }: Hyper<typeof fields>,
    { step, learning_rate }: Moment,
    { round, sub, div, sqrt, pow }: Arithmetic,
  ) {
    const beta_2 = sub(1, pow(round(step), round(beta_2_decay)));
    return {
      beta_2,
      one_minus_beta_2: sub(1, beta_2),
      epsilon_1: round(epsilon_1),
      epsilon_2: round(epsilon_2),
      rho: Math.min(learning_rate, div(1, sqrt(round(step)))),
      clip_threshold: round(clip_threshold),
    };
  }
}
