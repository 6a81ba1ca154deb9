import {
  classNameOf,
  isConfigurable,
  markConfigurable,
  notImplemented,
  nullable,
  readOptions,
  text,
  type Config,
  type ConfigurableClass,
  type Arguments,
  type Field,
  type Fields,
} from '../configurable.ts';
import { inspect, type InspectOptions } from '../platform.ts';
import { configOf, fromConfig, serialize, type CustomObjects, type Serialized } from '../serialization.ts';
import { describe, typeError } from '../errors.ts';

// The call signature of every schedule: schedule(step) is schedule.at(step).
// eslint-disable-next-line @typescript-eslint/no-unused-vars -- merged with the class, which has the parameter
export interface LearningRateSchedule<F extends Fields = Fields> {
  /** The learning rate of an optimizer whose raw counter is `step`; 0 is the first update. */
  (step: number): number;
}

/**
 * The base of all schedules. To write one of your own, extend it, implement `at(step)` and, for saving, `get_config()`.
 * Instances are called like Keras's: `schedule(step)`.
 * Source: keras/src/optimizers/schedules/learning_rate_schedule.py.
 *
 * @example
 * class Halving extends LearningRateSchedule {
 *   constructor({ initial_learning_rate }) {
 *     super();
 *     this.initial_learning_rate = initial_learning_rate;
 *   }
 *   at(step) {
 *     return this.initial_learning_rate * 0.5 ** step;
 *   }
 *   get_config() {
 *     return { initial_learning_rate: this.initial_learning_rate };
 *   }
 * }
 */
export abstract class LearningRateSchedule<F extends Fields = Fields> {
  /** The descriptors of the options; a class without them reads its own arguments. */
  static readonly fields: Fields | undefined = undefined;

  /**
   * @param args one object of options, if the class declares fields
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for an unknown option, one of the wrong kind or a missing one
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` for a value that is out of range
   */
  constructor(...args: Arguments<F>) {
    const cls = new.target;
    const schedule = ((step: unknown) => schedule.at(checkStep(classNameOf(cls), step))) as LearningRateSchedule<F>;
    for (const key of ['name', 'length']) delete (schedule as unknown as Record<string, unknown>)[key];
    Object.setPrototypeOf(schedule, cls.prototype as object);
    if (cls.fields !== undefined)
      for (const [name, value] of Object.entries(readOptions(classNameOf(cls), cls.fields, args)))
        Object.defineProperty(schedule, name, { value, enumerable: true });
    return schedule;
  }

  /** The learning rate at `step`, in float64. Subclasses implement it; it is called with a number that is not NaN. */
  at(step: number): number {
    void step;
    throw notImplemented(nameOf(this), 'at(step)');
  }

  /** The options that `from_config` makes an equal schedule of. */
  get_config(): Config {
    const { fields } = this.constructor as typeof LearningRateSchedule;
    if (fields === undefined) throw notImplemented(nameOf(this), 'get_config()');
    return configOf(nameOf(this), fields, this as unknown as Record<string, unknown>);
  }

  /**
   * A schedule of this class from its config. The config is neither kept nor changed.
   *
   * @throws TypeError, RangeError as the constructor
   */
  static from_config<C extends ConfigurableClass>(
    this: C,
    config: unknown,
    custom_objects?: CustomObjects,
  ): InstanceType<C> {
    return fromConfig(this, config, custom_objects);
  }

  /** The serialized form, so that JSON.stringify(schedule) can be deserialized. */
  toJSON(): Serialized {
    return serialize(this);
  }

  /** What `console.log` shows: its class and options. */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return depth < 0 ? `[${nameOf(this)}]` : `${nameOf(this)} ${inspect({ ...this }, options)}`;
  }
}
markConfigurable(LearningRateSchedule.prototype);

const nameOf = (schedule: object): string => classNameOf(schedule.constructor);

function checkStep(who: string, step: unknown): number {
  if (typeof step === 'number' && !Number.isNaN(step)) return step;
  throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects step to be a number, got ${describe(step)}`);
}

/** Whether a value is a schedule, of this or another copy of the package. */
export const isSchedule = (value: unknown): value is LearningRateSchedule =>
  typeof value === 'function' && isConfigurable(value);

/** The descriptor of an option that holds a schedule. */
export const scheduleField: Field<LearningRateSchedule, true> = {
  required: true,
  default: undefined as never,
  expects: 'a schedule',
  is: isSchedule,
  allows: () => true,
};

/** The `name` of a schedule, which Keras keeps in the config; Keras 2 wrote null. */
export const named = (name: string) => ({
  /** Only in the config: null, or what Keras calls it. */
  name: { ...nullable(text(name)), default: name } as Field<string | null, false>,
});
