import { arithmetics } from '../arithmetic.ts';
import { counting, finite, flag, type Field, type Values } from '../configurable.ts';
import { Optimizer } from '../optimizer.ts';
import { nativeStorage, places } from '../storage.ts';
import { variableOver, type Variable } from '../variable.ts';
import type { LearningRate } from './common.ts';
import { unused, Wrapper } from './wrapper.ts';

const innerOptimizer: Field<Optimizer, true> = {
  required: true,
  default: undefined as never, // it is required
  expects: 'an optimizer of this package, and no LossScaleOptimizer',
  is: (x) => Optimizer.is(x),
  allows: (x) => !(x instanceof LossScaleOptimizer),
};
const own = {
  /** The optimizer that does the steps. */
  inner_optimizer: innerOptimizer,
  /** What the loss is multiplied by at first. */
  initial_scale: finite(2 ** 15),
  /** After so many finite steps in a row the scale is doubled. */
  dynamic_growth_steps: counting(finite(2000)),
};
const fields = {
  ...unused('set it on the inner_optimizer'),
  ...own,
  /** Of Keras 2: true or left out. */
  dynamic: {
    ...flag(true),
    expects: 'left out or true: for a constant scale set loss_scale_factor on the inner_optimizer',
    allows: (x: boolean) => x,
    transient: true,
  },
};

/** What a `LossScaleOptimizer` is made of. */
export interface LossScaleOptions {
  /** Whose steps it takes. It loses its own `loss_scale_factor`. */
  readonly inner_optimizer: Optimizer;
  /** The first scale; default 32768. */
  readonly initial_scale?: number | undefined;
  /** After how many steps in a row with finite gradients the scale doubles; default 2000. */
  readonly dynamic_growth_steps?: number | undefined;
  /** Of the wrapper. */
  readonly name?: string | null | undefined;
  /** Accepted as true and ignored; old configs have it. */
  readonly dynamic?: boolean | undefined;
}

export interface LossScaleOptimizer extends Values<typeof own> {}

/**
 * Steps an inner optimizer on gradients of a scaled loss, so that small ones survive in float16: they are divided by the scale, and a
 * step in which one of them is NaN or infinite is left out, as if there had been none: no counter, decay or average goes on. Then the
 * scale is halved; after `dynamic_growth_steps` steps in a row with finite gradients it is doubled. The scale is a float32 without
 * bounds, as in Keras: it may become 0 or Infinity, and stay there. docs/loss-scale.md. Source: keras/src/optimizers/loss_scale_optimizer.py.
 *
 * The running product of a Nadam inside is among the variables, where Keras forgets it (and starts at 1 after loading).
 *
 * @example
 * const optimizer = new LossScaleOptimizer({ inner_optimizer: new Adam() });
 * const scaled = optimizer.scale_loss(loss); // to be differentiated
 */
export class LossScaleOptimizer extends Wrapper<typeof fields> {
  /** The descriptors of its options. */
  static override readonly fields = fields;
  /** What messages and configs call it, whatever a minifier makes of its name. */
  static readonly className: string = 'LossScaleOptimizer';
  #steps = 0; // in a row with finite gradients, since the scale was changed
  #scale: Variable | undefined;

  /**
   * @param args one object of options; the arguments of other optimizers (`clipnorm`, ...) belong to the inner one
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` for other options, among them another LossScaleOptimizer
   *   as the inner one; Error `ERR_OPT_DISPOSED`, `ERR_OPT_BUSY` for an inner one that cannot step now
   */
  constructor(...args: [options: LossScaleOptions]) {
    super(...(args as unknown as []));
    Optimizer.runnerOf(this.inner_optimizer).checkIdle('loss_scale_factor');
    Optimizer.setLossScale(this.inner_optimizer, null);
  }

  /** The current scale: a float32. Before `build`, `initial_scale`, or that of the file it was loaded from. */
  get dynamic_scale(): number {
    if (this.#scale !== undefined && this.built) return this.#scale.value[0] as number;
    return this.#toCome(1) ?? this.initial_scale;
  }

  /** Steps in a row with finite gradients since the scale was changed. */
  get step_counter(): number {
    return this.built ? this.#steps : (this.#toCome(0) ?? this.#steps);
  }

  /** A number of the state that waits for `build`, in the order of `#create`. */
  #toCome(place: number): number | undefined {
    return Optimizer.runnerOf(this).waiting?.values[place]?.numbers[0];
  }

  /** Those of the inner optimizer, which a step that is left out does not count in. */
  override get iterations(): number {
    return this.inner_optimizer.iterations;
  }

  /** That of the inner optimizer. */
  override get learning_rate(): number {
    return this.inner_optimizer.learning_rate;
  }
  override set learning_rate(value: LearningRate) {
    this.inner_optimizer.learning_rate = value;
  }

  /** `x` times the scale: what to differentiate instead of the loss `x`. */
  override scale_loss(x: number): number {
    return x * this.dynamic_scale;
  }

  protected override wrap() {
    return {
      members: () => [this.inner_optimizer],
      memberFor: () => this.inner_optimizer,
      remember: () => {
        const steps = this.#steps;
        return () => void (this.#steps = steps);
      },
      guard: {
        scale: () => this.dynamic_scale,
        create: () => this.#create(),
        settle: (isFinite: boolean) => this.#settle(isFinite),
      },
    };
  }

  #create(): readonly Variable[] {
    this.#steps = 0;
    const storage = nativeStorage('float32', 1, places.slot(0));
    storage.write([arithmetics.float32.round(this.initial_scale)]);
    this.#scale = variableOver(storage, { shape: [], name: `${this.name}/dynamic_scale` });
    const counter = Optimizer.runnerOf(this).scalar(
      'step_counter',
      'int64',
      () => this.#steps,
      (x) => (this.#steps = x),
    );
    return [counter, this.#scale];
  }

  #settle(isFinite: boolean): void {
    const grows = isFinite && this.#steps === this.dynamic_growth_steps - 1;
    if (!isFinite || grows) this.#scale?.assign([arithmetics.float32.mul(this.dynamic_scale, isFinite ? 2 : 0.5)]);
    this.#steps = isFinite && !grows ? this.#steps + 1 : 0;
  }
}
