// Every driver: what does a step, or moves as much memory. A driver is a host, which is a process, and perhaps a mode of it.
import { adapter, arrays, javascript, keras, optax, tensorflowJs, torch, type Likeness } from './likeness.ts';
import { ruleNamed } from '../lib/bench/rules.ts';
import { denseVariants, variantNamed } from './variants.ts';

export interface Trial {
  readonly rule: string;
  readonly work: string;
  readonly variant: string;
  readonly threads: number;
}

export interface Driver extends Likeness {
  readonly about: string;
  /** Chosen without a word: always, not with --quick, only with --full, never. */
  readonly when: 'quick' | 'default' | 'full' | 'named';
  /** Elements from which on a step takes too long or too much memory. */
  readonly most?: number;
  /** Measured only for so many tensors. */
  readonly tensors?: (count: number) => boolean;
}

const step = 'optimizer.apply()';

export const drivers: Readonly<Record<string, Driver>> = {
  traffic: {
    about: 'the limit: a C++ loop over the arrays of the step that only adds, the faster of two widths',
    when: 'quick',
    variants: denseVariants,
  },
  memcpy: { about: 'one half of as much memory copied onto the other', when: 'quick', variants: denseVariants },
  read: { about: 'a C++ loop that only reads the gradients', when: 'full', variants: denseVariants },
  ours: { about: `${step} on Variables, gradients in variable.gradient`, when: 'quick', tolerance: 0 },
  'ours:arrays': {
    ...arrays,
    about: `${step} with Float32Arrays as variables and gradients`,
    when: 'quick',
    variants: denseVariants,
    tolerance: 0,
  },
  'ours:async': { about: 'await optimizer.apply_async() on Variables', when: 'full', tolerance: 0 },
  'ours:first': { about: `the first ${step} of an optimizer that has been built`, when: 'full', variants: ['plain'] },
  'ours:flat': {
    about: `${step} on one Variable of as many elements as the list has`,
    when: 'full',
    variants: denseVariants,
    tensors: (count) => count > 1,
  },
  'ours:without': { about: `${step} on Variables without what the variant adds`, when: 'full' },
  'ours:avx512': { about: 'ours with the kernels for AVX-512', when: 'named', tolerance: 0 },
  'ours:avx2': { about: 'ours with the kernels for AVX2', when: 'named', tolerance: 0 },
  'ours:baseline': { about: 'ours with the kernels for any processor', when: 'named', tolerance: 0 },
  javascript: { ...javascript, about: 'the same step as a loop over Float32Arrays', when: 'quick' },
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
  'tfjs:tensorflow': {
    ...tensorflowJs,
    about: 'optimizer.applyGradients of TensorFlow.js, tfjs-node on libtensorflow',
    when: 'named',
  },
  'adapter:cpu': { ...adapter, about: 'ours in TensorFlow.js, CPU backend', when: 'named' },
  'adapter:wasm': { ...adapter, about: 'ours in TensorFlow.js, WebAssembly backend', when: 'named', most: 2 ** 25 },
  'adapter:tensorflow': { ...adapter, about: 'ours in TensorFlow.js, tfjs-node on libtensorflow', when: 'named' },
  'keras:eager': { ...keras.eager, about: 'optimizer.apply of Keras on TensorFlow, eagerly', when: 'default' },
  'keras:function': { ...keras.function, about: 'the same in a tf.function', when: 'default' },
  'keras:jit': { ...keras.jit, about: 'the same in a tf.function with jit_compile', when: 'default' },
  'torch:foreach': { ...torch.foreach, about: 'optimizer.step of PyTorch, foreach', when: 'default' },
  'torch:fused': { ...torch.fused, about: 'optimizer.step of PyTorch, fused', when: 'default' },
  optax: {
    ...optax,
    about: 'update and apply_updates of optax in a jax.jit with donated buffers',
    when: 'default',
  },
};

/** Drivers of a Python host share its process; those of a Node host have one each. */
export const hostOf = (driver: string): string => driver.split(':')[0] as string;
/** Empty for a driver that is the whole of its host. */
export const modeOf = (driver: string): string => driver.slice(hostOf(driver).length + 1);
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
  const { most = Infinity, tensors: wanted, variants = [variant], lacks } = driverNamed(driver);
  const done = doneAs(driver, rule);
  if (wanted?.(tensors) === false) return false;
  if (driver === 'read' && variantNamed(variant).norm !== true) return false;
  if (driver === 'ours:without' && variant === 'plain') return false;
  if (lacks?.[rule] !== undefined) return `${driver}: its ${rule} ${lacks[rule]}`;
  if (done === undefined) return `${driver}: has no ${rule}`;
  if (variantNamed(variant).narrow === true && ruleNamed(rule).narrow === null) return false;
  if (!variants.includes(variant)) return hostOf(driver) === 'ours' ? false : `${driver}: has no ${variant}`;
  if (ruleNamed(done).className === undefined && variant !== 'plain')
    return `${driver}: there is nothing to check its ${variant} against`;
  return elements > most ? `${driver}: not above ${most} elements` : true;
}
