// Runs the checks on a device and prints a line for each: node run.js --help
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import type { GpuName } from './variables.ts';
import { runAll, type Outcome, type Settings } from './check.ts';
import { checks } from './index.ts';

const help = `Compares a GPU with the CPU to the last bit, on fresh random numbers.
  --device D    default cuda:0
  --seeds N     how often the numbers are drawn anew; default 2
  --seed TEXT   the first of them; default a new one, which is printed
  --steps N     of the soak; default 10000
  --only REGEX  checks whose names match
  --skip REGEX  checks whose names do not match
  --small       small arrays only
  --list        only prints the names
  --json FILE   the outcomes`;

const { values: given } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda:0' },
    seeds: { type: 'string', default: '2' },
    seed: { type: 'string' },
    steps: { type: 'string', default: '10000' },
    only: { type: 'string', default: '' },
    skip: { type: 'string', default: '^$' },
    small: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

// Steps in which some gradients are null say so each time; nothing else is to be missed.
process.removeAllListeners('warning');
process.on('warning', (warning) => {
  if (!warning.message.includes('gradients do not exist')) console.warn(warning);
});

const seed = given.seed ?? randomBytes(4).toString('hex');
const notes: string[] = [];
const settings: Settings = {
  device: given.device as GpuName,
  seeds: Array.from({ length: Number(given.seeds) }, (_, i) => (i === 0 ? seed : `${seed}.${i}`)),
  steps: Number(given.steps),
  small: given.small,
  say: (line) => notes.push(line),
};

const outcomes: Outcome[] = [];
const count = (result: Outcome['result']): number => outcomes.filter((outcome) => outcome.result === result).length;
const summary = (): string => `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`;

/** After each check: what is ended from outside leaves what it found until then. */
function write(): void {
  if (given.json === undefined) return;
  writeFileSync(given.json, `${JSON.stringify({ seed, summary: summary(), outcomes }, null, 1)}\n`);
}

function report(outcome: Outcome): void {
  const { name, result, seconds, reason } = outcome;
  outcomes.push(outcome);
  write();
  console.log(`${result.padEnd(8)} ${seconds.toFixed(2).padStart(7)} s  ${name}`);
  for (const line of [...notes.splice(0), ...(reason?.split('\n') ?? [])]) console.log(`${' '.repeat(20)}${line}`);
}

async function main(): Promise<void> {
  const all = checks(settings).filter(
    ({ name }) => new RegExp(given.only).test(name) && !new RegExp(given.skip).test(name),
  );
  if (given.list) return all.forEach(({ name }) => console.log(name));
  console.log(`${all.length} checks on ${given.device}, seed ${seed}${given.small ? ', small arrays' : ''}`);
  await runAll(all, report);
  console.log(`${summary()}; seed ${seed}`);
  process.exitCode = count('failed') > 0 || outcomes.length === 0 ? 1 : 0;
}

if (given.help) console.log(help);
else await main();
