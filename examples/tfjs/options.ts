import { fromCommandLine, oneOf, whole } from '../command_line.ts';
import { kTrainImages } from '../mnist-data.ts';

const defaults = { backend: 'wasm', epochs: '2', train: '12000', 'batch-size': '64', folder: 'examples/output/tfjs' };

const help = `Trains a convolutional network on MNIST with TensorFlow.js and Nadam, and beside it with tf.train.adam. After the first epoch it
saves model and optimizer; a new process loads both and goes on, with the losses of the training that was not interrupted.

  npm run example:tfjs -- [options]

  --backend NAME    wasm or cpu; default: ${defaults.backend}, and cpu where that does not start
  --epochs N        at least 2; default: ${defaults.epochs}
  --train N         training images; default: ${defaults.train}
  --batch-size N    default: ${defaults['batch-size']}
  --folder PATH     where the model is saved; default: ${defaults.folder}
  --help            this text
`;

/** Those of the command line; `resume` is for the second process: it says where the model is, and prints losses as JSON. */
export const readOptions = () =>
  fromCommandLine({ defaults, optional: ['resume'] as const, help }, (texts) => ({
    backend: oneOf(['wasm', 'cpu'], '--backend', texts.backend),
    epochs: whole(2, 100, '--epochs', texts.epochs),
    train: whole(1, kTrainImages, '--train', texts.train),
    batchSize: whole(1, kTrainImages, '--batch-size', texts['batch-size']),
    folder: texts.folder,
    resume: texts.resume !== undefined,
  }));
