import { checkField, isPlainObject, readOptions, whole, type Field, type Options } from '../configurable.ts';
import { describe, isClass, typeError } from '../errors.ts';
import type { Optimizer } from '../optimizer.ts';
import { Callback, type Logs } from './callback.ts';
import { checkEpoch, checkLogs, checkRate, logRate, printRate, readRate } from './learning_rate.ts';

/** The learning rate of an epoch, of which the first is 0, after that of the epoch before. A schedule of this package is one too. */
export type EpochSchedule = (epoch: number, learning_rate: number) => number;

const schedule: Field<EpochSchedule, true> = {
  required: true,
  default: () => NaN,
  expects: 'a function of the epoch and the learning rate',
  is: (x) => typeof x === 'function' && !isClass(x),
  allows: () => true,
};
const fields = { verbose: whole(0) };

/**
 * Sets the learning rate at the beginning of every epoch. It is for rates that change once an epoch; a schedule as
 * `learning_rate` of the optimizer changes it at every step. Adds `learning_rate` to the logs of an epoch.
 * Source: keras/src/callbacks/learning_rate_scheduler.py.
 *
 * @example
 * const callback = new LearningRateScheduler((epoch, rate) => (epoch < 10 ? rate : rate * 0.9), { verbose: 1 });
 * callback.set_model({ optimizer });
 * for (let epoch = 0; epoch < 20; epoch++) {
 *   callback.on_epoch_begin(epoch);
 *   train();
 * }
 */
export class LearningRateScheduler extends Callback {
  /** What messages call it, whatever a minifier makes of its name. */
  static readonly className: string = 'LearningRateScheduler';
  /** What it asks for the rate. */
  readonly schedule: EpochSchedule;
  /** Whether it prints a line at every epoch: 0 or 1. */
  readonly verbose: number;

  /**
   * @param schedule asked at the beginning of every epoch; gets the rate in the optimizer's dtype, float32 before `build`
   * @param options `verbose`: 1 prints a line at every epoch
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` for anything else
   */
  constructor(schedule: EpochSchedule, options?: Options<typeof fields>);
  constructor(...args: [schedule: unknown, ...options: unknown[]]) {
    super();
    const [given, ...options] = args;
    this.schedule = checkField(this.who, 'schedule', schedule, given as EpochSchedule);
    if (options.length > 1 || !isPlainObject(options[0] ?? {}))
      throw typeError(
        'ERR_OPT_CONFIG_TYPE',
        `${this.who} expects (schedule, { verbose }), got (${args.map(describe).join(', ')})`,
      );
    this.verbose = readOptions(this.who, fields, options).verbose;
  }

  /**
   * Asks the schedule, and sets what it says.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` if that is no finite number, or the rate of the
   *   optimizer no number but a schedule
   */
  override on_epoch_begin(epoch: number, _logs?: Logs | null): void {
    const { who, optimizer, schedule } = this;
    const before = readRate(who, optimizer);
    const rate = checkRate(who, `schedule(${checkEpoch(who, epoch)}, ${before})`, schedule(epoch, before));
    optimizer.learning_rate = rate;
    if (this.verbose > 0) printRate(who, epoch, 'setting', rate);
  }

  /** Adds `learning_rate` to the logs. */
  override on_epoch_end(_epoch: number, logs?: Logs | null): void {
    const { who, optimizer } = this;
    logRate(who, checkLogs(who, logs), readRate(who, optimizer));
  }

  protected override check_optimizer(optimizer: Optimizer): void {
    readRate(this.who, optimizer);
  }
}
