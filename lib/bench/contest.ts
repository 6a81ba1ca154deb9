// A step of an optimizer, a loop in JavaScript that does the same, and what memory allows, in turn.
import { gpuOf, type Device, type GpuIndex } from '../devices.ts';
import { deserialize, Variable, type DeviceArray, type Optimizer } from '../index.ts';
import { addon, getNumThreads } from '../native.ts';
import { InPlace } from './in_place.ts';
import { gradientOf, variableOf } from './inputs.ts';
import { loops } from './loops/index.ts';
import type { Options, Shape, Tensor } from './loops/loop.ts';
import { inRounds, summary, timed, type Lane, type Samples } from './measure.ts';
import { ruleNamed, type Rule } from './rules.ts';

/** What is measured. */
export interface Trial {
  /** Of a rule. */
  readonly optimizer: string;
  readonly elements: number;
  readonly device: Device;
}

/** Medians of the rounds. */
export interface Outcome extends Trial {
  /** That a step reads and writes. */
  readonly bytes: number;
  /** Of a step, in milliseconds. */
  readonly step: number;
  readonly javascript: number;
  /** Bytes that are read and written, in 10^9 a second. */
  readonly speed: number;
  /** The same of the yardstick: on the host, memory reversed in place; on a GPU, one half copied onto the other. */
  readonly memory: number;
  /** The speed in parts of the yardstick's, of the same round. */
  readonly share: number;
  /** The time of JavaScript in steps, of the same round. */
  readonly times: number;
}

/** What is measured, and how it ends. */
interface Contestant {
  readonly run: Lane['run'];
  readonly release: () => void | Promise<void>;
}

/** Bytes of all arrays: the variable, its gradient, its slots. */
const footprint = ({ slots }: Rule, elements: number): number => 4 * (2 + slots) * elements;

/** Bytes that a step reads and writes: all are read, all but the gradient written; a direction is written, and then subtracted. */
export function trafficOf(optimizer: string, elements: number): number {
  const { slots, directed = false } = ruleNamed(optimizer);
  return 4 * (1 + 2 * (1 + slots) + (directed ? 3 : 0)) * elements;
}

/** Bytes that a trial takes on the host at most. */
export const needed = ({ optimizer, elements }: Trial): number => 3 * footprint(ruleNamed(optimizer), elements);

const count = (shape: Shape): number => shape.reduce((product, side) => product * side, 1);

/** The library's, on whatever device. */
function ours({ optimizer: name, device }: Trial, shape: Shape): Contestant & { readonly variable: Variable } {
  const { className, options } = ruleNamed(name);
  const variable = new Variable(variableOf(count(shape), 0), { shape, device }) as Variable;
  const optimizer = deserialize({ class_name: className, config: options }) as Optimizer;
  optimizer.build([variable]);
  const gradient = variable.gradient as Float32Array | DeviceArray;
  if (gradient instanceof Float32Array) gradient.set(gradientOf(count(shape), 0));
  else gradient.assign(gradientOf(count(shape), 0));
  const gpu = gpuOf('bench', device);
  const steps = timed(() => optimizer.apply());
  return {
    variable,
    run: gpu === undefined ? steps : finished(gpu, steps),
    release: () => [optimizer, variable].forEach((one) => one.dispose()),
  };
}

/** Until the GPU has done it, too. */
const finished =
  (gpu: GpuIndex, run: (repetitions: number) => number) =>
  (repetitions: number): number => {
    const enqueued = run(repetitions);
    const start = performance.now();
    addon.cuda.mark(gpu).wait();
    return enqueued + (performance.now() - start) / 1000;
  };

function javascript(name: string, shape: Shape): Contestant & { readonly values: Float32Array } {
  const { options, slots } = ruleNamed(name);
  const length = count(shape);
  const state = Array.from({ length: slots }, () => new Float32Array(length));
  const values = variableOf(length, 0);
  const tensor: Tensor = [values, gradientOf(length, 0), ...state];
  const steps = loops[name] as (typeof loops)[string]; // every rule with a class has one
  return { values, run: timed(steps([tensor], options as unknown as Options, [shape])), release: () => undefined };
}

/** As much memory as the step has: reversed in place, or on a GPU one half copied onto the other. */
async function yardstick({ optimizer, elements, device }: Trial): Promise<Contestant> {
  const bytes = footprint(ruleNamed(optimizer), elements);
  const gpu = gpuOf('bench', device);
  if (gpu === undefined) {
    const made = new InPlace(bytes / 4, getNumThreads());
    await made.ready();
    return { run: (repetitions) => made.run(repetitions), release: () => made.release() };
  }
  const [to, from] = [new addon.Memory(bytes / 2, 0, gpu), new addon.Memory(bytes / 2, 0, gpu)];
  const run = finished(
    gpu,
    timed(() => addon.cuda.copy(to, from)),
  );
  return { run, release: () => [to, from].forEach((one) => one.release()) };
}

const kShape: Shape = [25, 40];
const kSteps = 5;
/** Of values below 1: JavaScript computes in float64 and rounds once a number, a step after every operation. */
const kRounding = 1e-6;

/**
 * Compares values first: the largest difference from the loop in JavaScript after a few steps.
 *
 * @throws Error if it is more than roundings explain
 */
export async function check(optimizer: string, device: Device): Promise<number> {
  const [step, loop] = [ours({ optimizer, device, elements: count(kShape) }, kShape), javascript(optimizer, kShape)];
  await step.run(kSteps);
  await loop.run(kSteps);
  const values = Array.from(await step.variable.read());
  await step.release();
  const difference = values.reduce((most, value, i) => Math.max(most, Math.abs(value - (loop.values[i] as number))), 0);
  if (difference <= kRounding) return difference;
  throw new Error(`${optimizer} differs from a loop in JavaScript by ${difference} after ${kSteps} steps on ${device}`);
}

const kSample = 0.02; // seconds

/** Measures in rounds. */
export async function contest(trial: Trial, rounds: number): Promise<Outcome> {
  const shape = [trial.elements];
  const contestants = {
    step: ours(trial, shape),
    memory: await yardstick(trial),
    javascript: javascript(trial.optimizer, shape),
  };
  const lanes = Object.entries(contestants).map(([driver, { run }]): Lane => ({ driver, run }));
  try {
    const samples = await inRounds(lanes, rounds, kSample, (_, error) => {
      throw error;
    });
    return outcomeOf(trial, samples);
  } finally {
    for (const { release } of Object.values(contestants)) await release();
  }
}

function outcomeOf(trial: Trial, { step = [], memory = [], javascript = [] }: Samples): Outcome {
  const bytes = trafficOf(trial.optimizer, trial.elements);
  const moved = footprint(ruleNamed(trial.optimizer), trial.elements) * (trial.device === 'cpu' ? 2 : 1);
  const median = (of: (i: number) => number): number => summary(step.map((_, i) => of(i))).median;
  const at = (samples: readonly number[], i: number): number => samples[i] as number; // all have as many
  const speed = (i: number): number => bytes / at(step, i);
  const most = (i: number): number => moved / at(memory, i);
  return {
    ...trial,
    bytes,
    step: median((i) => 1000 * at(step, i)),
    javascript: median((i) => 1000 * at(javascript, i)),
    speed: median((i) => speed(i) / 1e9),
    memory: median((i) => most(i) / 1e9),
    share: median((i) => speed(i) / most(i)),
    times: median((i) => at(javascript, i) / at(step, i)),
  };
}
