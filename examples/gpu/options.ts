// The options of the example on a GPU, and --help.
import { fromCommandLine, oneOf, optional, positive, whole, writable } from '../command_line.ts';
import { kTrainImages } from '../mnist-data.ts';
import { settingOf } from '../optimizers.ts';
import { handovers, type Handover } from './network.ts';

export interface Options {
  readonly handover: Handover;
  readonly learningRate: number;
  readonly epochs: number;
  readonly batchSize: number;
  readonly hidden: number;
  /** Number of training images. */
  readonly train: number;
  readonly seed: number;
  /** Path of a file for all that was found. */
  readonly json: string | undefined;
}

/** What the process ends with. */
export const exitCodes = { differs: 1, noGpu: 3 };

/**
 * The largest relative difference of two points of the loss curves, each the mean of a tenth of an epoch. Both compute with float32,
 * but round at other places: the kernels after each product and each sum, by up to 6e-8, examples/network.ts only what it stores.
 * Training makes much of little as time goes on. Measured with the kernels on the host: three epochs of all images differ by 2e-7,
 * ten epochs of 5,000 by up to 4e-5, thirty of 2,000 in batches of 8 by 2e-2. Of wrong gradients that were planted, the mildest
 * (an image that is left out of the biases') differs by 4e-3 in one epoch of 2,560.
 */
export const kTolerance = 1e-3;

/** Its name in package.json. */
export const kScript = 'example:gpu';

const kDefaults = {
  handover: 'variable',
  'learning-rate': `${settingOf('nadam').rate}`,
  epochs: '3',
  'batch-size': '64',
  hidden: '128',
  train: `${kTrainImages}`,
  seed: '1',
};

const help = `Trains a small network (784 -> 128 -> 10) on MNIST with Nadam, on the CPU and on a GPU, from the same weights with the same
batches, and compares the loss curves.

  npm run build:example-gpu && npm run example:gpu -- [options]

  --handover NAME       how the gradients get to the optimizer, see below; default: ${kDefaults.handover}
  --learning-rate RATE  highest rate, which falls exponentially to 1/20; default: ${kDefaults['learning-rate']}
  --epochs N            times that every training image is seen; default: ${kDefaults.epochs}
  --batch-size N        images in a step; default: ${kDefaults['batch-size']}
  --hidden N            width of the hidden layer; default: ${kDefaults.hidden}
  --train N             only the first N training images; default: all ${kTrainImages}
  --seed N              of weights and order; default: ${kDefaults.seed}
  --json FILE.json      all points of both curves, and what they were computed on; default: none
  --help                this text

The gradients are
${Object.entries(handovers)
  .map(([name, text]) => `  ${name.padEnd(20)}  ${text}`)
  .join('\n')}

The exit code is 0 if the curves differ by at most ${kTolerance} of the loss, ${exitCodes.differs} if by more, 2 for options that mean nothing, ${exitCodes.noGpu} if there is no GPU
to use or the example's addon is not built.
`;

/** Those of the command line. */
export const readOptions = (): Options =>
  fromCommandLine({ defaults: kDefaults, optional: ['json'] as const, help }, (texts) => ({
    handover: oneOf(Object.keys(handovers), '--handover', texts.handover) as Handover,
    learningRate: positive('--learning-rate', texts['learning-rate']),
    epochs: whole(1, 1000, '--epochs', texts.epochs),
    batchSize: whole(1, kTrainImages, '--batch-size', texts['batch-size']),
    hidden: whole(1, 10_000, '--hidden', texts.hidden),
    train: whole(1, kTrainImages, '--train', texts.train),
    seed: whole(0, 2 ** 32 - 1, '--seed', texts.seed),
    json: optional((text) => writable('--json', text, '.json'), texts.json),
  }));
