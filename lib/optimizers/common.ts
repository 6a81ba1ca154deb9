// The arguments that every optimizer has: keras/src/optimizers/base_optimizer.py, in the order of its config.
import {
  checkField,
  counting,
  extension,
  finite,
  flag,
  isPlainFunction,
  nonNegative,
  nullable,
  oneOf,
  refused,
  text,
  whole,
  type Field,
  type Fields,
  type Options,
  type Values,
} from '../configurable.ts';
import { describe, rangeError, typeError } from '../errors.ts';
import { InverseTimeDecay } from '../schedules/inverse_time_decay.ts';
import { isSchedule, type LearningRateSchedule } from '../schedules/schedule.ts';

/** A number, a schedule, or a function of the raw counter. */
export type LearningRate = number | LearningRateSchedule | ((step: number) => number);

const learningRate = (value: number): Field<LearningRate, false> => ({
  required: false,
  default: value,
  expects: 'a finite number, a schedule or a function of the raw counter',
  is: (x) => typeof x === 'number' || isSchedule(x) || isPlainFunction(x),
  allows: (x) => typeof x !== 'number' || Number.isFinite(x),
});

const gradientAccumulationSteps: Field<number | null, false> = {
  ...counting(nullable(finite(0))),
  expects: 'a number >= 2, 0 or null',
  allows: (x) => x === null || x === 0 || (Number.isFinite(x) && x >= 2),
};

/** The arguments of every optimizer, with a default for the learning rate. */
export const common = (learning_rate: number) => ({
  /** In messages, configs and paths; null: the class in snake case, with a number from the second one on. */
  name: { ...nullable(text('')), expects: 'a string' } as Field<string | null, false>,
  /** A number, a schedule, or a function of the raw counter. */
  learning_rate: learningRate(learning_rate),
  /** Decoupled: `p - p * weight_decay * learning_rate` before the step; null: none. */
  weight_decay: nullable(finite()),
  /** Scales each gradient down to this L2 norm; null: none. At most one of the three clippings is given. */
  clipnorm: nullable(finite()),
  /** Scales all gradients together down to this L2 norm; null: none. */
  global_clipnorm: nullable(finite()),
  /** Clips each element of a gradient to `[-clipvalue, clipvalue]`; null: none. */
  clipvalue: nullable(finite()),
  /** Whether moving averages of the variables are kept. */
  use_ema: flag(false),
  /** Of the averages, in [0, 1]: what an average keeps of itself in a step. */
  ema_momentum: finite(0.99),
  /** At every so many steps the averages become the variables; null or 0: never. */
  ema_overwrite_frequency: counting(nullable(finite())),
  /** What the loss was multiplied by: gradients are divided by it; null: nothing. */
  loss_scale_factor: nullable(finite()),
  /** So many calls make one update with the mean of their gradients, 2 or more; null or 0: every call. */
  gradient_accumulation_steps: gradientAccumulationSteps,
  /** How the slots of float32 variables are kept. An extension, as the next three: docs/bfloat16.md. */
  state_dtype: extension(oneOf(['float32', 'bfloat16'])),
  /** How a new value becomes a bfloat16. */
  state_rounding: extension(oneOf(['stochastic', 'nearest'])),
  /** Of the random numbers of `"stochastic"`: a whole number >= 0. */
  seed: extension(whole(0)),
  /** How a Uint16Array among the gradients is read; null: it is refused. */
  gradient_dtype: extension(nullable(oneOf(['bfloat16', 'float16']))),
  /** Of Keras 1 and 2, `learning_rate / (1 + decay * iterations)`: becomes a schedule. */
  decay: { ...nullable(nonNegative(0)), transient: true } as Field<number | null, false>,
  /** Refused: its name is `learning_rate`. */
  lr: refused('its name is learning_rate'),
});

export type CommonFields = ReturnType<typeof common>;
export type CommonOptions = Options<CommonFields>;
export type CommonValues = Omit<Values<CommonFields>, 'learning_rate' | 'decay' | 'lr' | 'name'>;

const commonNames = Object.keys(common(0));

/** Throws unless the descriptors of a class have the common ones among them, and none hides a member of every optimizer. */
export function checkFields(who: string, fields: Fields, members: object): void {
  const missing = commonNames.find((name) => !Object.hasOwn(fields, name));
  if (missing !== undefined)
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects its static fields to begin with ...fields.common(0.01), got none named "${missing}"`,
    );
  const hiding = Object.keys(fields).find((name) => name in members && !commonNames.includes(name));
  if (hiding !== undefined)
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects its static fields to have names of their own, got "${hiding}"`,
    );
}

/** What Keras checks of several arguments together. */
export function checkCommon(who: string, values: Values<CommonFields>): void {
  const fail = (what: string, got: string): RangeError =>
    rangeError('ERR_OPT_CONFIG_RANGE', `${who} expects ${what}, got ${got}`);
  const clips = (['clipnorm', 'global_clipnorm', 'clipvalue'] as const).filter((name) => values[name] !== null);
  if (clips.length > 1) throw fail('at most one of clipnorm, global_clipnorm and clipvalue', clips.join(' and '));
  if (!values.use_ema) return;
  const { ema_momentum, ema_overwrite_frequency: frequency } = values;
  if (ema_momentum < 0 || ema_momentum > 1) throw fail('ema_momentum to be a number in [0, 1]', `${ema_momentum}`);
  if (frequency && (frequency < 1 || !Number.isInteger(frequency)))
    throw fail('ema_overwrite_frequency to be a whole number >= 1, 0 or null', `${frequency}`);
}

/** The rate that `decay` makes of a number, as Keras 1 and 2 did. */
export function decayedRate(who: string, { learning_rate: rate, decay }: Values<CommonFields>): LearningRate {
  if (!decay) return rate;
  if (typeof rate === 'number')
    return new InverseTimeDecay({ initial_learning_rate: rate, decay_steps: 1, decay_rate: decay });
  throw rangeError(
    'ERR_OPT_CONFIG_RANGE',
    `${who} expects decay only beside a number as learning_rate, got ${isSchedule(rate) ? 'a schedule' : 'a function'}: let that decay, or give weight_decay if the weights are meant`,
  );
}

const names = new Map<string, number>();

/** Keras's automatic name: the class name in snake case, from the second one on with a number. */
export function uniqueName(className: string): string {
  const name = className
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase();
  const count = names.get(name) ?? 0;
  names.set(name, count + 1);
  return count === 0 ? name : `${name}_${count}`;
}

/** The rate at a raw counter. */
export function rateAt(who: string, rate: LearningRate, counter: number): number {
  const value: unknown = typeof rate === 'function' ? rate(counter) : rate;
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  const message = `${who} expects its learning rate at ${counter} to be a finite number, got ${describe(value)}`;
  throw typeof value === 'number'
    ? rangeError('ERR_OPT_CONFIG_RANGE', message)
    : typeError('ERR_OPT_CONFIG_TYPE', message);
}

/** The new rate, if it may replace the old one: a number does not replace a schedule or function. */
export function replacedRate(who: string, before: LearningRate, value: unknown): LearningRate {
  const rate = checkField(who, 'learning_rate', learningRate(0), value);
  if (typeof rate !== 'number' || typeof before === 'number') return rate;
  const what = isSchedule(before) ? 'a schedule' : 'a function';
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects ${what} to replace its learning rate, which is ${what}, got ${rate}`,
  );
}
