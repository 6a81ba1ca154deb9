// The options of the example with word vectors.
import { relative, join } from 'node:path';

import { fromCommandLine, optional, pageOf, several, whole, writable } from '../command_line.ts';
import { optimizers } from '../optimizers.ts';
import type { Settings } from './training.ts';

/** Its name in package.json. */
export const kScript = 'example:embeddings';

/** The best of runs of two epochs with rates in factors of 2; another optimizer trains with its default rate. */
const rates: Readonly<Record<string, number>> = { sgd: 0.025, adagrad: 0.2, adam: 0.002 };
export const rateOf = (name: string): number | undefined => rates[name];

const defaults = {
  optimizer: Object.keys(rates).join(),
  epochs: '3',
  'batch-size': '256',
  dimensions: '64',
  verses: '31102',
  seed: '1',
  output: relative('', join(import.meta.dirname, '..', 'output', 'embeddings.svg')),
};

const help = `Trains vectors of the words of the King James Bible with sparse gradients: skip-gram with negative sampling.

  npm run ${kScript} -- [options]

  --optimizer NAMES     with commas between them; all: every one; default: ${defaults.optimizer}
  --epochs N            times that every verse is seen; default: ${defaults.epochs}
  --batch-size N        pairs of words in a step; default: ${defaults['batch-size']}
  --dimensions N        length of a vector; default: ${defaults.dimensions}
  --verses N            only the first N verses; default: all ${defaults.verses}
  --seed N              equal seeds give equal numbers; default: ${defaults.seed}
  --output FILE.svg     the chart; default: ${defaults.output}
  --page FILE.md        the page that the tables replace a part of; default: none
  --help                this text
`;

export interface Options extends Settings {
  readonly optimizers: readonly string[];
  readonly verses: number;
  readonly output: string;
  readonly page: string | undefined;
}

/** Those of the command line. */
export const readOptions = (): Options =>
  fromCommandLine({ defaults, optional: ['page'] as const, help }, (texts) => {
    const names = several(optimizers, '--optimizer', texts.optimizer);
    return {
      optimizers: names,
      epochs: whole(1, 1000, '--epochs', texts.epochs),
      batchSize: whole(1, 100_000, '--batch-size', texts['batch-size']),
      dimensions: whole(1, 10_000, '--dimensions', texts.dimensions),
      verses: whole(1000, Number(defaults.verses), '--verses', texts.verses),
      seed: whole(0, 2 ** 32 - 1, '--seed', texts.seed),
      output: writable('--output', texts.output),
      page: optional((text) => pageOf(names, kScript, '--page', text), texts.page),
    };
  });
