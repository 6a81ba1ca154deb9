// npm run bench: drivers x trials. A trial is a rule, a work, a variant and a number of threads; in it every driver has a
// process of its own, is checked, and is measured in rounds with the others. Prints a table for each trial; writes a file.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';

import { checkAll } from './check_all.ts';
import { circumstances, headOf as machineOf, load, type Circumstances as Machine } from './circumstances.ts';
import { drivers } from './drivers.ts';
import { delayTable, type Delay } from './event_loop.ts';
import { missingDrivers } from './missing.ts';
import { readOptions, type Options } from './options.ts';
import { pinning } from './peer.ts';
import type { Trial } from './report_trials.ts';
import { table, threadsName } from './table.ts';
import { measure } from './trial.ts';

export type Circumstances = Machine & Pick<Options, 'plan' | 'rounds'>;

/** The file. */
export interface Result extends Circumstances {
  readonly load_afterwards: readonly number[];
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: Readonly<Record<string, string>>;
  readonly trials: readonly Trial[];
  readonly event_loop: readonly Delay[];
}

const headOf = (about: Circumstances, { trials }: Options): string => `\
${machineOf(about)}
${[...new Set(trials.map(({ threads }) => threads))].map((count) => `${threadsName(count)} ${pinning(count)}`).join('; ')}
Medians of ${about.rounds} rounds; "~" where the middle half of them is spread over more than 20 %.
us: microseconds a call; GB/s: read and written; limit, ours: times that of traffic, of ours, in the same round.
The machine may be shared: trust the ratios more than the times, and neither while the load is high.
`;

function printDrivers(names: readonly string[], missing: ReadonlyMap<string, string>): void {
  const line = (name: string): string => missing.get(name)?.replace(/^/, 'skipped: ') ?? drivers[name]?.about ?? '';
  for (const name of names) console.log(`  ${name.padEnd(15)} ${line(name)}`);
  console.log();
}

function write(path: string, result: Result): void {
  mkdirSync(dirname(path), { recursive: true });
  // A line for each measurement and for whatever else holds no list: small enough to keep, and to compare.
  const flat = /\{\s*"driver"(?:[^{}]|\{[^{}]*\})*\}|\{[^{}[\]]*\}|\[[^{}[\]"]*\]/g;
  const text = JSON.stringify(result, null, 1).replace(flat, (inner) => inner.replace(/\s*\n\s*/g, ' '));
  writeFileSync(path, `${text}\n`);
}

/** Trial after trial, each written as soon as it is there. */
async function measureAll(
  options: Options,
  about: Circumstances,
  missing: ReadonlyMap<string, string>,
): Promise<Result> {
  const names = options.drivers.filter((name) => !missing.has(name));
  const versions: Record<string, string> = {};
  const trials: Trial[] = [];
  const result = (event_loop: readonly Delay[]): Result => ({
    ...about,
    load_afterwards: load(),
    versions,
    missing: Object.fromEntries(missing),
    trials,
    event_loop,
  });
  for (const trial of options.trials) {
    const { versions: used, ...outcome } = await measure(trial, names, options);
    trials.push(outcome);
    Object.assign(versions, used);
    console.log(table({ ...outcome, versions: used }));
    write(options.json, result([]));
  }
  const { text, delays } = await delayTable(options.steps);
  console.log(text);
  write(options.json, result(delays));
  return result(delays);
}

const args = process.argv.slice(2);
const options = readOptions(args);
const missing = missingDrivers(options.drivers);
const about = { ...circumstances('bench'), plan: options.plan, rounds: options.rounds };
console.log(headOf(about, options));
printDrivers(options.drivers, missing);
if (options.check) {
  process.exitCode = (await checkAll(
    options.words,
    options.drivers.filter((name) => !missing.has(name)),
  ))
    ? 0
    : 1;
} else {
  const { trials, versions } = await measureAll(options, about, missing);
  console.log(Object.values(versions).join(', '));
  console.log(`load afterwards ${load().join(' ')}; the result is in ${relative('', options.json)}`);
  process.exitCode = trials.some(({ wrong }) => wrong.length > 0) ? 1 : 0;
}
