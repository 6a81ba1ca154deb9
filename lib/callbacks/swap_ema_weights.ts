import { flag, readOptions, type Options } from '../configurable.ts';
import { rangeError } from '../errors.ts';
import type { Optimizer } from '../optimizer.ts';
import { usesAverages } from '../wrapping.ts';
import { Callback, titleOf, type Logs } from './callback.ts';
import { checkEpoch } from './learning_rate.ts';

const fields = { swap_on_epoch: flag(false) };

/**
 * Puts the averages of an optimizer with `use_ema` into its variables while an evaluation or a prediction runs, and the variables
 * back after it, to the last bit. Do not train or change the variables in between, and call the second hook even if the
 * evaluation throws. Source: keras/src/callbacks/swap_ema_weights.py.
 *
 * @example
 * const callback = new SwapEMAWeights();
 * callback.set_model({ optimizer }); // new AdamW({ use_ema: true })
 * callback.on_test_begin();
 * const loss = evaluate();
 * callback.on_test_end();
 */
export class SwapEMAWeights extends Callback {
  /** What messages call it, whatever a minifier makes of its name. */
  static readonly className: string = 'SwapEMAWeights';
  /** Whether the averages are in the variables between two epochs too. */
  readonly swap_on_epoch: boolean;
  #swapped: Optimizer | undefined;

  /**
   * @param args one object of options: `swap_on_epoch`: put the averages into the variables at the end of every epoch, for whoever saves them there,
   *   and take them out when the next one begins. After the last of `params.epochs` they stay, for good: the variables are lost
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else
   */
  constructor(...args: [options?: Options<typeof fields>]) {
    super();
    this.swap_on_epoch = readOptions(this.who, fields, args).swap_on_epoch;
  }

  /** With `swap_on_epoch`, takes the averages out. */
  override on_epoch_begin(_epoch: number, _logs?: Logs | null): void {
    if (this.swap_on_epoch) this.#restore();
  }

  /** With `swap_on_epoch`, puts the averages in. */
  override on_epoch_end(epoch: number, _logs?: Logs | null): void {
    if (!this.swap_on_epoch || this.#swapped !== undefined) return;
    const last = checkEpoch(this.who, epoch) + 1 === this.params?.epochs;
    if (last) this.optimizer.finalize_variable_values();
    else this.#swap();
  }

  /** Puts the averages in. @throws as `Optimizer.swap_ema_weights` */
  override on_test_begin(_logs?: Logs | null): void {
    this.#swap();
  }

  /** Takes the averages out. */
  override on_test_end(_logs?: Logs | null): void {
    this.#restore();
  }

  /** Puts the averages in. @throws as `Optimizer.swap_ema_weights` */
  override on_predict_begin(_logs?: Logs | null): void {
    this.#swap();
  }

  /** Takes the averages out. Keras 3.15 forgets to. */
  override on_predict_end(_logs?: Logs | null): void {
    this.#restore();
  }

  protected override check_optimizer(optimizer: Optimizer): void {
    if (usesAverages(optimizer)) return;
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `${this.who} expects use_ema of ${titleOf(optimizer)} to be true, got false: make it with use_ema: true, or drop ${this.who}`,
    );
  }

  #swap(): void {
    if (this.#swapped !== undefined) return;
    const { optimizer } = this;
    optimizer.swap_ema_weights();
    this.#swapped = optimizer;
  }

  #restore(): void {
    this.#swapped?.swap_ema_weights();
    this.#swapped = undefined;
  }
}
