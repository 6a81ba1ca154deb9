// The same training twice: on the CPU, and on a GPU. Both begin with the same weights and see the same batches.
import type { Optimizer } from 'keras-optimizers';

import { batches, kClasses, kPixels, loadMnist, type Images } from '../mnist-data.ts';
import { Network, type Score } from '../network.ts';
import { makeOptimizer } from '../optimizers.ts';
import { Mean } from '../progress.ts';
import { mulberry32, permutation } from '../random.ts';
import type { Addon } from './addon.ts';
import { GpuNetwork } from './network.ts';
import type { Options } from './options.ts';

/** Scores of tenths of an epoch, or fewer if there are fewer steps; the last one over all. */
export interface Run {
  /** By epoch. */
  readonly points: readonly (readonly Point[])[];
  readonly test: Score;
  /** Mean time of a step, the forward and backward pass in it, in milliseconds. */
  readonly milliseconds: number;
}
export interface Point extends Score {
  readonly images: number;
}

const kPoints = 10; // of an epoch
const kTestBatch = 100;

type Data = ReturnType<typeof loadMnist>;
/** Of the step `done`, counted from 1. */
const endsPoint = (done: number, steps: number): boolean =>
  Math.floor((kPoints * done) / steps) > Math.floor((kPoints * (done - 1)) / steps);
const stepsOf = ({ train, batchSize }: Options): number => Math.ceil(train / batchSize);

function begin(options: Options): { random: () => number; network: Network; optimizer: Optimizer } {
  const random = mulberry32(options.seed);
  const network = new Network(kPixels, options.hidden, kClasses, random);
  const setting = { rate: options.learningRate, schedule: 'exponential' };
  return { random, network, optimizer: makeOptimizer('nadam', setting, options.epochs * stepsOf(options)) };
}

/** Runs `epoch` as often as asked for; time without what comes after the last one. */
async function timed(options: Options, epoch: () => Promise<Point[]>): Promise<Pick<Run, 'points' | 'milliseconds'>> {
  const points: Point[][] = [];
  const start = performance.now();
  for (let i = 0; i < options.epochs; i++) points.push(await epoch());
  return { points, milliseconds: (performance.now() - start) / (options.epochs * stepsOf(options)) };
}

export async function trainOnCpu(options: Options, { train, test }: Data): Promise<Run> {
  const { random, network, optimizer } = begin(options);
  optimizer.build(network.variables);
  const steps = stepsOf(options);
  // eslint-disable-next-line @typescript-eslint/require-await -- as on the GPU
  const times = await timed(options, async () => {
    const points: Point[] = [];
    let [done, images, mean] = [0, 0, new Mean()];
    for (const batch of batches(train, options.batchSize, random)) {
      const { length } = batch.labels;
      mean.add(network.run(batch, true), length);
      images += length;
      optimizer.apply();
      if (!endsPoint(++done, steps)) continue;
      points.push({ loss: mean.loss, accuracy: mean.accuracy, images });
      [images, mean] = [0, new Mean()];
    }
    return points;
  });
  const score = new Mean();
  for (const batch of batches(test, kTestBatch)) score.add(network.run(batch, false), batch.labels.length);
  return { ...times, test: score };
}

export async function trainOnGpu(addon: Addon, options: Options, { train, test }: Data): Promise<Run> {
  const { random, network, optimizer } = begin(options);
  const { batchSize, handover } = options;
  const batch = Math.max(batchSize, kTestBatch);
  const gpu = new GpuNetwork(addon, network, { images: joined(train, test), batch, handover });
  optimizer.build(gpu.variables);
  const steps = stepsOf(options);
  const times = await timed(options, async () => {
    const points: Promise<Point>[] = [];
    let before = 0;
    gpu.order(permutation(options.train, random));
    for (let done = 1; done <= steps; done++) {
      const start = (done - 1) * batchSize;
      const end = Math.min(start + batchSize, options.train);
      gpu.trainStep(optimizer, start, end - start);
      if (!endsPoint(done, steps)) continue;
      const images = end - before;
      points.push(gpu.score().then((score) => ({ ...score, images })));
      before = end;
    }
    return Promise.all(points);
  });
  gpu.order(Uint32Array.from(test.labels, (_, i) => options.train + i));
  for (let start = 0; start < test.labels.length; start += kTestBatch) gpu.evaluate(start, kTestBatch);
  return { ...times, test: await gpu.score() };
}

function joined(first: Images, second: Images): Images {
  const both = (a: Uint8Array, b: Uint8Array) => Uint8Array.from(Buffer.concat([a, b]));
  return { pixels: both(first.pixels, second.pixels), labels: both(first.labels, second.labels) };
}
