// One process of a training. Equal tasks mean equal weights in the beginning, equal batches, and equal bits at the end, whatever the
// number of processes: each of them has its share of the micro-batches of every batch.
import { createHash } from 'node:crypto';

import type { Communicator } from 'keras-optimizers/distributed';
import type { Optimizer, Variable } from 'keras-optimizers';

import { batches, kClasses, kPixels, loadMnist, type Batch } from '../mnist-data.ts';
import { Network, type Score } from '../network.ts';
import { makeOptimizer, settingOf } from '../optimizers.ts';
import { Mean } from '../progress.ts';
import { mulberry32 } from '../random.ts';
import type { Task } from './options.ts';

/** What a process has come to. */
export interface Result {
  readonly ranks: number;
  /** Mean loss of the last epoch over its training images as they came. */
  readonly trainLoss: number;
  readonly test: Score;
  /** Of the optimizer's state on the rank that keeps most of it. */
  readonly stateBytes: number;
  /** Median milliseconds of a step, and of its sums and update alone. */
  readonly step: number;
  readonly update: number;
  /** SHA-256 of the variables. */
  readonly bits: string;
}

export async function train(comm: Communicator, name: string, shard: boolean, task: Task): Promise<Result> {
  const { batchSize, epochs, microBatches } = task;
  const perEpoch = Math.floor(task.train / batchSize);
  const images = loadMnist(perEpoch * batchSize);
  const random = mulberry32(task.seed);
  const network = new Network(kPixels, task.hidden, kClasses, random);
  const optimizer = makeOptimizer(name, settingOf(name), epochs * perEpoch);
  await optimizer.distribute(comm, { reduction: 'mean', shard_state: shard, micro_batches: microBatches });
  optimizer.build(network.variables);
  const [steps, updates]: [number[], number[]] = [[], []];
  let mean = new Mean();
  for (let epoch = 1; epoch <= epochs; epoch++) {
    mean = new Mean();
    for (const batch of batches(images.train, batchSize, random)) {
      const began = performance.now();
      let update = 0;
      for (const own of ownOf(batch, microBatches, comm)) {
        mean.add(network.run(own, true), own.labels.length); // writes the variables' gradients,
        const start = performance.now();
        await optimizer.apply_async(); // which are added up here; the last one makes the step
        update += performance.now() - start;
      }
      updates.push(update);
      steps.push(performance.now() - began);
    }
  }
  const test = new Mean();
  for (const batch of batches(images.test, 100)) test.add(network.run(batch, false), batch.labels.length);
  const losses = await ofAll(comm, mean.loss);
  return {
    ranks: comm.size,
    trainLoss: losses.reduce((sum, loss) => sum + loss) / comm.size,
    test,
    stateBytes: Math.max(...(await ofAll(comm, stateBytesOf(optimizer)))),
    step: median(steps),
    update: median(updates),
    bits: bitsOf(network.variables),
  };
}

/** The micro-batches of this process: as many for each, side by side. */
function* ownOf({ x, labels }: Batch, count: number, { rank, size }: Communicator): Generator<Batch> {
  const rows = labels.length / count;
  for (let i = (rank * count) / size; i < ((rank + 1) * count) / size; i++) {
    const [begin, end] = [i * rows, (i + 1) * rows];
    yield { x: x.subarray(begin * kPixels, end * kPixels), labels: labels.subarray(begin, end) };
  }
}

/** A number of every process. */
async function ofAll(comm: Communicator, own: number): Promise<Float64Array> {
  const all = new Float64Array(comm.size);
  await comm.allGather(Float64Array.of(own), all);
  return all;
}

const stateBytesOf = ({ variables }: Optimizer): number =>
  variables.reduce((sum, { value }) => sum + value.byteLength, 0);

function bitsOf(variables: readonly Variable[]): string {
  const hash = createHash('sha256');
  for (const { value } of variables) hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  return hash.digest('hex');
}

const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? NaN;
