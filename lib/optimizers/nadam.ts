import type { Arithmetic } from '../arithmetic.ts';
import {
  classNameOf,
  fraction,
  isPlainObject,
  nonNegative,
  notGiven,
  orCallable,
  refused,
  withDefaults,
  type Field,
  type Options,
  type Values,
} from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import type { Hyper, Moment, Running } from '../step.ts';
import { common, type LearningRate } from './common.ts';

const momentumDecay: Field<number | 'Infinity', false> = {
  required: false,
  default: 1,
  expects: 'a number >= 0 or "Infinity"',
  is: (x) => typeof x === 'number' || x === 'Infinity',
  allows: (x) => x === 'Infinity' || x >= 0,
  take: Number,
  extension: true,
};
const own = {
  /** Decay of the mean of the gradients, in [0, 1]; or a function of no arguments, called once a step. */
  beta_1: orCallable(fraction(0.9)),
  /** Decay of the mean of their squares, in [0, 1]; or a function of no arguments, called once a step. */
  beta_2: orCallable(fraction(0.999)),
  /** Beside the root of the corrected mean of squares, >= 0. */
  epsilon: nonNegative(1e-7),
  /** How fast the momentum warms up, >= 0: 1 is Keras, 0.004 PyTorch, Infinity at once. An extension: docs/nadam.md. */
  momentum_decay: momentumDecay,
  /** Refused. Legacy Keras kept its schedule_decay under this name, so that nothing says which of the two is meant. */
  decay: refused(
    'of the momentum it is momentum_decay, of the learning rate new InverseTimeDecay({ ... }) as learning_rate',
  ),
  /** Refused: its name is `momentum_decay`. */
  schedule_decay: refused('its name is momentum_decay'),
};
const fields = { ...common(0.001), ...own };

export interface Nadam extends Omit<Values<typeof own>, 'momentum_decay' | 'decay' | 'schedule_decay'> {
  /** How fast the momentum warms up, >= 0: 1 is Keras, 0.004 PyTorch, Infinity at once. An extension: docs/nadam.md. */
  readonly momentum_decay: number;
}

/** Nadam or an heir of it that takes Nadam's options. */
export type NadamClass = new (options: Options<typeof fields>) => Nadam;
/** Options of which the learning rate has to be given. */
export type Rated<C extends NadamClass> = ConstructorParameters<C>[0] & Readonly<Record<'learning_rate', LearningRate>>;

/**
 * Adam with Nesterov momentum, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ. The momentum warms up:
 * `u_t = beta_1 (1 - 0.5 * 0.96 ** (momentum_decay * t))`. Source: keras/src/optimizers/nadam.py.
 *
 * `momentum_decay` is an extension: 1 is Keras, 0.004 is PyTorch's NAdam and Keras's legacy one, Infinity (in a config
 * "Infinity") is optax's, which has no warm-up. At 1 it is not in the config, so that Keras reads it. `Nadam.keras2_legacy`,
 * `Nadam.pytorch` and `Nadam.optax` have their other defaults too: docs/nadam.md.
 *
 * @example new Nadam({ learning_rate: 0.001, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 })
 */
export class Nadam extends Optimizer<typeof fields> {
  static override readonly fields = fields;
  static readonly className: string = 'Nadam';

  /**
   * The Nadam that `tf.keras` had by default up to 2.10, later `optimizers.legacy.Nadam`: `momentum_decay` is 0.004 (there
   * `schedule_decay`). There schedules are refused, an `epsilon` of 0 becomes 1e-7, and there is no `weight_decay`.
   * Source: keras/optimizers/optimizer_v2/nadam.py of Keras 2.9.
   *
   * @param args the options of the class, which win over the preset's
   * @throws TypeError, RangeError as the constructor
   * @example Nadam.keras2_legacy({ learning_rate: 0.002 })
   */
  static keras2_legacy<C extends NadamClass>(this: C, ...args: ConstructorParameters<C>): InstanceType<C> {
    return make(this, withDefaults({ momentum_decay: 0.004 }, args));
  }

  /**
   * PyTorch's NAdam: `learning_rate` 0.002, `epsilon` 1e-8, `momentum_decay` 0.004. Keras 1 had the same. `weight_decay` is
   * Keras's here, PyTorch's with `decoupled_weight_decay`; its default adds `weight_decay * p` to the gradient. There the
   * product of momenta is float32 also for float64 parameters. Source: torch/optim/nadam.py.
   *
   * @param args the options of the class, which win over the preset's
   * @throws TypeError, RangeError as the constructor
   * @example Nadam.pytorch({ weight_decay: 0.01 })
   */
  static pytorch<C extends NadamClass>(this: C, ...args: ConstructorParameters<C>): InstanceType<C> {
    return make(this, withDefaults({ learning_rate: 0.002, epsilon: 1e-8, momentum_decay: 0.004 }, args));
  }

  /**
   * optax's nadam, and with `weight_decay` (there 1e-4 by default) its nadamw: `epsilon` 1e-8, `momentum_decay` Infinity,
   * which is a constant momentum. Source: optax/_src/alias.py.
   *
   * @param args the options of the class, which win over the preset's; `learning_rate` has no default
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` without `learning_rate`; TypeError, RangeError as the constructor
   * @example Nadam.optax({ learning_rate: 0.001 })
   */
  static optax<C extends NadamClass>(this: C, ...args: [options: Rated<C>]): InstanceType<C> {
    const filled = withDefaults({ epsilon: 1e-8, momentum_decay: Infinity }, args);
    if (isPlainObject(filled[0]) && filled[0].learning_rate === undefined)
      throw notGiven(`${classNameOf(this)}.optax`, 'learning_rate', fields.learning_rate);
    return make(this, filled);
  }

  protected override get rule(): string {
    return 'nadam';
  }
  protected override get blocks() {
    return [['momentum', 'velocity']];
  }

  /** The product of the momenta of all steps so far. Keras rounds it in another order than a step's own momentum. */
  protected override get running(): Running<typeof fields> {
    return {
      initial: 1,
      next: (product, { beta_1 }, step, arithmetic) => {
        const { round, mul } = arithmetic;
        return mul(mul(product, round(beta_1)), this.#warmth(step, arithmetic));
      },
    };
  }

  protected override scalars(
    { beta_1, beta_2, epsilon }: Hyper<typeof fields>,
    { step, learning_rate, running: product }: Moment,
    arithmetic: Arithmetic,
  ) {
    const { round, sub, mul, pow } = arithmetic;
    const momentum = mul(round(beta_1), this.#warmth(step, arithmetic));
    const next_momentum = mul(round(beta_1), this.#warmth(step + 1, arithmetic));
    return {
      one_minus_beta_1: sub(1, round(beta_1)),
      one_minus_beta_2: sub(1, round(beta_2)),
      next_momentum,
      one_minus_next_product: sub(1, mul(product, next_momentum)),
      one_minus_momentum: sub(1, momentum),
      one_minus_product: sub(1, product),
      one_minus_beta_2_power: sub(1, pow(round(beta_2), round(step))),
      learning_rate,
      epsilon: round(epsilon),
    };
  }

  #warmth(step: number, { round, sub, mul, pow }: Arithmetic): number {
    return sub(1, mul(0.5, pow(round(0.96), mul(round(this.momentum_decay), round(step)))));
  }
}

const make = <C extends NadamClass>(cls: C, args: readonly unknown[]) =>
  new cls(...(args as [never])) as InstanceType<C>;
