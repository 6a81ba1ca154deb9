// The four schedules of TensorFlow Addons (tensorflow_addons/optimizers/cyclical_learning_rate.py), which ended in 2024.
// Smith 2015, arxiv.org/abs/1506.01186.
import {
  finite,
  isPlainFunction,
  nullable,
  positive,
  text,
  type Field,
  type Fields,
  type Values,
} from '../configurable.ts';
import { LearningRateSchedule } from './schedule.ts';

/** A factor of the amplitude: of the cycle (1, 2, ...) in the mode "cycle", of the step in any other. */
export type ScaleFunction = (x: number) => number;

// Required, under one of two names: which, only the constructor can say.
const aliased = <A extends string>(alias: A) => ({
  ...finite(),
  required: true as boolean,
  aliases: [alias] as const,
});
const rates = {
  /** The lowest rate. */
  initial_learning_rate: aliased('base_learning_rate'),
  /** The highest rate, before scaling. */
  maximal_learning_rate: aliased('max_learning_rate'),
};
const common = (scaleMode: string) => ({
  ...rates,
  /** Half the length of a cycle in steps, > 0. */
  step_size: positive(),
  /** What the scale is a function of: `"cycle"`, or `"iterations"`. */
  scale_mode: text(scaleMode),
  /** Only in the config. */
  name: { ...nullable(text('')), extension: true },
});
const triangular = common('cycle');
const exponential = {
  ...common('iterations'),
  /** The amplitude is multiplied by `gamma ** step`; in the mode "cycle", by `gamma ** cycle`. */
  gamma: finite(1),
};
const scaleFunction: Field<ScaleFunction | null, false> = {
  required: false,
  default: null,
  expects: 'a function of a number or null',
  is: (x) => x === null || isPlainFunction(x),
  allows: () => true,
};
const general = {
  ...rates,
  /** Scales the amplitude; null: all cycles are equal. */
  scale_fn: scaleFunction,
  ...triangular,
};

/** The wave between two rates; a subclass says how its amplitude scales. */
abstract class Cyclical<F extends Fields> extends LearningRateSchedule<F> {
  protected abstract scale(x: number): number;

  override at(step: number): number {
    const wave = this as unknown as Values<typeof triangular>;
    const cycle = Math.floor(1 + step / (2 * wave.step_size));
    const height = Math.max(0, 1 - Math.abs(step / wave.step_size - 2 * cycle + 1));
    const factor = this.scale(wave.scale_mode === 'cycle' ? cycle : step);
    return wave.initial_learning_rate + (wave.maximal_learning_rate - wave.initial_learning_rate) * height * factor;
  }
}

export interface CyclicalLearningRate extends Values<typeof general> {}

/**
 * Up from `initial_learning_rate` (or `base_learning_rate`) to `maximal_learning_rate` (or `max_learning_rate`) in
 * `step_size` steps, as long down, and again. `scale_fn` scales the amplitude of each cycle; without it all are equal.
 *
 * @example new CyclicalLearningRate({ base_learning_rate: 1e-4, max_learning_rate: 1e-2, step_size: 2000 })
 */
export class CyclicalLearningRate extends Cyclical<typeof general> {
  static override readonly fields = general;
  static readonly className = 'CyclicalLearningRate';

  protected override scale(x: number): number {
    return this.scale_fn === null ? 1 : this.scale_fn(x);
  }
}

export interface TriangularCyclicalLearningRate extends Values<typeof triangular> {}

/** Equal triangles between `initial_learning_rate` and `maximal_learning_rate`, each side `step_size` steps long. */
export class TriangularCyclicalLearningRate extends Cyclical<typeof triangular> {
  static override readonly fields = triangular;
  static readonly className = 'TriangularCyclicalLearningRate';

  protected override scale(): number {
    return 1;
  }
}

export interface Triangular2CyclicalLearningRate extends Values<typeof triangular> {}

/** Triangles whose amplitude halves with every cycle. */
export class Triangular2CyclicalLearningRate extends Cyclical<typeof triangular> {
  static override readonly fields = triangular;
  static readonly className = 'Triangular2CyclicalLearningRate';

  protected override scale(x: number): number {
    return 1 / 2 ** (x - 1);
  }
}

export interface ExponentialCyclicalLearningRate extends Values<typeof exponential> {}

/** Triangles whose amplitude falls by `gamma` with every step (or, in the mode "cycle", with every cycle). */
export class ExponentialCyclicalLearningRate extends Cyclical<typeof exponential> {
  static override readonly fields = exponential;
  static readonly className = 'ExponentialCyclicalLearningRate';

  protected override scale(x: number): number {
    return this.gamma ** x;
  }
}
