// The command line: what can be said, what is wrong with it, and what it means.
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { aroundPart } from '../charts/page.ts';
import { help, kDefaults } from './help.ts';
import { kTrainImages } from './mnist-data.ts';
import { optimizers } from './optimizers.ts';
import { schedules } from './schedules.ts';

export interface Options {
  /** At least one of `optimizers`. */
  readonly optimizers: readonly string[];
  /** Undefined: each optimizer's own one. */
  readonly learningRate: number | undefined;
  /** A key of `schedules`; undefined: each optimizer's own one. */
  readonly schedule: string | undefined;
  readonly epochs: number;
  readonly batchSize: number;
  readonly hidden: number;
  /** Number of training images. */
  readonly train: number;
  readonly seed: number;
  /** Path of the chart. */
  readonly output: string;
  /** Path of the Markdown page that the table of several optimizers goes into. */
  readonly page: string | undefined;
}

/** Its name in package.json. */
export const kScript = 'example';

const kOptional = ['learning-rate', 'schedule', 'page'] as const;
type Texts = typeof kDefaults & { readonly [name in (typeof kOptional)[number]]?: string };

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
  const chosen = texts.optimizer.split(',').map((name) => oneOf(['all', ...optimizers], '--optimizer', name));
  const names = [...new Set(chosen.flatMap((name) => (name === 'all' ? optimizers : name)))];
  return {
    optimizers: names,
    learningRate: optional((text) => positive('--learning-rate', text), texts['learning-rate']),
    schedule: optional((text) => oneOf(Object.keys(schedules), '--schedule', text), texts.schedule),
    epochs: whole(1, 1000, '--epochs', texts.epochs),
    batchSize: whole(1, kTrainImages, '--batch-size', texts['batch-size']),
    hidden: whole(1, 10_000, '--hidden', texts.hidden),
    train: whole(1, kTrainImages, '--train', texts.train),
    seed: whole(0, 2 ** 32 - 1, '--seed', texts.seed),
    output: writable('--output', texts.output),
    page: optional((text) => pageOf(names, '--page', text), texts.page),
  };
}

function split(args: string[]): Texts {
  const names = [...Object.keys(kDefaults), ...kOptional];
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

const optional = <T>(read: (text: string) => T, text: string | undefined): T | undefined =>
  text === undefined ? undefined : read(text);

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

/** As all checks, before the training rather than after it. */
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

function pageOf(names: readonly string[], who: string, path: string): string {
  if (names.length === 1) throw new UsageError(`${who} expects several optimizers, got ${names.join()}`);
  try {
    aroundPart(path, kScript);
    return path;
  } catch (error) {
    throw new UsageError(`${who} expects a page with a part for the table, got ${(error as Error).message}`);
  }
}
