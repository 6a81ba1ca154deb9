// npm run bench:mnist: time to result. The MNIST example's network, data, batches and optimizer, in Node with our optimizer
// and in Python with Keras on TensorFlow, each in a process of its own, taking turns epoch by epoch.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { kClasses, kTrainImages } from '../../examples/mnist-data.ts';
import { positive } from './arguments.ts';
import { circumstances, headOf, load, writeResult } from '../circumstances.ts';
import { processors, start, type Answer, type Contestant } from './contestant.ts';
import { writeJob, type Job } from './job.ts';
import { curves, summaries, type Entry } from './mnist-report.ts';

const path = (url: string): string => fileURLToPath(new URL(url, import.meta.url));

/** What can train, with what it is. The first one is what the others are compared with. */
const contestants: Readonly<Record<string, string>> = {
  node: 'Node, plain TypeScript network, keras-optimizers; the optimizer: time in apply()',
  'node-tfjs': 'the same with the network on the WebAssembly backend of TensorFlow.js',
  keras:
    'tf.function for each batch, images kept as float32; the optimizer: 25 steps less 25 that only compute the gradients, in turns',
  'keras-xla': 'the same with jit_compile=True',
  'keras-epoch': 'one tf.function for all batches of an epoch',
  'keras-train_on_batch': 'model.train_on_batch for each batch',
  'keras-fit': 'model.fit for each epoch',
};

const { values: texts, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    epochs: { type: 'string', default: '3' },
    'batch-size': { type: 'string', default: '64' },
    hidden: { type: 'string', default: '128' },
    train: { type: 'string', default: `${kTrainImages}` },
    'learning-rate': { type: 'string', default: '0.003' },
    seed: { type: 'string', default: '1' },
    threads: { type: 'string', default: '1' },
    python: { type: 'string', default: path('../../build-python/bin/python') },
    json: { type: 'string', default: path('../results/mnist.json') },
    help: { type: 'boolean', short: 'h' },
  },
});
const unknown = positionals.filter((name) => !(name in contestants));
if (texts.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`not a contestant: ${unknown.join(' ')}`);
  console.log(`npm run bench:mnist -- [contestants] [--epochs 3] [--batch-size 64] [--hidden 128] [--train ${kTrainImages}]
  [--learning-rate 0.003] [--seed 1] [--threads 1] [--python FILE] [--json FILE]\n`);
  for (const [name, text] of Object.entries(contestants)) console.log(`  ${name.padEnd(21)} ${text}`);
  process.exit(unknown.length > 0 ? 2 : 0);
}

const whole = (name: 'epochs' | 'batch-size' | 'hidden' | 'train' | 'seed' | 'threads'): number =>
  positive(name, texts[name]);
const job: Job = {
  epochs: whole('epochs'),
  batchSize: whole('batch-size'),
  hidden: whole('hidden'),
  classes: kClasses,
  train: Math.min(whole('train'), kTrainImages),
  seed: whole('seed'),
  learningRate: positive('learning-rate', texts['learning-rate'], false),
};
const threads = whole('threads');

const isNode = (name: string): boolean => name.startsWith('node');

function commandOf(name: string, folder: string): readonly string[] {
  if (isNode(name)) return [process.execPath, '--import', 'tsx', path('mnist-node.ts'), folder, name];
  return [texts.python, path('mnist.py'), folder, name];
}

/** Starts all of them; prints why one cannot run. */
async function startAll(names: readonly string[], folder: string): Promise<Map<string, Contestant>> {
  const started = new Map<string, Contestant>();
  for (const name of names)
    try {
      if (!isNode(name) && !existsSync(texts.python))
        throw new Error('there is no Python environment; npm run bench:python makes it');
      started.set(name, await start(commandOf(name, folder), threads));
    } catch (error) {
      console.log(`${name} is skipped: ${(error as Error).message}`);
    }
  return started;
}

/** One epoch of each after the other, every time beginning with another one. */
async function trainAll(started: ReadonlyMap<string, Contestant>): Promise<Entry[]> {
  const answers = new Map<string, Answer[]>([...started.keys()].map((name) => [name, []]));
  for (let epoch = 0; epoch < job.epochs; epoch++) {
    const turn = epoch % started.size;
    for (const [name, contestant] of [...started].slice(turn).concat([...started].slice(0, turn)))
      answers.get(name)?.push(await contestant.epoch());
    console.log(`epoch ${epoch + 1}/${job.epochs}, load ${load().join(' ')}`);
  }
  return [...started].map(([name, { startSeconds, versions }]) => {
    return { name, text: contestants[name] as string, versions, startSeconds, epochs: answers.get(name) ?? [] };
  });
}

const about = {
  ...circumstances('bench:mnist'),
  ...job,
  threads,
  processors: processors(threads) ?? 'not bound',
};
function report(entries: readonly Entry[]): void {
  console.log(`\n${summaries(entries, job)}\n\n${curves(entries, job)}`);
  writeResult(texts.json, { ...about, load_afterwards: load(), contestants: entries });
  console.log(`every number is in ${relative('', texts.json)}`);
}

console.log(headOf(about));
console.log(`784 -> ${job.hidden} -> ${kClasses}, ${job.train} images in batches of ${job.batchSize}, Nadam, learning rate \
${job.learningRate}; threads: ${threads}, processors: ${about.processors}\n`);
const folder = mkdtempSync(join(tmpdir(), 'mnist-'));
try {
  writeJob(folder, job);
  const started = await startAll(positionals.length > 0 ? positionals : Object.keys(contestants), folder);
  if (started.size > 0) report(await trainAll(started));
  for (const contestant of started.values()) contestant.end();
} finally {
  rmSync(folder, { recursive: true });
}
