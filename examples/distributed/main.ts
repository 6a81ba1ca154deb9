// Trains a network on MNIST on one process and on several: npm run example:distributed -- --help
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { anyLauncher, type Launcher } from '../../bench/distributed/launchers.ts';
import { markdown } from '../../bench/markdown.ts';
import { readOptions } from './options.ts';
import type { Result } from './training.ts';

const { optimizers, ranks, ...task } = readOptions();
const launcher = anyLauncher() ?? end();
const runs = [
  { ranks: 1, mode: 'one process', sharded: false },
  { ranks, mode: 'replicated', sharded: false },
  { ranks, mode: 'sharded', sharded: true },
];
const heads = [
  'optimizer',
  'ranks',
  'mode',
  'training loss',
  'test loss',
  'test accuracy in %',
  'bytes of state a rank',
  'ms of a step',
  'of them sums and update',
  'bits of the variables',
];

const rows: string[][] = [];
for (const optimizer of optimizers) {
  const results = runs.map((run) => {
    console.log(`${optimizer}, ranks: ${run.ranks}, ${run.mode}`);
    return { ...run, ...resultOf(launcher, optimizer, run) };
  });
  rows.push(...results.map((result) => rowOf(optimizer, result)));
  const same = new Set(results.map(({ bits }) => bits)).size === 1;
  if (!same) process.exitCode = 1;
  console.log(`${optimizer}: ${same ? 'the same bits' : 'DIFFERENT BITS'} with ranks: 1 and ${ranks}`);
}
console.log(markdown(heads, rows));

/** Of a job, whose other output goes to the terminal. Ends this process if it fails. */
function resultOf({ command, options }: Launcher, name: string, run: (typeof runs)[number]): Result {
  const rank = fileURLToPath(new URL('rank.ts', import.meta.url));
  const arguments_ = [name, `${run.sharded}`, `${run.ranks}`, JSON.stringify(task)];
  const node = [process.execPath, '--import', 'tsx', rank, ...arguments_];
  const whole = run.ranks === 1 ? node : [command, ...options, '-n', `${run.ranks}`, ...node];
  const { status, signal, stdout } = spawnSync(whole[0] as string, whole.slice(1), {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status === 0) return JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '') as Result;
  console.error(`${whole.join(' ')} ended with ${status ?? signal}`);
  process.exit(1);
}

function rowOf(optimizer: string, result: Result & { readonly mode: string }): string[] {
  const { ranks, mode, trainLoss, test, stateBytes, step, update, bits } = result;
  return [
    optimizer,
    `${ranks}`,
    mode,
    trainLoss.toFixed(4),
    test.loss.toFixed(4),
    (100 * test.accuracy).toFixed(2),
    stateBytes.toLocaleString('en'),
    step.toFixed(2),
    update.toFixed(2),
    bits.slice(0, 16),
  ];
}

function end(): never {
  console.error(
    'not run: there is no mpirun that works. Install Open MPI or MPICH: "apt-get install openmpi-bin" or "apt-get install mpich" ' +
      'on Debian and Ubuntu, "dnf install openmpi" on Fedora',
  );
  process.exit(1);
}
