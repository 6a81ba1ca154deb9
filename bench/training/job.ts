// What every contestant of npm run bench:mnist trains: written into a folder for those that are not Node.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { kClasses, kPixels, loadMnist } from '../../examples/mnist-data.ts';
import { Network } from '../../examples/network.ts';
import { mulberry32, permutation } from '../../examples/random.ts';

export interface Job {
  readonly epochs: number;
  readonly batchSize: number;
  readonly hidden: number;
  readonly classes: number;
  /** Number of training images. */
  readonly train: number;
  readonly seed: number;
  readonly learningRate: number;
}

export const makeNetwork = ({ hidden }: Job, random: () => number): Network =>
  new Network(kPixels, hidden, kClasses, random);

/** As raw little-endian numbers: images, labels, the weights to begin with, and the order of the images in each epoch. */
export function writeJob(folder: string, job: Job): void {
  const write = (name: string, data: NodeJS.ArrayBufferView) => writeFileSync(join(folder, name), data);
  const random = mulberry32(job.seed); // asked in the same order as by the example: first weights, then epoch by epoch
  for (const [name, { pixels, labels }] of Object.entries(loadMnist(job.train))) {
    write(`${name}-pixels`, pixels);
    write(`${name}-labels`, labels);
  }
  const weights = makeNetwork(job, random).variables.flatMap(({ value }) => [...value]);
  write('weights', Float32Array.from(weights));
  const orders = Array.from({ length: job.epochs }, () => permutation(job.train, random));
  write('orders', Buffer.concat(orders.map(({ buffer }) => Buffer.from(buffer))));
  writeFileSync(join(folder, 'job.json'), JSON.stringify(job));
}
