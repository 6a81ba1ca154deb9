// npm run bench:bfloat16: do 16-bit states and gradients reach the loss of 32-bit ones? Trains the tasks with every variant
// of the optimizer's options, and with other seeds for a scale; prints a table, writes the curves and a figure.
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { positive } from './arguments.ts';
import { figure } from './bfloat16-figure.ts';
import { keyOf, table } from './bfloat16-report.ts';
import { circumstances, headOf, load, writeResult } from '../circumstances.ts';
import type { Curve, Request } from './curve.ts';
import { tasks } from './tasks.ts';
import { variants, type Variant } from './variants.ts';

const path = (url: string): string => fileURLToPath(new URL(url, import.meta.url));
const { values: texts, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    steps: { type: 'string' },
    seeds: { type: 'string', default: '3' },
    jobs: { type: 'string', default: '2' },
    figure: { type: 'string', default: path('../../docs/figures/bfloat16.svg') },
    from: { type: 'string', multiple: true },
    json: { type: 'string', default: path('../results/bfloat16.json') },
    help: { type: 'boolean', short: 'h' },
  },
});
const unknown = positionals.filter((word) => !(word in tasks) && !(word in variants));
if (texts.help || unknown.length > 0) {
  const list = (choices: Readonly<Record<string, { readonly text: string }>>) =>
    Object.entries(choices).map(([name, { text }]) => `  ${name.padEnd(19)} ${text}`);
  if (unknown.length > 0) console.error(`neither a task nor a variant: ${unknown.join(' ')}`);
  const usage = `npm run bench:bfloat16 -- [tasks] [variants] [--steps N] [--seeds 3] [--jobs 2] [--figure FILE] [--json FILE]
  or, from earlier results: npm run bench:bfloat16 -- --from FILE.json [--from FILE.json] [--figure FILE]`;
  console.log([usage, 'Tasks:', ...list(tasks), 'Variants:', ...list(variants)].join('\n'));
  process.exit(unknown.length > 0 ? 2 : 0);
}

const chosen = (from: object): string[] => {
  const names = Object.keys(from).filter((name) => positionals.includes(name));
  return names.length > 0 ? names : Object.keys(from);
};

/** Of every task: each variant with seed 1, and float32 with the other seeds. */
function requests(): Request[] {
  const seeds = Array.from({ length: positive('seeds', texts.seeds) }, (_, i) => i + 1);
  return chosen(tasks).flatMap((task) => {
    const steps = positive('steps', texts.steps ?? `${tasks[task]?.steps}`);
    return chosen(variants).flatMap((variant) =>
      (variant === 'float32' ? seeds : [1]).map((seed) => ({ task, variant, seed, steps })),
    );
  });
}

function inFreshProcess(request: Request): Promise<Curve | undefined> {
  return new Promise((resolve) => {
    const env = { ...process.env, KERAS_OPTIMIZERS_NUM_THREADS: '1' };
    const child = fork(path('curve.ts'), { env });
    let curve: Curve | undefined;
    child.on('message', (message) => (curve = message as Curve));
    child.on('error', (error) => console.error(error.message));
    child.on('exit', () => resolve(curve));
    child.send(request);
  });
}

/** So many at a time; calls `done` after each, with all so far in the order of the requests. */
async function trainAll(requests: readonly Request[], jobs: number, done: (curves: readonly Curve[]) => void) {
  const curves: (Curve | undefined)[] = [];
  const waiting = [...requests.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [i, request] = next;
      const curve = (curves[i] = await inFreshProcess(request));
      console.log(
        curve ? `${keyOf(curve)} took ${curve.seconds.toFixed(0)} s` : `${keyOf(request)} is skipped: see above`,
      );
      done(curves.flatMap((curve) => curve ?? []));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
}
/** Draws all so far after every training: a crash loses one. */
async function trainAndWrite(): Promise<readonly Curve[]> {
  const about = { ...circumstances('bench:bfloat16'), jobs: positive('jobs', texts.jobs), threads: 1 };
  console.log(`${headOf(about)}\n${about.jobs} trainings at a time, each with one thread\n`);
  for (const name of chosen(variants)) console.log(`  ${name.padEnd(19)} ${(variants[name] as Variant).text}`);
  let curves: readonly Curve[] = [];
  await trainAll(requests(), about.jobs, (soFar) => {
    curves = soFar;
    draw(curves);
    writeResult(texts.json, { ...about, load_afterwards: load(), curves });
  });
  console.log(`\nthe curves are in ${relative('', texts.json)}`);
  return curves;
}

function draw(curves: readonly Curve[]): void {
  mkdirSync(dirname(texts.figure), { recursive: true });
  writeFileSync(texts.figure, figure(curves));
}

const read = (file: string) => (JSON.parse(readFileSync(file, 'utf8')) as { readonly curves: readonly Curve[] }).curves;
const curves = texts.from ? texts.from.flatMap(read) : await trainAndWrite();
draw(curves);
console.log(`\n${table(curves)}\n\nthe figure is ${relative('', texts.figure)}`);
