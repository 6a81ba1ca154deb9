import {
  finite,
  nonNegative,
  readOptions,
  text,
  whole,
  type Field,
  type Options,
  type Values,
} from '../configurable.ts';
import type { Optimizer } from '../optimizer.ts';
import { Callback, type Logs } from './callback.ts';
import { checkEpoch, checkLogs, logRate, printRate, readRate } from './learning_rate.ts';
import { isBetter, isMinimized, resultOf, type Mode } from './monitor.ts';

const fields = {
  /** The name of the result in the logs. */
  monitor: text('val_loss'),
  /** What the rate is multiplied with, in [0, 1). */
  factor: { ...finite(0.1), expects: 'a number in [0, 1)', allows: (x: number) => x >= 0 && x < 1 },
  /** Epochs without improvement until then. */
  patience: whole(10),
  /** 1 prints a line at every reduction. */
  verbose: whole(0),
  /** Whether `"min"` or `"max"` is better; `"auto"` knows of losses only. */
  mode: text('auto') as Field<Mode, false>,
  /** How much is an improvement. */
  min_delta: { ...finite(1e-4), take: Math.abs },
  /** Epochs of rest after a reduction. */
  cooldown: whole(0),
  /** The lowest rate. */
  min_lr: nonNegative(0),
};

export interface ReduceLROnPlateau extends Values<typeof fields> {}

/**
 * Reduces the learning rate when a result has stopped improving ("performance scheduling"): after `patience` epochs without an
 * improvement of more than `min_delta` it is multiplied with `factor`, down to `min_lr`, and then left alone for `cooldown`
 * epochs. Comparisons are in float32 and every decision is Keras's. Adds `learning_rate` to the logs of an epoch.
 * Source: keras/src/callbacks/reduce_lr_on_plateau.py.
 *
 * @example
 * const callback = new ReduceLROnPlateau({ monitor: 'val_loss', factor: 0.5, patience: 3 });
 * callback.set_model({ optimizer });
 * for (let epoch = 0; epoch < 50; epoch++) callback.on_epoch_end(epoch, { val_loss: train() });
 */
export class ReduceLROnPlateau extends Callback {
  /** What messages call it, whatever a minifier makes of its name. */
  static readonly className: string = 'ReduceLROnPlateau';
  /** Epochs without an improvement since the last improvement or reduction. */
  wait = 0;
  /** Epochs of rest that are left after a reduction. */
  cooldown_counter = 0;
  /** The best result so far; null before the first one. */
  best: number | null = null;
  readonly #minimized: boolean;
  #warned = false;

  /**
   * @param args one object of options: `monitor`: the name of the result in the logs; `factor` in [0, 1); `patience` and `cooldown` in epochs;
   *   `verbose`: 1 prints a line at every reduction; `mode`: whether `"min"` or `"max"` is better, `"auto"` knows of losses
   *   only; `min_delta`: how much is an improvement; `min_lr`: the lowest rate
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` for anything else
   */
  constructor(...args: [options?: Options<typeof fields>]) {
    super();
    const values = readOptions(this.who, fields, args);
    this.#minimized = isMinimized(this.who, values.monitor, values.mode);
    for (const [name, value] of Object.entries(values)) Object.defineProperty(this, name, { value, enumerable: true });
  }

  /** Forgets what it has seen. */
  override on_train_begin(_logs?: Logs | null): void {
    this.wait = this.cooldown_counter = 0;
    this.best = null;
    this.#warned = false;
  }

  /**
   * Looks at the result, and reduces the learning rate if it is time. A missing result changes nothing, and is warned about once.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for a result that is no number, or an optimizer whose rate is a schedule
   */
  override on_epoch_end(epoch: number, logs?: Logs | null): void {
    const { who, optimizer, monitor } = this;
    checkEpoch(who, epoch);
    const rate = readRate(who, optimizer);
    const results = checkLogs(who, logs);
    const known: Logs = { ...results, learning_rate: rate };
    const current = resultOf(who, known, monitor);
    logRate(who, results, rate);
    if (current === null) this.#warnOf(known);
    else if (this.#isStalled(current)) this.#reduce(optimizer, epoch, rate);
  }

  /** Whether it rests after a reduction. */
  in_cooldown(): boolean {
    return this.cooldown_counter > 0;
  }

  protected override check_optimizer(optimizer: Optimizer): void {
    readRate(this.who, optimizer);
  }

  /** Counts a result; says whether the patience has run out. An epoch of rest counts down first, as in Keras. */
  #isStalled(current: number): boolean {
    if (this.in_cooldown()) {
      this.cooldown_counter--;
      this.wait = 0;
    }
    if (isBetter(current, this.best, this.min_delta, this.#minimized)) {
      this.best = current;
      this.wait = 0;
    } else if (!this.in_cooldown()) {
      this.wait++;
      return this.wait >= this.patience;
    }
    return false;
  }

  /** At the lowest rate nothing happens, and `wait` goes on. */
  #reduce(optimizer: Optimizer, epoch: number, before: number): void {
    if (Math.fround(before) <= Math.fround(this.min_lr)) return;
    const rate = Math.max(before * this.factor, this.min_lr);
    optimizer.learning_rate = rate;
    if (this.verbose > 0) printRate(this.who, epoch, 'reducing', rate);
    this.cooldown_counter = this.cooldown;
    this.wait = 0;
  }

  #warnOf(known: Logs): void {
    if (this.#warned) return;
    this.#warned = true;
    const names = Object.keys(known).filter((name) => typeof known[name] === 'number');
    process.emitWarning(
      `${this.who} expects "${this.monitor}" in the logs, got ${names.join(', ')}: the learning rate stays as it is`,
    );
  }
}
