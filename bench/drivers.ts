// Every driver: what does a step, or moves as much memory. A driver is a host, which is a process, and perhaps a mode of it.
import { ruleNamed, ruleNames } from './rules.ts';
import { variantNamed } from './variants.ts';

export interface Trial {
  readonly rule: string;
  readonly work: string;
  readonly variant: string;
  readonly threads: number;
}

export interface Driver {
  readonly about: string;
  /** Chosen without a word: always, not with --quick, only with --full, never. */
  readonly when: 'quick' | 'default' | 'full' | 'named';
  /** The rules that it has, each with the rule it does instead where it has only a similar one. Absent: all, themselves. */
  readonly as?: Readonly<Record<string, string>>;
  /** The variants that it has. Absent: all. */
  readonly variants?: readonly string[];
  /** Elements from which on a step takes too long or too much memory. */
  readonly most?: number;
  /** Measured only for so many tensors. */
  readonly tensors?: (count: number) => boolean;
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
const kEpsilon = 1e-5;

const same = (...names: string[]): Record<string, string> => Object.fromEntries(names.map((name) => [name, name]));
const rmsprops = ['rmsprop', 'rmsprop_momentum', 'rmsprop_centered', 'rmsprop_centered_momentum'];
const basic = same('sgd', 'sgd_momentum', 'adam', 'adamw', 'nadam');
const within = (tolerance: number, ...names: string[]): Record<string, number> =>
  Object.fromEntries(names.map((name) => [name, tolerance]));
const kerasVariants = ['plain', 'global_clipnorm', 'ema', 'accumulation'];
const torch = { variants: ['plain', 'global_clipnorm', 'ema'], when: 'default', tolerance: kEpsilon } as const;
// TensorFlow does not always round a power of an element correctly. In a tf.function it makes x / sqrt(y) a product with
// rsqrt(y), which is rounded otherwise.
const powers = within(kRounding, 'ftrl', 'ftrl_power');
const rewritten = within(kRounding, ...rmsprops, 'adagrad', 'adadelta');
const keras = {
  as: { ...same(...ruleNames), schedule_free_adamw: 'schedule_free_adamw_aliased' },
  variants: kerasVariants,
  when: 'default',
} as const;
const tensorflowJs = {
  as: { ...same('sgd', 'sgd_momentum', 'adam'), adamw: 'adam', nadam: 'adam' },
  variants: ['plain'],
  tolerance: kEpsilon,
} as const;

const step = 'optimizer.apply()';

export const drivers: Readonly<Record<string, Driver>> = {
  traffic: {
    about: 'the limit: a C++ loop over the arrays of the step that only adds, the faster of two widths',
    when: 'quick',
  },
  memcpy: { about: 'one half of as much memory copied onto the other', when: 'quick' },
  read: { about: 'a C++ loop that only reads the gradients', when: 'full' },
  ours: { about: `${step} on Variables, gradients in variable.gradient`, when: 'quick', tolerance: 0 },
  'ours:arrays': { about: `${step} with Float32Arrays as variables and gradients`, when: 'quick', tolerance: 0 },
  'ours:async': { about: 'await optimizer.apply_async() on Variables', when: 'full', tolerance: 0 },
  'ours:first': { about: `the first ${step} of an optimizer that has been built`, when: 'full', variants: ['plain'] },
  'ours:flat': {
    about: `${step} on one Variable of as many elements as the list has`,
    when: 'full',
    tensors: (count) => count > 1,
  },
  'ours:without': { about: `${step} on Variables without what the variant adds`, when: 'full' },
  'ours:avx512': { about: 'ours with the kernels for AVX-512', when: 'named', tolerance: 0 },
  'ours:avx2': { about: 'ours with the kernels for AVX2', when: 'named', tolerance: 0 },
  'ours:baseline': { about: 'ours with the kernels for any processor', when: 'named', tolerance: 0 },
  javascript: {
    about: 'the same step as a loop over Float32Arrays',
    when: 'quick',
    variants: ['plain'],
    tolerance: kRounding,
  },
  'tfjs:cpu': {
    ...tensorflowJs,
    about: 'optimizer.applyGradients of TensorFlow.js, CPU backend',
    when: 'full',
    most: 2 ** 20,
  },
  'tfjs:wasm': {
    ...tensorflowJs,
    about: 'optimizer.applyGradients of TensorFlow.js, WebAssembly backend',
    when: 'default',
    most: 2 ** 25, // its memory has 32-bit addresses
  },
  'keras:eager': {
    ...keras,
    about: 'optimizer.apply of Keras on TensorFlow, eagerly',
    tolerance: 0,
    tolerances: powers,
  },
  'keras:function': {
    ...keras,
    about: 'the same in a tf.function',
    tolerance: 0,
    tolerances: { ...powers, ...rewritten },
  },
  'keras:jit': { ...keras, about: 'the same in a tf.function with jit_compile', tolerance: kRounding },
  'torch:foreach': { ...torch, about: 'optimizer.step of PyTorch, foreach', as: basic },
  'torch:fused': {
    ...torch,
    about: 'optimizer.step of PyTorch, fused',
    as: { ...same('sgd', 'sgd_momentum', 'adam', 'adamw'), nadam: 'adamw' },
  },
  optax: {
    about: 'update and apply_updates of optax in a jax.jit with donated buffers',
    when: 'default',
    as: { ...basic, nadam: 'nadam_constant' },
    variants: kerasVariants,
    tolerance: kEpsilon,
  },
};

/** Drivers of a Python host share its process; those of a Node host have one each. */
export const hostOf = (driver: string): string => driver.split(':')[0] as string;
export const pythonHosts: readonly string[] = ['keras', 'torch', 'optax'];

export function driverNamed(name: string): Driver {
  const driver = drivers[name];
  if (driver === undefined) throw new RangeError(`no driver is named ${name}`);
  return driver;
}

/** The rule that a driver does in a trial of that rule; undefined if it has nothing like it. */
export function doneAs(driver: string, rule: string): string | undefined {
  const { as } = driverNamed(driver);
  return as === undefined ? rule : as[rule];
}

/** Whether a driver has something to measure in a trial; if not, why, or false where nobody would expect it. */
export function fits(
  driver: string,
  { rule, variant }: Trial,
  tensors: number,
  elements: number,
): true | false | string {
  const { most = Infinity, tensors: wanted, variants = [variant] } = driverNamed(driver);
  const done = doneAs(driver, rule);
  if (wanted?.(tensors) === false) return false;
  if (driver === 'read' && variantNamed(variant).norm !== true) return false;
  if (driver === 'ours:without' && variant === 'plain') return false;
  if (done === undefined) return `${driver}: has no ${rule}`;
  if (!variants.includes(variant)) return hostOf(driver) === 'ours' ? false : `${driver}: has no ${variant}`;
  if (ruleNamed(done).className === undefined && variant !== 'plain')
    return `${driver}: there is nothing to check its ${variant} against`;
  return elements > most ? `${driver}: not above ${most} elements` : true;
}
