// The options of the example on several processes.
import { divisor, fromCommandLine, several, whole } from '../command_line.ts';
import { kTrainImages } from '../mnist-data.ts';
import { optimizers } from '../optimizers.ts';

/** Its name in package.json. */
export const kScript = 'example:distributed';

const defaults = {
  optimizer: 'nadam',
  ranks: '2',
  'micro-batches': '4',
  epochs: '1',
  'batch-size': '64',
  hidden: '128',
  train: `${kTrainImages}`,
  seed: '1',
};

const help = `Trains the network of npm run example on one process and on several under mpirun, replicated and with sharded state, and says
whether all of them end with the same bits.

  npm run ${kScript} -- [options]

  --ranks N             processes, a divisor of the micro-batches; default: ${defaults.ranks}
  --micro-batches N     parts of a batch, a divisor of its images: what is summed in an order that no number of processes changes;
                        default: ${defaults['micro-batches']}
  --optimizer NAMES     with commas between them; all: every one; default: ${defaults.optimizer}
  --epochs N            times that every training image is seen; default: ${defaults.epochs}
  --batch-size N        images in a step, of all processes together; default: ${defaults['batch-size']}
  --hidden N            width of the hidden layer; default: ${defaults.hidden}
  --train N             only the first N training images, of which whole batches are used; default: all ${defaults.train}
  --seed N              of weights and order, equal seeds give equal numbers; default: ${defaults.seed}
  --help                this text

Examples:
  npm run ${kScript} -- --train 5000
  npm run ${kScript} -- --ranks 4 --optimizer adamw,lamb --epochs 2
`;

/** What every process trains with. */
export interface Task {
  readonly microBatches: number;
  readonly epochs: number;
  /** Images. */
  readonly batchSize: number;
  readonly hidden: number;
  /** Number of training images. */
  readonly train: number;
  readonly seed: number;
}

export interface Options extends Task {
  readonly optimizers: readonly string[];
  readonly ranks: number;
}

/** Those of the command line. */
export const readOptions = (): Options =>
  fromCommandLine({ defaults, optional: [], help }, (texts) => {
    const batchSize = whole(1, kTrainImages, '--batch-size', texts['batch-size']);
    const microBatches = divisor(batchSize, '--micro-batches', texts['micro-batches']);
    return {
      optimizers: several(optimizers, '--optimizer', texts.optimizer),
      ranks: divisor(microBatches, '--ranks', texts.ranks),
      microBatches,
      epochs: whole(1, 1000, '--epochs', texts.epochs),
      batchSize,
      hidden: whole(1, 10_000, '--hidden', texts.hidden),
      train: whole(batchSize, kTrainImages, '--train', texts.train),
      seed: whole(0, 2 ** 32 - 1, '--seed', texts.seed),
    };
  });
