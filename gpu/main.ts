// Everything that needs a GPU, part by part: run.sh of the bundle starts it. Prints a short table last, writes results.json.
import { spawn } from 'node:child_process';
import { createWriteStream, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { partNames, parts, type Part } from './parts.ts';
import { lines, loadAll, startup } from './startup.ts';

const [kUsage, kNoGpu] = [2, 3]; // exit codes
const help = `run.sh [options]: what needs a GPU, part by part: ${partNames.join(', ')}
  --quick             small and short: to see that all of it runs
  --only PARTS        these alone, with commas between them
  --budget PART=S     seconds that a part may take, for one or more parts
  --output FOLDER     of results.json and the text of each part; default: results
Exit code: 0 if every part passed or was skipped, 1 if one failed, 2 for other options, ${kNoGpu} if there is no GPU to use.`;

interface Result {
  readonly part: string;
  readonly result: 'passed' | 'failed' | 'skipped';
  readonly seconds: number;
  readonly about: string;
  readonly found?: unknown;
}

function readOptions() {
  try {
    return parseArgs({
      options: {
        quick: { type: 'boolean', default: false },
        only: { type: 'string', default: partNames.join() },
        budget: { type: 'string', multiple: true, default: [] },
        output: { type: 'string', default: 'results' },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    console.error((error as Error).message);
    return process.exit(kUsage);
  }
}
const given = readOptions();
const output = resolve(given.output);

/** What runs now, with all that it has started. */
let endRunning: (() => void) | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    endRunning?.();
    process.kill(process.pid, signal);
  });

/** Runs a program; its text goes to the terminal and into a file. Gives why it failed. */
async function run(
  [program = '', ...args]: readonly string[],
  budget: number,
  log: string,
): Promise<string | undefined> {
  const file = createWriteStream(log);
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  for (const [stream, to] of [
    [child.stdout, process.stdout],
    [child.stderr, process.stderr],
  ] as const)
    stream.on('data', (text: Buffer) => (to.write(text), file.write(text)));
  endRunning = () => {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  };
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    endRunning?.();
  }, 1000 * budget);
  const reason = await new Promise<string | undefined>((resolve) => {
    child.on('error', ({ message }) => resolve(message));
    child.on('close', (code, signal) => {
      resolve(isLate ? `not done in ${budget} s` : code === 0 ? undefined : `ended with ${signal ?? code}`);
    });
  });
  clearTimeout(timer);
  endRunning = undefined;
  await new Promise((done) => file.end(done));
  return reason;
}

const found = (path: string | undefined): unknown =>
  path !== undefined && existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as unknown) : undefined;

/** A line about what a part found, from its JSON. */
function about(what: unknown): string {
  const { summary, goals, trials } = (what ?? {}) as {
    readonly summary?: string;
    readonly goals?: readonly { readonly met?: boolean }[];
    readonly trials?: readonly unknown[];
  };
  if (trials === undefined) return summary ?? '';
  const met = (goals ?? []).filter((goal) => goal.met).length;
  return `${trials.length} trials${goals?.length ? `, ${met} of ${goals.length} goals met` : ''}`;
}

async function resultOf({ name, command, budget, json }: Part): Promise<Result> {
  console.log(`\n== ${name}`);
  if ('skipped' in command) {
    console.log(`skipped: ${command.skipped}`);
    return { part: name, result: 'skipped', seconds: 0, about: command.skipped };
  }
  if (json !== undefined) rmSync(json, { force: true });
  const start = performance.now();
  const reason = await run(command, budget, join(output, `${name}.log`));
  const seconds = Number(((performance.now() - start) / 1000).toFixed(1));
  const what = found(json);
  const text = [reason, about(what)].filter(Boolean).join('; ');
  console.log(`== ${name}: ${reason === undefined ? 'passed' : 'FAILED'} after ${seconds} s${text && `: ${text}`}`);
  const result = reason === undefined ? 'passed' : 'failed';
  return { part: name, result, seconds, about: text, ...(what !== undefined && { found: what }) };
}

const row = ({ part, result, seconds, about: text }: Result): string =>
  `${part.padEnd(10)}  ${result.padEnd(7)}  ${seconds.toFixed(1).padStart(6)} s  ${text}`;

function budgetsOf(words: readonly string[]): Record<string, number> {
  const pairs = words.map((word) => word.split('=') as [string, string]);
  const bad = pairs.find(([name, seconds]) => !partNames.includes(name as never) || !(Number(seconds) > 0));
  if (bad)
    throw new RangeError(`--budget expects PART=SECONDS, a part of ${partNames.join(', ')}, got ${bad.join('=')}`);
  return Object.fromEntries(pairs.map(([name, seconds]) => [name, Number(seconds)]));
}

function chosen(): string[] {
  const names = given.only.split(',');
  const unknown = names.find((name) => !partNames.includes(name as never));
  if (unknown === undefined) return names;
  throw new RangeError(`--only expects parts of ${partNames.join(', ')}, got ${unknown}`);
}

async function main(): Promise<number> {
  const [only, budgets, date] = [chosen(), budgetsOf(given.budget), new Date().toISOString()];
  console.log(`== startup, ${date}`);
  for (const line of await loadAll()) console.log(`loaded: ${line}`);
  const begun = startup();
  for (const line of lines(begun)) console.log(line);
  mkdirSync(output, { recursive: true });
  const file = join(output, 'results.json');
  const write = (results: readonly Result[]): void =>
    writeFileSync(
      file,
      `${JSON.stringify({ date, arguments: process.argv.slice(2), startup: begun, results }, null, 1)}\n`,
    );
  write([]);
  if (begun.unusable !== null) {
    console.log(`Everything loads; nothing else was run, since there is no GPU to use (exit code ${kNoGpu}).`);
    return kNoGpu;
  }
  const setting = { quick: given.quick, emulated: begun.emulated, output, budgets };
  const results: Result[] = [];
  for (const part of parts(setting).filter(({ name }) => only.includes(name))) {
    results.push(await resultOf(part));
    write(results);
  }
  console.log(`\n${begun.gpus[0]?.name ?? ''}, ${begun.driver ?? ''}`);
  for (const result of results) console.log(row(result));
  console.log(`results: ${file}`);
  return results.some(({ result }) => result === 'failed') ? 1 : 0;
}

if (given.help) console.log(help);
else
  process.exitCode = await main().catch((error: Error) => {
    console.error(error instanceof RangeError ? error.message : error);
    return error instanceof RangeError ? kUsage : 1;
  });
