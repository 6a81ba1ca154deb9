// What is measured in turn: our step, and a copy from the device to itself of as many bytes.
import * as library from '../../lib/index.ts';
import type { Optimizer, Variable } from '../../lib/index.ts';
import { addon, type Memory } from '../../lib/native.ts';
import { elementsOf, totalOf } from '../../bench/work.ts';
import { pattern } from '../../bench/inputs.ts';
import { quantile } from '../../lib/bench/measure.ts';
import { indexOf } from '../checks/foreign.ts';
import { zerosOn, type GpuName } from '../checks/variables.ts';
import { bytesOf, kClip, type Rule, type Work } from './works.ts';

/** Seconds of a repetition: on the device from the first to the last, and until the host knows that it has ended. */
export interface Timing {
  readonly gpu: number;
  readonly wall: number;
}

export interface Lane {
  readonly name: string;
  run(repetitions: number): Promise<Timing>;
  release(): void | Promise<void>;
}

/** Between two marks on the device. */
function timed(gpu: number, repetitions: number, act: () => void): Timing {
  const [start, first] = [performance.now(), addon.cuda.mark(gpu, true)];
  for (let i = 0; i < repetitions; i++) act();
  const last = addon.cuda.mark(gpu, true);
  last.wait();
  const wall = performance.now() - start;
  return { gpu: last.since(first) / 1000 / repetitions, wall: wall / 1000 / repetitions };
}

const kPattern = 251 * 4096; // elements: a whole number of periods

/** Fills memory with a pattern by doubling it there, so that the host needs no array of that size. */
function fill(gpu: number, ptr: bigint, elements: number): void {
  const first = Math.min(elements, kPattern);
  const part = (from: number, count: number): Memory => addon.cuda.borrow(gpu, ptr + BigInt(4 * from), 4 * count);
  addon.cuda.write(part(0, first), pattern(first, 0));
  for (let done = first; done < elements;) {
    const count = Math.min(done, elements - done);
    addon.cuda.copy(part(done, count), part(0, count));
    done += count;
  }
}

export const optionsOf = (clips: boolean): object => (clips ? { global_clipnorm: kClip } : {});

const kHostGroup = 8; // steps: few enough for any queue to hold them
const kHostGroups = 25;

/** A step on the variables' own gradients. */
export class Ours implements Lane {
  readonly name = 'ours';
  readonly #gpu: number;
  readonly #variables: readonly Variable[];
  readonly #optimizer: Optimizer;

  constructor(device: GpuName, { shapes, zeros = false }: Work, rule: Rule, clips: boolean) {
    this.#gpu = indexOf(device);
    const made: Variable[] = [];
    this.#variables = made;
    this.#optimizer = new library[rule](optionsOf(clips));
    try {
      for (const shape of shapes) made.push(zerosOn(device, shape));
      this.#optimizer.build(made);
      for (const variable of made) this.#fillGradient(variable, zeros);
    } catch (error) {
      this.release();
      throw error;
    }
  }

  #fillGradient(variable: Variable, zeros: boolean): void {
    const { gradient } = variable; // made now, of zeros
    if (!zeros) fill(this.#gpu, (gradient as unknown as library.DeviceArray).cuda.ptr, elementsOf(variable.shape));
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as other lanes
  async run(repetitions: number): Promise<Timing> {
    return timed(this.#gpu, repetitions, () => this.#optimizer.apply());
  }

  /** Microseconds that `apply` takes of the host's time, the median of groups of a few steps. */
  hostTime(): number {
    const times = Array.from({ length: kHostGroups }, () => {
      const start = performance.now();
      for (let i = 0; i < kHostGroup; i++) this.#optimizer.apply();
      const time = performance.now() - start;
      addon.cuda.mark(this.#gpu).wait();
      return (1000 * time) / kHostGroup;
    });
    return quantile(times, 0.5);
  }

  release(): void {
    this.#optimizer.dispose();
    for (const variable of this.#variables) variable.dispose();
  }
}

const kLargestCopy = 4 * 2 ** 30; // bytes: no slower a byte than larger ones

/** Moves as many bytes as a step, half of them read and half written; scaled where they would be too many. */
export class Copy implements Lane {
  readonly name = 'copy';
  readonly #gpu: number;
  readonly #to: Memory;
  readonly #from: Memory;
  /** Read and written by one. */
  readonly bytes: number;

  constructor(device: GpuName, { shapes }: Work, clips: boolean) {
    this.#gpu = indexOf(device);
    const half = Math.min((totalOf(shapes) * bytesOf(clips)) / 2, kLargestCopy);
    this.bytes = 2 * half;
    this.#to = new addon.Memory(half, 0, this.#gpu);
    this.#from = new addon.Memory(half, 0, this.#gpu);
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- as other lanes
  async run(repetitions: number): Promise<Timing> {
    return timed(this.#gpu, repetitions, () => addon.cuda.copy(this.#to, this.#from));
  }

  release(): void {
    this.#to.release();
    this.#from.release();
  }
}
