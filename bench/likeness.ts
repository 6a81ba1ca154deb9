// How like ours the peers are: the rules and variants that they have, and how far their values may be from ours.
import { ruleNames } from '../lib/bench/rules.ts';

export interface Likeness {
  /** The rules that it has, each with the rule it does instead where it has only a similar one. Absent: all, themselves. */
  readonly as?: Readonly<Record<string, string>>;
  /** Rules that it has by name alone, each with what it does otherwise. */
  readonly lacks?: Readonly<Record<string, string>>;
  /** Rules that it does for the rows of a sparse gradient alone, also where the others move. */
  readonly lazy?: readonly string[];
  /** The variants that it has. Absent: all. */
  readonly variants?: readonly string[];
  /** By how much its values may differ from ours; absent for the loops that have none. */
  readonly tolerance?: number;
  /** Of rules where it is another. */
  readonly tolerances?: Readonly<Record<string, number>>;
}

// Roundings: compilers fuse multiplications with additions, and folded scalars are other floats. A few units in the last
// place of numbers below 1, after a few steps.
const kRounding = 1e-6;
// Adam with epsilon beside the root of the corrected second moment instead of the uncorrected: at the first step this is
// epsilon / sqrt(1 - beta_2) more beside roots from 1/256 on, 8e-4 of a step of 0.001.
// RMSprop with epsilon beside the root instead of under it (PyTorch), or, centered, subtracted there (TensorFlow.js): 1e-10
// beside variances from 0.09 / 256^2 on, 7e-5 of a step of 0.003.
const kEpsilon = 1e-5;

const same = (...names: string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, name]));
const within = (tolerance: number, ...names: string[]): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, tolerance]));

const rmsprops = ['rmsprop', 'rmsprop_momentum', 'rmsprop_centered', 'rmsprop_centered_momentum'];
const widespread = same('sgd', 'sgd_momentum', ...rmsprops, 'adagrad', 'adam', 'adamax');

export const arrays: Likeness = {
  as: same(...ruleNames.filter((name) => name !== 'adafactor')),
  lacks: { adafactor: 'sees no rows and columns' },
};

/** The core's kernels on the numbers of a tensor. */
export const adapter: Likeness = { variants: ['plain'], tolerance: 0 };

export const javascript: Likeness = { variants: ['plain'], tolerance: kRounding };

export const tensorflowJs: Likeness = {
  as: { ...widespread, adamw: 'adam', nadam: 'adam' },
  lacks: { adadelta: 'divides by the mean of squares before the step, not after it' },
  variants: ['plain'],
  tolerance: kEpsilon,
};

const ofKeras = {
  as: { ...same(...ruleNames), schedule_free_adamw: 'schedule_free_adamw_aliased' },
  variants: ['plain', 'global_clipnorm', 'ema', 'accumulation'],
} satisfies Likeness;
const withSparse = [...ofKeras.variants, 'sparse'];
// TensorFlow does not always round a power of an element correctly. In a tf.function it makes x / sqrt(y) a product with
// rsqrt(y), which is rounded otherwise.
const powers = within(kRounding, 'ftrl', 'ftrl_power');
// Keras adds up the squares of a variable in float32.
const sums = within(kRounding, 'lamb', 'adafactor');
const rewritten = within(kRounding, ...rmsprops, 'adagrad', 'adadelta');
export const keras = {
  eager: { ...ofKeras, variants: withSparse, tolerance: 0, tolerances: { ...powers, ...sums } },
  function: { ...ofKeras, variants: withSparse, tolerance: 0, tolerances: { ...powers, ...sums, ...rewritten } },
  jit: { ...ofKeras, tolerance: kRounding },
} satisfies Record<string, Likeness>;

const ofTorch = { variants: ['plain', 'global_clipnorm', 'ema'], tolerance: kEpsilon } satisfies Likeness;
export const torch = {
  foreach: {
    ...ofTorch,
    variants: [...ofTorch.variants, 'sparse'],
    lazy: ['adam'],
    as: { ...widespread, ...same('adadelta', 'adamw', 'nadam', 'adafactor') },
  },
  fused: { ...ofTorch, as: { ...same('sgd', 'sgd_momentum', 'adagrad', 'adam', 'adamw'), nadam: 'adamw' } },
} satisfies Record<string, Likeness>;

export const optax: Likeness = {
  as: { ...widespread, ...same('adadelta', 'adamw', 'lion', 'lamb', 'schedule_free_adamw'), nadam: 'nadam_constant' },
  variants: ofKeras.variants,
  tolerance: kEpsilon,
};
