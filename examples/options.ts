// The command line: what can be said, what is wrong with it, and what it means.
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import * as library from 'keras-optimizers';
import { kTrainImages } from './mnist-data.ts';
import { schedules } from './schedules.ts';

export interface Options {
  /** A name that the library's `get` knows. */
  readonly optimizer: string;
  readonly learningRate: number | undefined;
  /** A key of `schedules`. */
  readonly schedule: string;
  readonly epochs: number;
  readonly batchSize: number;
  readonly hidden: number;
  /** Number of training images. */
  readonly train: number;
  readonly seed: number;
  /** Path of the chart. */
  readonly output: string;
}

const kDefaults = {
  optimizer: 'nadam',
  schedule: 'exponential',
  epochs: '8',
  'batch-size': '64',
  hidden: '128',
  train: `${kTrainImages}`,
  seed: '1',
  output: relative('', join(import.meta.dirname, 'output', 'mnist.svg')),
};
type Texts = typeof kDefaults & { readonly 'learning-rate'?: string };

const isOptimizer = (value: unknown): boolean =>
  typeof value === 'function' && value.prototype instanceof library.Optimizer;
const optimizers = Object.entries(library).flatMap(([name, value]) => (isOptimizer(value) ? [name.toLowerCase()] : []));

const help = `Trains a small network (784 -> 128 -> 10) on MNIST's 60,000 handwritten digits and draws how it went.

  npm run example -- [options]

  --optimizer NAME      ${optimizers.join(', ')}; default: ${kDefaults.optimizer}
  --learning-rate RATE  highest rate of the schedule; default: 3 times the optimizer's own default, 20 times for sgd
  --schedule NAME       how the rate changes from step to step, see below; default: ${kDefaults.schedule}
  --epochs N            times that every training image is seen; default: ${kDefaults.epochs}
  --batch-size N        images in a step; default: ${kDefaults['batch-size']}
  --hidden N            width of the hidden layer; default: ${kDefaults.hidden}
  --train N             only the first N training images; default: all ${kTrainImages}
  --seed N              of weights and order, equal seeds give equal numbers; default: ${kDefaults.seed}
  --output FILE.svg     the chart; default: ${kDefaults.output}
  --help                this text

Schedules, each spread over all steps of the training:
${Object.entries(schedules)
  .map(([name, { text }]) => `  ${name.padEnd(20)}  ${text}`)
  .join('\n')}

Examples:
  npm run example -- --epochs 1 --train 5000                 a look that takes a second or two
  npm run example -- --optimizer adamw --schedule one-cycle
  npm run example -- --optimizer sgd --learning-rate 0.5 --schedule cosine --batch-size 32
`;

class UsageError extends Error {}

/** The options that `args` mean; ends the process after `--help`, and with exit code 2 if they mean nothing. */
export function readOptions(args: string[]): Options {
  try {
    return parse(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message} (--help shows what is possible)`);
    process.exit(2);
  }
}

function parse(args: string[]): Options {
  const texts = split(args);
  const rate = texts['learning-rate'];
  return {
    optimizer: oneOf(optimizers, '--optimizer', texts.optimizer),
    learningRate: rate === undefined ? undefined : positive('--learning-rate', rate),
    schedule: oneOf(Object.keys(schedules), '--schedule', texts.schedule),
    epochs: whole(1, 1000, '--epochs', texts.epochs),
    batchSize: whole(1, kTrainImages, '--batch-size', texts['batch-size']),
    hidden: whole(1, 10_000, '--hidden', texts.hidden),
    train: whole(1, kTrainImages, '--train', texts.train),
    seed: whole(0, 2 ** 32 - 1, '--seed', texts.seed),
    output: writable('--output', texts.output),
  };
}

function split(args: string[]): Texts {
  const names = [...Object.keys(kDefaults), 'learning-rate'];
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }] as const));
  try {
    const { values } = parseArgs({ args, options: { ...options, help: { type: 'boolean', short: 'h' } } });
    if (values.help !== true) return { ...kDefaults, ...values };
  } catch (error) {
    throw new UsageError((error as Error).message.replaceAll('\n', ' '));
  }
  process.stdout.write(help);
  process.exit(0);
}

const wrong = (who: string, expected: string, text: string): UsageError =>
  new UsageError(`${who} expects ${expected}, got ${JSON.stringify(text)}`);

function oneOf(known: readonly string[], who: string, text: string): string {
  if (known.includes(text.toLowerCase())) return text.toLowerCase();
  throw wrong(who, `one of ${known.join(', ')}`, text);
}

function positive(who: string, text: string): number {
  const value = Number(text);
  if (value > 0 && value < Infinity) return value;
  throw wrong(who, 'a number > 0', text);
}

function whole(least: number, most: number, who: string, text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw wrong(who, `a whole number from ${least} to ${most}`, text);
}

/** Finds out before the training rather than after it. */
function writable(who: string, path: string): string {
  if (!path.endsWith('.svg')) throw wrong(who, 'a file name that ends in .svg', path);
  try {
    if (!existsSync(dirname(path))) mkdirSync(dirname(path));
    closeSync(openSync(path, 'a'));
    return path;
  } catch (error) {
    throw new UsageError(`${who} expects a file that can be written, got ${(error as Error).message}`);
  }
}
