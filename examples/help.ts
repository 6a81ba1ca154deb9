// What the command line can say: the defaults of its options, and --help.
import { join, relative } from 'node:path';
import { kTrainImages } from './mnist-data.ts';
import { optimizers, settingOf } from './optimizers.ts';
import { schedules } from './schedules.ts';

export const kDefaults = {
  optimizer: 'nadam',
  epochs: '8',
  'batch-size': '64',
  hidden: '128',
  train: `${kTrainImages}`,
  seed: '1',
  output: relative('', join(import.meta.dirname, 'output', 'mnist.svg')),
};

const list = (entries: readonly (readonly [name: string, text: string])[]): string =>
  entries.map(([name, text]) => `  ${name.padEnd(20)}  ${text}`).join('\n');

/** The text of --help. */
export const help = `Trains a small network (784 -> 128 -> 10) on MNIST's 60,000 handwritten digits and draws how it went.

  npm run example -- [options]

  --optimizer NAME      see below; several with commas between them, or all, are compared; default: ${kDefaults.optimizer}
  --learning-rate RATE  highest rate of the schedule; default: see the optimizer below
  --schedule NAME       how the rate changes from step to step, see below; default: see the optimizer below
  --epochs N            times that every training image is seen; default: ${kDefaults.epochs}
  --batch-size N        images in a step; default: ${kDefaults['batch-size']}
  --hidden N            width of the hidden layer; default: ${kDefaults.hidden}
  --train N             only the first N training images; default: all ${kTrainImages}
  --seed N              of weights and order, equal seeds give equal numbers; default: ${kDefaults.seed}
  --output FILE.svg     the chart; default: ${kDefaults.output}
  --checkpoint FILE.safetensors
                        saves weights and optimizer after every epoch; {epoch} in the name is its number; default: not
  --resume FILE         goes on from a .safetensors of --checkpoint, with the same numbers if the other options are the same, or from
                        a .keras that Python's Keras saved after whole epochs of such a network; default: not
  --page FILE.md        the page that the table of several optimizers replaces a part of; default: none
  --help                this text

Optimizers, with the rate and the schedule that they have by default:
${list(optimizers.map((name) => [name, `${settingOf(name).rate}, ${settingOf(name).schedule}`]))}

Schedules, each spread over all steps of the training:
${list(Object.entries(schedules).map(([name, { text }]) => [name, text]))}

Examples:
  npm run example -- --epochs 1 --train 5000                 a look that takes a second or two
  npm run example -- --optimizer adamw --schedule one-cycle
  npm run example -- --optimizer sgd --learning-rate 0.5 --schedule cosine --batch-size 32
  npm run example -- --checkpoint run.safetensors            stop it with Ctrl-C after an epoch,
  npm run example -- --resume run.safetensors                and let it go on
  npm run example -- --resume test/golden/mnist-nadam.keras --hidden 8 --train 320
  npm run example -- --optimizer all --epochs 1              every optimizer, the same weights and batches
`;
