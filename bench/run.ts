// npm run bench: drivers x trials. A trial is a rule and a number of elements, in a fresh process; in it all drivers are
// measured in rounds. Prints a table for each rule and writes every sample to a file.
import { fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { drivers, threadsVariable, whyNot } from './drivers.ts';
import { delayTable } from './event_loop.ts';
import { missingDrivers } from './missing.ts';
import { readOptions, type Options } from './options.ts';
import { bytesOf, rules, type Rule } from './rules.ts';
import { sizeName, summary, table, type Outcome } from './table.ts';
import type { Measurement, Task } from './trial.ts';

const load = (): readonly number[] => loadavg().map((x) => Math.round(x * 100) / 100);

/** What is measured, where, and with what. */
const circumstances = (args: readonly string[], { rounds, threads }: Options) => ({
  date: new Date().toISOString(),
  command: ['npm run bench --', ...args].join(' '),
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: cpus().length,
  memory_gb: Math.round(totalmem() / 1e9),
  platform: `${process.platform} ${process.arch}`,
  node: process.version,
  load: load(),
  rounds,
  threads,
});
type Circumstances = ReturnType<typeof circumstances>;

const headOf = ({ date, command, cpu, cores, memory_gb, platform, node, load, rounds, threads }: Circumstances) => `\
${date}  ${command}
${cpu}, ${cores} cores, ${memory_gb} GB, ${platform}, Node ${node}, load ${load.join(' ')}
${threads} thread${threads > 1 ? 's' : ''}, medians of ${rounds} rounds; "~" where the middle half of them is spread over more than 20 %.
ns: nanoseconds an element; GB/s: read and written; limit: times that of the traffic loop in the same round.
The machine may be shared: trust the ratios more than the times, and neither while the load is high.
`;

function printDrivers(names: readonly string[], missing: ReadonlyMap<string, string>): void {
  for (const name of names) console.log(`  ${name.padEnd(11)} ${drivers[name]}`);
  for (const [name, reason] of missing) console.log(`  ${name.padEnd(11)} skipped: ${reason}`);
}

/** Runs a trial in a process of its own. */
function inFreshProcess(task: Task, threads: number): Promise<Measurement[]> {
  return new Promise((resolve, reject) => {
    const trial = fileURLToPath(new URL('trial.ts', import.meta.url));
    const child = fork(trial, { env: { ...process.env, [threadsVariable]: `${threads}` } });
    let outcome: Measurement[] | undefined;
    child.on('message', (message) => (outcome = message as Measurement[]));
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (outcome !== undefined) resolve(outcome);
      else reject(new Error(`the trial ${task.rule} ${sizeName(task.elements)} ended with ${signal ?? code}`));
    });
    child.send(task);
  });
}

/** All sizes of a rule, one after the other. Adds to `skipped` what has nothing to measure. */
async function measureRule(rule: string, options: Options, skipped: Set<string>): Promise<Outcome[]> {
  const { sizes, rounds, seconds, threads } = options;
  const outcomes: Outcome[] = [];
  for (const elements of sizes) {
    const reasons = options.drivers.map((name) => whyNot(name, rule, elements));
    const drivers = options.drivers.filter((_, i) => reasons[i] === undefined);
    for (const reason of reasons) if (reason !== undefined) skipped.add(reason);
    const measurements = await inFreshProcess({ rule, elements, drivers, rounds, seconds }, threads);
    outcomes.push({ rule, elements, measurements });
  }
  return outcomes;
}

/** Measures and prints rule after rule. */
async function measureAll(options: Options): Promise<Outcome[]> {
  const skipped = new Set<string>();
  const trials: Outcome[] = [];
  for (const name of options.rules) {
    const outcomes = await measureRule(name, options, skipped);
    console.log(`\n${table(`${name}: ${bytesOf(rules[name] as Rule)} bytes an element`, outcomes)}`);
    trials.push(...outcomes);
  }
  console.log(['', ...skipped, `load afterwards ${load().join(' ')}`].join('\n'));
  return trials;
}

const withSummary = (outcome: Outcome): object => ({
  ...outcome,
  measurements: outcome.measurements.map((one) => ({ ...one, ...summary(one, outcome) })),
});

function write(path: string, result: object): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, null, 1)}\n`);
  console.log(`every sample is in ${relative('', path)}`);
}

const args = process.argv.slice(2);
const options = readOptions(args);
const missing = missingDrivers();
const names = options.drivers.filter((name) => !missing.has(name));
const about = circumstances(args, options);
console.log(headOf(about));
printDrivers(names, missing);
const trials = await measureAll({ ...options, drivers: names });
const { text, delays } = await delayTable(options.steps);
console.log(text);
write(options.json, { ...about, load_afterwards: load(), trials: trials.map(withSummary), event_loop: delays });
