// The command line: words select rules, works, variants and drivers.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { drivers, hostOf, type Trial } from './drivers.ts';
import { plans, trialsOf, type Grid, type Plan, type PlanName } from './plans.ts';
import { ruleNames } from '../lib/bench/rules.ts';
import { variants } from './variants.ts';
import { shapesOf, workForms } from './work.ts';

export interface Options {
  readonly plan: PlanName;
  readonly words: readonly string[];
  readonly trials: readonly Trial[];
  readonly drivers: readonly string[];
  readonly rounds: number;
  /** Length of a sample. */
  readonly seconds: number;
  /** Large steps whose delay of the event loop is measured; none with words. */
  readonly steps: number;
  /** Only whether the values are right. */
  readonly check: boolean;
  /** Where the result goes. */
  readonly json: string;
}

const options = {
  rounds: { type: 'string' },
  threads: { type: 'string' },
  json: { type: 'string' },
  quick: { type: 'boolean' },
  rules: { type: 'boolean' },
  full: { type: 'boolean' },
  check: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

const list = (title: string, lines: readonly string[]): string => [`${title}:`, ...lines, ''].join('\n');
const described = (all: Readonly<Record<string, { readonly about: string }>>): string[] =>
  Object.entries(all).map(([name, { about }]) => `  ${name.padEnd(19)} ${about}`);

const help = [
  'Measures a step beside loops that only move as much memory, and beside what others have.\n',
  '  npm run bench -- [words] [options]\n',
  list('Words', [
    `  rules     ${ruleNames.join(' ')}`,
    `  works     ${workForms}`,
    '  variants  see below; default: plain',
    '  drivers   see below, or the part before the colon; traffic and ours, which all are compared with, are always there',
  ]),
  list('Options', [
    '  --threads 1,2  of a step and of all beside it',
    '  --rounds N     samples of every driver',
    `  --quick        ${plans.quick.about}`,
    `  (none of them) ${plans.default.about}`,
    `  --rules        ${plans.rules.about}`,
    `  --full         ${plans.full.about}; words leave out what they do not name`,
    '  --check        only compares the values of all drivers after a few steps',
    '  --json FILE    the result; default: bench/results/latest.json',
    '  --help         this text',
  ]),
  list('Variants', described(variants)),
  list('Drivers', described(drivers)),
  'Examples:',
  '  npm run bench -- nadam 4M ours:avx512 ours:avx2 --threads 1,2',
  '  npm run bench -- nadam 1 ours               one element: what a call costs',
  '  npm run bench -- --full nadam global_clipnorm',
].join('\n');

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
  const { values, positionals: words } = parseArgs({ args, options, allowPositionals: true });
  if (values.help === true) {
    console.log(help);
    process.exit(0);
  }
  checkWords(words);
  const name = (['full', 'quick', 'rules'] as const).find((one) => values[one] === true) ?? 'default';
  const plan = plans[name];
  const threads = values.threads?.split(',').map((text) => wholeNumber('--threads', text));
  const trials = trialsOf(plan.grids.map((grid) => selected(grid, words, threads, values.full === true)));
  if (trials.length === 0 && values.check !== true)
    throw new RangeError(`bench --full has nothing that ${words.join(' ')} names`);
  return {
    plan: name,
    words,
    trials,
    drivers: chosenDrivers(words, values.check === true ? plans.full : plan),
    rounds: values.rounds === undefined ? plan.rounds : wholeNumber('--rounds', values.rounds),
    seconds: plan.seconds,
    steps: words.length > 0 ? 0 : plan.steps,
    check: values.check ?? false,
    json: values.json ?? fileURLToPath(new URL('results/latest.json', import.meta.url)),
  };
}

/** The grid with what the words name in the place of its own; of the full plan, only what they name. */
function selected(grid: Grid, words: readonly string[], threads: readonly number[] | undefined, full: boolean): Grid {
  const pick = <T>(own: readonly T[], named: readonly T[]): readonly T[] => {
    if (named.length === 0) return own;
    return full ? own.filter((one) => named.includes(one)) : named;
  };
  const of = (known: readonly string[]): string[] => known.filter((name) => words.includes(name));
  return {
    rules: pick(grid.rules, of(ruleNames)),
    works: pick(grid.works, words.filter(isWork)),
    variants: pick(grid.variants, of(Object.keys(variants))),
    threads: pick(grid.threads, threads ?? []),
  };
}

function chosenDrivers(words: readonly string[], { when, without }: Plan): string[] {
  const named = Object.keys(drivers).filter((name) => words.includes(name) || words.includes(hostOf(name)));
  const byWord = (name: string): boolean =>
    named.includes(name) && (words.includes(name) || drivers[name]?.when !== 'named');
  return Object.keys(drivers).filter((name) =>
    named.length > 0
      ? ['traffic', 'ours'].includes(name) || byWord(name)
      : drivers[name] !== undefined && when.includes(drivers[name].when) && without?.includes(name) !== true,
  );
}

const isWork = (word: string): boolean => shapesOf(word) !== undefined;

function checkWords(words: readonly string[]): void {
  const names = Object.keys(drivers);
  const known = [...new Set([...ruleNames, ...Object.keys(variants), ...names.map(hostOf), ...names])];
  const unknown = words.find((word) => !known.includes(word) && !isWork(word));
  if (unknown === undefined) return;
  throw new RangeError(`bench expects works such as 256K and words of ${known.join(', ')}, got "${unknown}"`);
}

function wholeNumber(name: string, text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new RangeError(`${name} expects whole numbers from 1 to 9999, got "${text}"`);
}
