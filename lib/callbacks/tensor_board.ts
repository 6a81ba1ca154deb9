import { join } from 'node:path';

import { flag, readOptions, text, type Field, type Options, type Values } from '../configurable.ts';
import type { Optimizer } from '../optimizer.ts';
import { Callback, type Logs, type Model } from './callback.ts';
import { EventFile } from './event_file.ts';
import { checkEpoch, checkLogs } from './learning_rate.ts';
import { resultOf } from './monitor.ts';

/** How often the results of batches are written: never, at every batch, or at every so many. */
export type UpdateFrequency = 'epoch' | 'batch' | number;

const frequency: Field<UpdateFrequency, false> = {
  required: false,
  default: 'epoch',
  expects: '"epoch", "batch" or a whole number > 0',
  is: (x) => typeof x === 'string' || typeof x === 'number',
  allows: (x) => (typeof x === 'number' ? Number.isSafeInteger(x) && x > 0 : x === 'epoch' || x === 'batch'),
  take: (x) => (x === 'batch' ? 1 : x),
};

/** An option of Keras's that has to be off, for there is nothing to turn on. */
const off = (value: unknown, missing: string): Field<unknown, false> => ({
  required: false,
  default: value,
  expects: `${String(value)} or left out, for ${missing} not written`,
  is: () => true,
  allows: (x) => x === value,
  transient: true,
});

const fields = {
  log_dir: text('logs'),
  write_steps_per_second: flag(false),
  update_freq: frequency,
  histogram_freq: off(0, 'histograms of weights are'),
  write_graph: off(false, 'the graph is'),
  write_images: off(false, 'images of weights are'),
  profile_batch: off(0, 'profiles are'),
  embeddings_freq: off(0, 'embeddings are'),
  embeddings_metadata: off(null, 'embeddings are'),
};

/** The numbers that stand in logs, by their names. */
const resultsOf = (who: string, logs: Logs | null | undefined): [string, number][] =>
  Object.keys(checkLogs(who, logs)).flatMap((name) => {
    const value = resultOf(who, logs as Logs, name);
    return value === null ? [] : [[name, value] as [string, number]];
  });

/** Of whatever optimizers have one, by the names of Keras. */
function ratesOf(optimizer: Optimizer): [string, number][] {
  if ('inner_optimizer' in optimizer) return ratesOf(optimizer.inner_optimizer as Optimizer);
  if (!('optimizers' in optimizer)) return [['learning_rate', optimizer.learning_rate]];
  const members = optimizer.optimizers as readonly Optimizer[];
  return members.map(({ name, learning_rate }) => [`learning_rate_${name}`, learning_rate]);
}

/**
 * Writes loss, metrics and learning rate into files that TensorBoard shows: `epoch_loss`, `epoch_learning_rate` and so on into
 * `train/`, those of the validation, whose names begin with `val_`, as `epoch_loss` into `validation/`, what `on_test_end` is given as
 * `evaluation_loss_vs_iterations`, and with `update_freq` the results of batches as `batch_loss`. Folders, tags, steps and bytes are
 * those of Keras on TensorFlow, but for one thing: Keras forgets an epoch or an evaluation whose last batch is not one of those that
 * `update_freq` says; here all are written. A rate that is a schedule is fine. Scalars are collected: files are written at the end of an epoch, an
 * evaluation and a training, and once a second in between. Source: keras/src/callbacks/tensorboard.py.
 *
 * @example
 * const callback = new TensorBoard({ log_dir: 'logs/first' }); // then: tensorboard --logdir logs
 * callback.set_model({ optimizer });
 * for (let epoch = 0; epoch < 5; epoch++) callback.on_epoch_end(epoch, { loss: train(), val_loss: evaluate() });
 */
export class TensorBoard extends Callback {
  /** What messages call it, whatever a minifier makes of its name. */
  static readonly className: string = 'TensorBoard';
  /** The folder; those of train and validation are made in it. */
  readonly log_dir: string;
  /** `"epoch"`, or the batches from one that is written to the next. */
  readonly update_freq: UpdateFrequency;
  /** Whether `epoch_steps_per_second` and `batch_steps_per_second` are written. */
  readonly write_steps_per_second: boolean;
  #train: EventFile;
  #validation: EventFile;
  #batches = 0; // of the training
  #batchBegan = performance.now();
  #epochBegan = performance.now();
  #iterations = 0; // when the epoch began

  /**
   * @param args one object of options: `log_dir`; `update_freq`: `"epoch"`, or `"batch"` or a number of batches, for results of batches too;
   *   `write_steps_per_second`. Keras's other options are taken only where they turn something off
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` for anything else
   */
  constructor(...args: [options?: Options<typeof fields>]) {
    super();
    const options: Values<typeof fields> = readOptions(this.who, fields, args);
    this.log_dir = options.log_dir;
    this.update_freq = options.update_freq;
    this.write_steps_per_second = options.write_steps_per_second;
    [this.#train, this.#validation] = this.#newFiles();
  }

  /** Says what to work on; what follows goes into new files. @throws as `Callback.set_model`; Error `ERR_OPT_FILE` as the hooks */
  override set_model(model: Model): void {
    super.set_model(model);
    this.#flush();
    [this.#train, this.#validation] = this.#newFiles();
  }

  /** Counts batches from 0. */
  override on_train_begin(_logs?: Logs | null): void {
    this.#batches = 0;
  }

  /** Writes what is left. @throws Error `ERR_OPT_FILE` where the system refuses */
  override on_train_end(_logs?: Logs | null): void {
    this.#flush();
  }

  /** Looks at the clock. */
  override on_epoch_begin(_epoch: number, _logs?: Logs | null): void {
    if (!this.write_steps_per_second) return;
    this.#iterations = this.optimizer.iterations;
    this.#epochBegan = performance.now();
  }

  /**
   * Writes the results of the epoch and the learning rate; nothing where there are no results.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for a result that is no number; Error `ERR_OPT_FILE` where the system refuses
   */
  override on_epoch_end(epoch: number, logs?: Logs | null): void {
    const { who, optimizer } = this;
    const step = checkEpoch(who, epoch);
    const results = resultsOf(who, logs);
    if (results.length === 0) return;
    // The rate that callbacks write into the logs is the same, or one that was reduced since: it has to come once.
    const known = new Map(results.filter(([name]) => !name.startsWith('val_')));
    for (const [name, rate] of ratesOf(optimizer)) known.set(name, rate);
    if (this.write_steps_per_second) known.set('steps_per_second', this.#stepsPerSecond(optimizer));
    for (const [name, value] of known) this.#train.add(`epoch_${name}`, value, step);
    for (const [name, value] of results)
      if (name.startsWith('val_')) this.#validation.add(`epoch_${name.slice(4)}`, value, step);
    this.#flush();
  }

  /** Looks at the clock. */
  override on_batch_begin(_batch: number, _logs?: Logs | null): void {
    if (this.write_steps_per_second) this.#batchBegan = performance.now();
  }

  /** Counts the batch, and writes its results if it is time. @throws as `on_epoch_end` */
  override on_batch_end(_batch: number, logs?: Logs | null): void {
    const step = ++this.#batches;
    if (typeof this.update_freq === 'string' || step % this.update_freq !== 0) return;
    const results = resultsOf(this.who, logs);
    if (this.write_steps_per_second)
      this.#train.add('batch_steps_per_second', 1000 / (performance.now() - this.#batchBegan), step);
    for (const [name, value] of results) this.#train.add(`batch_${name}`, value, step);
  }

  /** Writes the results of an evaluation over the steps of the optimizer. @throws as `on_epoch_end` */
  override on_test_end(logs?: Logs | null): void {
    const { who, optimizer } = this;
    for (const [name, value] of resultsOf(who, logs))
      this.#validation.add(`evaluation_${name}_vs_iterations`, value, optimizer.iterations);
    this.#validation.flush();
  }

  #stepsPerSecond(optimizer: Optimizer): number {
    return (1000 * (optimizer.iterations - this.#iterations)) / (performance.now() - this.#epochBegan);
  }

  #newFiles(): [train: EventFile, validation: EventFile] {
    const file = (name: string): EventFile => new EventFile(this.who, join(this.log_dir, name));
    return [file('train'), file('validation')];
  }

  #flush(): void {
    this.#train.flush();
    this.#validation.flush();
  }
}
