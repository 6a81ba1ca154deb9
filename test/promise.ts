// What is promised of float32 beside Keras on TensorFlow: its bits, or how near to them.
import { ulp32 } from './golden.ts';

/** A class with the arguments of its constructor, schedules in serialized form. */
export interface Configuration {
  readonly class: string;
  readonly args: Readonly<Record<string, unknown>>;
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;
const hasNorm = ({ args }: Configuration): boolean => isGiven(args.clipnorm) || isGiven(args.global_clipnorm);
const hasSchedule = ({ args }: Configuration): boolean => typeof args.learning_rate === 'object' || Boolean(args.decay);
/** Ftrl's roots and powers: ours are rounded correctly, TensorFlow's not always. Everything to the power of 0 is 1. */
export const hasPower = ({ class: name, args }: Configuration): boolean =>
  name === 'Ftrl' && args.learning_rate_power !== 0;

/** Their steps follow from sums over a variable, which Keras adds in float32. */
const hasSums = ({ class: name }: Configuration): boolean => ['Lamb', 'Adafactor', 'Muon'].includes(name);

/** Where a float32 sum has an order of its own, or the schedule is float64 here and float32 in Keras. */
export const isInexact = (c: Configuration): boolean => hasNorm(c) || hasSchedule(c) || hasPower(c) || hasSums(c);

/**
 * The tolerance for what is not promised to the bit, after t steps that travelled so far. Another rounding of a rate or a norm
 * moves every step by a relative 1e-5 at most (optimizers.md 7), and the rounding of the variable by 1/2 ulp a step adds up like
 * a random walk, sqrt(t). Ftrl reaches 1.3e-7 of the distance, 5e-7 on wild gradients.
 */
export const tolerance = (keras: number, travelled: number, t: number): number =>
  1e-5 * travelled + 4 * ulp32(keras) * Math.sqrt(t);
