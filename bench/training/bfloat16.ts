// npm run bench:bfloat16: do 16-bit states and gradients reach the loss of 32-bit ones? Trains the tasks with every variant
// of the optimizer's options, and with other seeds for a scale; prints a table, writes the curves and a figure.
import { fork } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { positive } from './arguments.ts';
import { figure } from './bfloat16-figure.ts';
import { circumstances, headOf, load, writeResult } from './circumstances.ts';
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
    json: { type: 'string', default: path('../results/bfloat16.json') },
    help: { type: 'boolean', short: 'h' },
  },
});
const unknown = positionals.filter((word) => !(word in tasks) && !(word in variants));
if (texts.help || unknown.length > 0) {
  const list = (choices: Readonly<Record<string, { readonly text: string }>>) =>
    Object.entries(choices).map(([name, { text }]) => `  ${name.padEnd(19)} ${text}`);
  if (unknown.length > 0) console.error(`neither a task nor a variant: ${unknown.join(' ')}`);
  const usage =
    'npm run bench:bfloat16 -- [tasks] [variants] [--steps N] [--seeds 3] [--jobs 2] [--figure FILE] [--json FILE]';
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
const keyOf = ({ task, variant, seed }: Request): string => `${task} ${variant} seed ${seed}`;

const last = (numbers: Curve['heldOut']): number => numbers.at(-1)?.[1] ?? NaN;
/** Mean over the last twentieth of the steps. */
const lastTraining = ({ training }: Curve): number => {
  const points = training.slice(-Math.ceil(training.length / 20));
  return points.reduce((total, [, loss]) => total + loss, 0) / points.length;
};

function table(curves: readonly Curve[]): string {
  const line = (name: string, cells: readonly string[]) =>
    name.padEnd(38) + cells.map((cell) => cell.padStart(12)).join('');
  const rows = curves.map((curve) => {
    const reference = curves.find(({ task, variant }) => task === curve.task && variant === 'float32');
    const apart = reference === undefined ? NaN : last(curve.heldOut) - last(reference.heldOut);
    const numbers = [lastTraining(curve), last(curve.heldOut), apart].map((x) => x.toFixed(4));
    return line(keyOf(curve), [...numbers, (curve.stateBytes / 1e6).toFixed(2), curve.applyMicroseconds.toFixed(0)]);
  });
  const heading = line('', ['training', 'held out', 'less float32', 'state MB', 'apply us']);
  return [
    "Loss at the end: of the last twentieth of the training, and on held-out data; apply: median of the optimizer's step",
    heading,
    ...rows,
  ].join('\n');
}

const about = { ...circumstances('bench:bfloat16'), jobs: positive('jobs', texts.jobs), threads: 1 };
console.log(`${headOf(about)}\n${about.jobs} trainings at a time, each with one thread\n`);
for (const name of chosen(variants)) console.log(`  ${name.padEnd(19)} ${(variants[name] as Variant).text}`);
mkdirSync(dirname(texts.figure), { recursive: true });
let curves: readonly Curve[] = [];
await trainAll(requests(), about.jobs, (soFar) => {
  curves = soFar;
  writeFileSync(texts.figure, figure(curves));
  writeResult(texts.json, { ...about, load_afterwards: load(), curves });
});
console.log(`\n${table(curves)}\n`);
for (const file of [texts.figure, texts.json]) console.log(relative('', file));
