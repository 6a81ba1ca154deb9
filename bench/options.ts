// The command line: words select rules, sizes and drivers.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { drivers } from './drivers.ts';
import { rules } from './rules.ts';

export interface Options {
  readonly rules: readonly string[];
  /** Elements of the tensor. */
  readonly sizes: readonly number[];
  readonly drivers: readonly string[];
  readonly rounds: number;
  /** Of a step and of the loops that it is compared with. */
  readonly threads: number;
  /** Length of a sample. */
  readonly seconds: number;
  /** Large steps whose delay of the event loop is measured; none with words. */
  readonly steps: number;
  /** Where the result goes. */
  readonly json: string;
}

interface Defaults {
  readonly rules: readonly string[];
  readonly sizes: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  readonly steps: number;
}
const full: Defaults = {
  rules: Object.keys(rules),
  sizes: ['1K', '16K', '256K', '4M', '16M'],
  rounds: 25,
  seconds: 0.002,
  steps: 100,
};
const quick: Defaults = { rules: ['adam', 'nadam'], sizes: ['1K', '256K'], rounds: 5, seconds: 0.001, steps: 5 };

const options = {
  rounds: { type: 'string' },
  threads: { type: 'string' },
  json: { type: 'string' },
  quick: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

const list = (title: string, lines: readonly string[]): string => [`${title}:`, ...lines, ''].join('\n');
const help = [
  'Measures a step of every rule for one tensor, beside loops that only move as much memory.\n',
  '  npm run bench -- [words] [options]\n',
  list('Words', [
    `  rules     ${full.rules.join(' ')}`,
    `  sizes     ${full.sizes.join(' ')}, or any other number of float32 elements`,
    '  drivers   see below; traffic, which the others are compared with, is always there',
  ]),
  list('Options', [
    `  --rounds N    samples of every driver; default: ${full.rounds}`,
    '  --threads N   threads of a step and of the loops beside it; default: 1',
    '  --json FILE   the result with every sample; default: bench/results/latest.json',
    `  --quick       ${quick.rules.join(' and ')} with ${quick.sizes.join(' and ')} elements, ${quick.rounds} short samples`,
    '  --help        this text',
  ]),
  list(
    'Drivers',
    Object.entries(drivers).map(([name, text]) => `  ${name.padEnd(11)} ${text}`),
  ),
  'Examples:',
  '  npm run bench -- nadam 4M avx512 avx2',
  '  npm run bench -- 1                      one element: what a call costs',
].join('\n');

/** The number that `4M` stands for; NaN if it stands for none. */
function elementsOf(word: string): number {
  const [, digits, unit = ''] = /^([1-9]\d{0,8})([KM]?)$/i.exec(word) ?? [];
  return Number(digits) * ({ K: 2 ** 10, M: 2 ** 20 }[unit.toUpperCase()] ?? 1);
}

const isSize = (word: string): boolean => !Number.isNaN(elementsOf(word));

/** What the arguments mean; ends the process after `--help`, and with exit code 2 if they mean nothing. */
export function readOptions(args: string[]): Options {
  try {
    return parse(args);
  } catch (error) {
    console.error(`${(error as Error).message.split('\n')[0]} (--help shows what is possible)`);
    process.exit(2);
  }
}

function parse(args: string[]): Options {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  if (values.help === true) {
    console.log(help);
    process.exit(0);
  }
  checkWords(positionals);
  const defaults = values.quick === true ? quick : full;
  const chosen = (known: readonly string[]): string[] => known.filter((name) => positionals.includes(name));
  const orAll = <T>(some: readonly T[], all: readonly T[]): readonly T[] => (some.length > 0 ? some : all);
  const words = orAll(chosen(Object.keys(drivers)), Object.keys(drivers));
  const sizes = orAll(positionals.filter(isSize), defaults.sizes);
  return {
    rules: orAll(chosen(full.rules), defaults.rules),
    sizes: [...new Set(sizes.map(elementsOf))],
    drivers: Object.keys(drivers).filter((name) => name === 'traffic' || words.includes(name)),
    rounds: wholeNumber('--rounds', values.rounds) ?? defaults.rounds,
    threads: wholeNumber('--threads', values.threads) ?? 1,
    seconds: defaults.seconds,
    steps: positionals.length > 0 ? 0 : defaults.steps,
    json: values.json ?? fileURLToPath(new URL('results/latest.json', import.meta.url)),
  };
}

function checkWords(words: readonly string[]): void {
  const known = [...Object.keys(rules), ...Object.keys(drivers)];
  const unknown = words.find((word) => !known.includes(word) && !isSize(word));
  if (unknown === undefined) return;
  throw new RangeError(`bench expects sizes such as 256K and words of ${known.join(', ')}, got "${unknown}"`);
}

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new RangeError(`${name} expects a whole number from 1 to 9999, got "${text}"`);
}
