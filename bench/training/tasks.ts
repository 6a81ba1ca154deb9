// What is trained by npm run bench:bfloat16: the MNIST example, and a transformer over characters.
import { CosineDecay, ExponentialDecay, WarmUp, type LearningRate, type Variable } from 'keras-optimizers';
import { batches, kTrainImages, loadMnist } from '../../examples/mnist-data.ts';
import { Mean } from '../../examples/progress.ts';
import { mulberry32 } from '../../examples/random.ts';
import { loadText } from './characters.ts';
import { makeNetwork } from './job.ts';

export interface Task {
  readonly variables: readonly Variable[];
  readonly learningRate: LearningRate;
  /** Writes the gradients of the next batch into the variables' `gradient`; returns its loss. */
  differentiate(): number;
  /** Loss on examples that are never trained on. */
  heldOutLoss(): number;
}

interface Choice {
  readonly title: string;
  readonly text: string;
  /** For the options of the command line that leave it out. */
  readonly steps: number;
  make(steps: number, seed: number): Task | Promise<Task>;
}

export const tasks: Readonly<Record<string, Choice>> = {
  mnist: {
    title: 'MNIST',
    text: 'the MNIST example, 5 epochs of 938 batches of 64 images, held out: the test images; ExponentialDecay from 0.003 to a twentieth',
    steps: 4690,
    make: makeMnist,
  },
  characters: {
    title: 'Characters',
    text: 'a transformer with about a million weights, batches of 8 x 64 characters of the comments of lib.dom.d.ts; WarmUp, CosineDecay from 0.002 to 0',
    steps: 600,
    make: makeCharacters,
  },
};

function makeMnist(steps: number, seed: number): Task {
  const { train, test } = loadMnist();
  const random = mulberry32(seed);
  const job = { epochs: 0, batchSize: 64, hidden: 128, classes: 10, train: kTrainImages, seed, learningRate: 0.003 };
  const network = makeNetwork(job, random);
  const next = forever(() => batches(train, job.batchSize, random));
  const decay = { initial_learning_rate: job.learningRate, decay_steps: steps, decay_rate: 1 / 20 };
  return {
    variables: network.variables,
    learningRate: new ExponentialDecay(decay),
    differentiate: () => network.run(next(), true).loss,
    heldOutLoss: () => {
      const mean = new Mean();
      for (const batch of batches(test, 100)) mean.add(network.run(batch, false), batch.labels.length);
      return mean.loss;
    },
  };
}

const kBatch = 8; // sequences
const kHeldOutBatches = 20;
const kShape = { context: 64, width: 160, heads: 4, layers: 3 };

async function makeCharacters(steps: number, seed: number): Promise<Task> {
  const { startTensorFlow } = await import('./tensors.ts');
  const { Transformer } = await import('./transformer.ts');
  await startTensorFlow();
  const { train, heldOut, characters } = loadText();
  const random = mulberry32(seed);
  const transformer = new Transformer({ ...kShape, characters: characters.length }, random);
  const decay = { initial_learning_rate: 0.002, decay_steps: 0.9 * steps };
  return {
    variables: transformer.variables,
    learningRate: new WarmUp({ schedule: new CosineDecay(decay), warmup_steps: 0.1 * steps }),
    differentiate: () => transformer.differentiate(sequences(train, random)),
    heldOutLoss: () => {
      const always = mulberry32(1); // the same sequences every time
      const losses = Array.from({ length: kHeldOutBatches }, () => transformer.loss(sequences(heldOut, always)));
      return losses.reduce((total, loss) => total + loss) / kHeldOutBatches;
    },
  };
}

/** Some of the text from anywhere, one more character than is seen: the last one is only predicted. */
function sequences(text: Uint8Array, random: () => number): Uint8Array {
  const length = kShape.context + 1;
  const all = new Uint8Array(kBatch * length);
  for (let i = 0; i < kBatch; i++) {
    const start = Math.floor(random() * (text.length - length + 1));
    all.set(text.subarray(start, start + length), i * length);
  }
  return all;
}

/** One after the other, from a new generator when one ends. */
function forever<T>(make: () => Generator<T>): () => T {
  let current = make();
  return () => {
    let step = current.next();
    if (step.done) step = (current = make()).next();
    return step.value as T;
  };
}
