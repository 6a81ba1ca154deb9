import { nullable, readOptions, whole, type Options } from '../configurable.ts';
import { Callback, type Logs, type Params } from './callback.ts';
import { checkBatch, checkEpoch, checkLogs } from './learning_rate.ts';
import { ProgressBar, type Style, type Surroundings } from './progress_bar.ts';

const fields = { verbose: nullable(whole(0)) };

const stdout: Surroundings = {
  write: (text) => process.stdout.write(text),
  now: () => performance.now() / 1000,
};

/**
 * Shows how far an epoch is: steps, time and results, on the standard output. On a terminal it is the bar of Keras; elsewhere, in a log
 * file say, one line at the end of every epoch, the line of Keras's `verbose=2`. `set_params({ epochs, steps, verbose })` says how many
 * epochs and how many steps in each there will be; without `steps` the first epoch counts them. Results are shown as they are given:
 * Keras gives the mean of the epoch so far. Source: keras/src/callbacks/progbar_logger.py.
 *
 * @example
 * const callback = new ProgbarLogger();
 * callback.set_params({ epochs: 2, steps: 100 });
 * callback.on_train_begin();
 * for (let epoch = 0; epoch < 2; epoch++) {
 *   callback.on_epoch_begin(epoch);
 *   for (let batch = 0; batch < 100; batch++) callback.on_train_batch_end(batch, { loss: train(batch) });
 *   callback.on_epoch_end(epoch, { val_loss: evaluate() });
 * }
 */
export class ProgbarLogger extends Callback {
  /** What messages call it, whatever a minifier makes of its name. */
  static readonly className: string = 'ProgbarLogger';
  /** 0: nothing, 1: a bar on a terminal and a line elsewhere, 2: a line. */
  verbose = 1;
  /** Epochs that there will be. */
  epochs = 1;
  /** Steps of an epoch; null as long as that is unknown. */
  target: number | null = null;
  /** Steps so far. */
  seen = 0;
  readonly #asked: number | null;
  #bar: ProgressBar | undefined;
  #inFit = false; // where a validation shows nothing

  /**
   * @param args one object of options: `verbose`: 0, 1 or 2, whatever `set_params` says
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` for anything else
   */
  constructor(...args: [options?: Options<typeof fields>]) {
    super();
    this.#asked = readOptions(this.who, fields, args).verbose;
    this.verbose = this.#asked ?? 1;
  }

  /**
   * Takes `epochs`, `steps` and `verbose`, whose "auto" is 1.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything but an object or null
   */
  override set_params(params: Params | null): void {
    super.set_params(params);
    const count = (name: string): number | null => {
      const value = params?.[name];
      return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : null;
    };
    this.verbose = this.#asked ?? count('verbose') ?? 1;
    this.epochs = count('epochs') ?? 1;
    this.target = count('steps');
  }

  /** From here on evaluations are validations, of which nothing is shown. */
  override on_train_begin(_logs?: Logs | null): void {
    this.#inFit = true;
  }

  /** Evaluations are shown again. */
  override on_train_end(_logs?: Logs | null): void {
    this.#inFit = false;
  }

  /** Prints which epoch it is, where there are several, and begins a new bar. */
  override on_epoch_begin(epoch: number, _logs?: Logs | null): void {
    checkEpoch(this.who, epoch);
    this.#begin();
    if (this.verbose > 0 && this.epochs > 1) stdout.write(`Epoch ${epoch + 1}/${this.epochs}\n`);
  }

  /** Shows the step and its results. */
  override on_batch_end(batch: number, logs?: Logs | null): void {
    this.#step(batch, logs);
  }

  /** Shows the results of the epoch, and ends the line. */
  override on_epoch_end(_epoch: number, logs?: Logs | null): void {
    this.#end(logs);
  }

  /** Begins a new bar, unless it is a validation. */
  override on_test_begin(_logs?: Logs | null): void {
    if (!this.#inFit) this.#begin();
  }

  /** Shows the step and its results, unless it is a validation. */
  override on_test_batch_end(batch: number, logs?: Logs | null): void {
    if (!this.#inFit) this.#step(batch, logs);
  }

  /** Shows the results, and ends the line, unless it is a validation. */
  override on_test_end(logs?: Logs | null): void {
    if (!this.#inFit) this.#end(logs);
  }

  /** Begins a new bar. */
  override on_predict_begin(_logs?: Logs | null): void {
    this.#begin();
  }

  /** Shows the step. */
  override on_predict_batch_end(batch: number, _logs?: Logs | null): void {
    this.#step(batch);
  }

  /** Ends the line. */
  override on_predict_end(logs?: Logs | null): void {
    this.#end(logs);
  }

  #begin(): ProgressBar {
    this.seen = 0;
    const style: Style = this.verbose === 1 && process.stdout.isTTY ? 'bar' : 'line';
    return (this.#bar = new ProgressBar(this.target, style, stdout));
  }

  #step(batch: number, logs?: Logs | null): void {
    const results = checkLogs(this.who, logs);
    const current = checkBatch(this.who, batch) + 1;
    const bar = this.#bar ?? this.#begin();
    this.seen = current;
    if (this.verbose > 0) bar.update(current, results, false);
  }

  #end(logs?: Logs | null): void {
    const results = checkLogs(this.who, logs);
    const bar = this.#bar ?? this.#begin();
    bar.target = this.target ??= this.seen;
    if (this.verbose > 0) bar.update(this.target, results, true);
  }
}
