// TensorFlow.js with an optimizer of this package, beside its own Adam: npm run example:tfjs -- --help
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CosineDecay } from 'keras-optimizers';
import { fileSystem, optimizers } from 'keras-optimizers/tfjs';

import { circumstances } from '../../bench/circumstances.ts';
import { loadMnist } from '../mnist-data.ts';
import { readOptions } from './options.ts';
import { tf, useBackend } from './tensorflow.ts';
import { accuracyOf, network, trainEpoch, type Step } from './training.ts';

const options = readOptions();
const { epochs, batchSize, folder } = options;
const backend = await useBackend(options.backend);
const { nadam } = optimizers(tf); // also registers it, for tf.loadLayersModel
const { train, test } = loadMnist(options.train);

/** The second process. */
async function resume(): Promise<void> {
  const model = await tf.loadLayersModel(fileSystem(folder));
  const losses: number[] = [];
  for (let epoch = 1; epoch < epochs; epoch++)
    losses.push(...(await trainEpoch(model, train, batchSize, epoch)).map(({ loss }) => loss));
  console.log(JSON.stringify(losses));
}

interface Training {
  readonly name: string;
  readonly model: tf.LayersModel;
  readonly steps: Step[];
}

/** Both in turns, an epoch at a time. */
async function compare(): Promise<void> {
  const decay_steps = epochs * Math.ceil(options.train / batchSize);
  const optimizer = nadam({ learning_rate: new CosineDecay({ initial_learning_rate: 0.005, decay_steps }) });
  const ours: Training = { name: 'nadam with CosineDecay', model: network(optimizer), steps: [] };
  const theirs: Training = { name: 'tf.train.adam', model: network(tf.train.adam(0.005)), steps: [] };
  for (let epoch = 0; epoch < epochs; epoch++) {
    for (const { model, steps } of [ours, theirs]) steps.push(...(await trainEpoch(model, train, batchSize, epoch)));
    if (epoch === 0) await ours.model.save(fileSystem(folder), { includeOptimizer: true });
  }
  console.log(await table([ours, theirs]));
  const { date, cpu, node, command } = circumstances('example:tfjs');
  console.log(`\n${backend} backend, ${date.slice(0, 10)}, ${cpu}, Node ${node}: \`${command}\``);
  checkResumed(ours.steps.slice(ours.steps.length / epochs).map(({ loss }) => loss));
}

const heads = [
  'optimizer',
  'loss of the last 50 steps',
  'test accuracy in %',
  'ms of a step',
  'ms of it in the optimizer',
];

async function table(trainings: readonly Training[]): Promise<string> {
  const rows = [heads, ['---', ...heads.slice(1).map(() => '--:')]];
  for (const { name, model, steps } of trainings) {
    const last = steps.slice(-50);
    const loss = last.reduce((sum, { loss }) => sum + loss, 0) / last.length;
    const accuracy = 100 * (await accuracyOf(model, test));
    const [time, updating] = [median(steps.map(({ time }) => time)), median(steps.map(({ updating }) => updating))];
    rows.push([name, loss.toFixed(4), accuracy.toFixed(2), time.toFixed(1), updating.toFixed(3)]);
  }
  return rows.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1] as number;

/** The training goes on in a new process, which has nothing but the saved files. */
function checkResumed(expected: readonly number[]): void {
  const args = [
    ...process.execArgv,
    fileURLToPath(import.meta.url),
    ...process.argv.slice(2),
    '--resume',
    'yes',
    '--backend',
    backend,
  ];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`the second process failed:\n${stderr}`);
  const losses = JSON.parse(stdout) as number[];
  const differing = expected.findIndex((loss, i) => !Object.is(loss, losses[i]));
  if (differing >= 0 || losses.length !== expected.length)
    throw new Error(
      `step ${differing} of the resumed training has loss ${losses[differing]}, not ${expected[differing]}`,
    );
  console.log(
    `\nA new process loaded model and optimizer from ${folder} and went on: its ${losses.length} losses are the same numbers.`,
  );
}

if (options.resume) await resume();
else await compare();
