// Ranks that die, hang or are terminated at a random step of a training in child processes: the job ends in time and not well, says who
// hangs where, its last checkpoint loads, and what goes on from it on another number of ranks ends with the bits of a training that
// nothing has happened to. Usage: npm run test:faults [-- ROUNDS]. Prints why where something cannot be run.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launchers, missing, runJob, type Ended, type Launcher } from '../../bench/distributed/launchers.ts';

const script = fileURLToPath(new URL('fault_rank.mjs', import.meta.url));
const rounds = Number(process.argv[2] ?? 1);
const kTimeout = 2000; // ms, as in fault_rank.mjs
const kGrace = 5000; // ms
const kLimit = 60_000; // ms
const kFirst = 6; // the step from which on there is a checkpoint
const kLast = 22;

type See = (printed: string, launcher: number) => void;

/** What starts ranks. */
interface Engine {
  readonly name: string;
  readonly ways: readonly string[];
  readonly start: (folder: string, size: number, more: readonly string[], see: See) => Promise<Ended>;
}

const dying = ['SIGKILL', 'SIGSEGV', 'throw', 'exit 0', 'exit 3'];
const hanging = ['SIGSTOP', 'loop'];

const terminated = ['SIGTERM', 'SIGTERM of the launcher'];

const under = (launcher: Launcher): Engine => ({
  name: launcher.name,
  ways: [...dying, ...hanging, ...terminated],
  start: (folder, size, more, see) =>
    runJob(launcher, size, [script, 'mpi', folder, String(size), ...more], kLimit, see),
});

// Without a launcher: `env` starts what follows.
const plain: Launcher = { name: 'local', command: 'env', options: [] };
const local: Engine = {
  name: 'local workers',
  ways: ['terminate', 'throw', 'exit 0', 'exit 3', 'loop'],
  start: (folder, size, more, see) => runJob(plain, 0, [script, 'local', folder, String(size), ...more], kLimit, see),
};

/** What a training of all steps prints. */
async function bitsOf(ended: Promise<Ended>): Promise<string> {
  const { code, printed } = await ended;
  assert.equal(code, 0, printed);
  return /^bits \w{64}$/m.exec(printed)?.[0] ?? assert.fail(printed);
}

const random = (from: number, to: number) => from + Math.floor(Math.random() * (to - from));

/** A job that something happens to; how long it went on after that, in milliseconds. */
async function struck({ start }: Engine, folder: string, size: number, way: string, rank: number) {
  let since = NaN;
  const step = random(kFirst, kLast);
  process.env.OMPI_MCA_odls_base_sigkill_timeout = way.endsWith('launcher') ? '2' : '1'; // seconds to save in
  const ended = await start(folder, size, [way, String(rank), String(step)], (printed, launcher) => {
    if (!Number.isNaN(since) || !printed.includes('NOW')) return;
    since = performance.now();
    if (way.endsWith('launcher')) process.kill(launcher, 'SIGTERM');
  });
  return { ...ended, step, took: performance.now() - since };
}

async function fault(engine: Engine, way: string, expected: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'faults-'));
  const [size, rank] = [random(0, 2) === 0 ? 3 : 4, random(0, 3)];
  try {
    const { code, printed, step, took } = await struck(engine, folder, size, way, rank);
    const what = `rank ${rank} of ${size}, step ${step}: code ${code} after ${Math.round(took)} ms\n${printed}`;
    assert(code !== null && code !== 0, what);
    assert(took < kTimeout + kGrace, what);
    if (hanging.includes(way)) {
      const says = `\\w+ \\(number \\d+, \\d+ bytes\\) timed out after \\d+ ms: rank ${rank} did not arrive`;
      assert.match(printed, new RegExp(says), what);
    }
    const from = await goneOn(engine, folder, [1, 2, 3].filter((n) => n < size)[random(0, size - 1)] ?? 1, expected);
    if (terminated.includes(way)) assert.equal(from, step + 1, what); // where it was, not where it last saved on the way
    return `rank ${rank} of ${size} at step ${step}: code ${code} after ${Math.round(took)} ms, gone on from step ${from}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Goes on from the last checkpoint on fewer ranks, to the same bits; returns the step of the checkpoint. */
async function goneOn({ start }: Engine, folder: string, size: number, expected: string): Promise<number> {
  const again = start(folder, size, [], () => {});
  assert.equal(await bitsOf(again), expected);
  const from = Number(/^from step (\d+)$/m.exec((await again).printed)?.[1]);
  assert(from >= kFirst - 1, `from step ${from}`);
  return from;
}

const all = [
  ...launchers.map((launcher) => ({ engine: under(launcher), reason: missing(launcher) })),
  { engine: local, reason: undefined },
];
const expected = await bitsOf(runJob(plain, 0, [script, 'self', mkdtempSync(join(tmpdir(), 'faults-'))], kLimit));
for (const { engine, reason } of all)
  if (reason !== undefined) console.log(`not run with ${engine.name}: ${reason}`);
  else
    for (const way of Array<readonly string[]>(rounds).fill(engine.ways).flat())
      console.log(`ok  ${engine.name}, ${way}: ${await fault(engine, way, expected)}`);
console.log('not run with local workers: SIGSEGV and SIGSTOP, which are for all threads of a process');
