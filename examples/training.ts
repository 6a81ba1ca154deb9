// Trains the network with an optimizer. Equal options mean equal weights in the beginning, and equal batches.
import type { Optimizer, Variable } from 'keras-optimizers';
import { History } from './history.ts';
import { batches, kClasses, kPixels, loadMnist, type Batch, type Images } from './mnist-data.ts';
import { Network, type Score } from './network.ts';
import type { Options } from './options.ts';
import { Mean, Progress } from './progress.ts';
import { mulberry32, permutation } from './random.ts';

/** Of an epoch. */
export const stepsOf = ({ train, batchSize }: Options): number => Math.ceil(train / batchSize);

/** Gives the optimizer of the variables; what it has been trained in before is not done again. */
export type Start = (variables: readonly Variable[]) => Promise<Optimizer>;

/** What happened; it also stands on the terminal. */
export async function train(options: Options, start: Start): Promise<History> {
  const images = loadMnist(options.train);
  const random = mulberry32(options.seed);
  const network = new Network(kPixels, options.hidden, kClasses, random);
  const optimizer = await start(network.variables);
  const [name, steps] = [optimizer.constructor.name, stepsOf(options)];
  const history = new History(name, steps);
  const done = epochsDone(optimizer, steps);
  for (let epoch = 1; epoch <= options.epochs; epoch++) {
    if (epoch <= done) {
      permutation(images.train.labels.length, random); // the order of that epoch
      continue;
    }
    const progress = new Progress(`${name}, epoch ${epoch}/${options.epochs}`, steps);
    for (const batch of batches(images.train, options.batchSize, random)) {
      const { learning_rate } = optimizer;
      const score = trainStep(network, optimizer, batch);
      history.addStep(score, learning_rate, score.milliseconds);
      await progress.step(score, batch.labels.length, learning_rate);
    }
    const score = evaluate(network, images.test);
    progress.end(score);
    history.addEpoch(progress.mean, score);
    if (options.checkpoint !== undefined)
      await optimizer.save(options.checkpoint.replaceAll('{epoch}', String(epoch)), { variables: true });
  }
  return history;
}

/** Epochs that an optimizer has been through before. */
function epochsDone({ iterations }: Optimizer, steps: number): number {
  if (iterations % steps === 0) return iterations / steps;
  throw new Error(`--resume expects a whole number of epochs of ${steps} steps, got ${iterations} steps`);
}

/** Also how long the optimizer took. */
function trainStep(network: Network, optimizer: Optimizer, batch: Batch): Score & { readonly milliseconds: number } {
  const score = network.run(batch, true); // writes the variables' gradients,
  const start = performance.now();
  optimizer.apply(); // which are used here
  return { ...score, milliseconds: performance.now() - start };
}

function evaluate(network: Network, images: Images): Score {
  const mean = new Mean();
  for (const batch of batches(images, 100)) mean.add(network.run(batch, false), batch.labels.length);
  return mean;
}
