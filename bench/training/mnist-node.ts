// Our side of npm run bench:mnist: the example's network, data and optimizer. It speaks as mnist.py does: a line of JSON
// when it is ready and after every epoch; each line on stdin asks for an epoch. node-tfjs computes on TensorFlow.js.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Nadam } from 'keras-optimizers';
import { batches, loadMnist, type Images } from '../../examples/mnist-data.ts';
import { Mean } from '../../examples/progress.ts';
import { mulberry32 } from '../../examples/random.ts';
import type { Answer } from './contestant.ts';
import { makeNetwork, type Job } from './job.ts';

const job = JSON.parse(readFileSync(join(process.argv[2] as string, 'job.json'), 'utf8')) as Job;
const { train, test } = loadMnist(job.train);

const onTensors = process.argv[3] === 'node-tfjs' ? (await import('./mnist-tfjs.ts')).onTensors : undefined;

/** A network and its optimizer, as they are before the first step. */
function beginning() {
  const random = mulberry32(job.seed);
  const plain = makeNetwork(job, random);
  const network = onTensors?.(plain.variables) ?? plain;
  const optimizer = new Nadam({ learning_rate: job.learningRate });
  optimizer.build(network.variables);
  return { random, network, optimizer };
}
type Training = ReturnType<typeof beginning>;

function epoch({ random, network, optimizer }: Training, images: Images): Omit<Answer, 'accuracy'> {
  const losses: number[] = [];
  let applying = 0; // milliseconds
  const start = performance.now();
  for (const batch of batches(images, job.batchSize, random)) {
    losses.push(network.run(batch, true).loss);
    const before = performance.now();
    optimizer.apply();
    applying += performance.now() - before;
  }
  return { seconds: (performance.now() - start) / 1000, optimizerSeconds: applying / 1000, losses };
}

function accuracy(network: Training['network']): number {
  const mean = new Mean();
  for (const batch of batches(test, 100)) mean.add(network.run(batch, false), batch.labels.length);
  return mean.accuracy;
}

const { pixels, labels } = loadMnist(Math.min(job.train, 20 * job.batchSize)).train;
epoch(beginning(), { pixels, labels }); // warms up
const training = beginning();
console.log(JSON.stringify({ versions: `Node ${process.versions.node}` }));
createInterface({ input: process.stdin }).on('line', () => {
  const answer: Answer = { ...epoch(training, train), accuracy: accuracy(training.network) };
  console.log(JSON.stringify(answer));
});
