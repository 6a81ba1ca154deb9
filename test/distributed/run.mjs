// npm run test:distributed -- BACKEND [RANKS ...]: the grid on self, local, or mpi (with every launcher there is), and what happens to
// workers that die or hang. Prints why something cannot be run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

import { joinGroup, LocalGroup } from 'keras-optimizers/distributed';

const rank = fileURLToPath(new URL('rank.mjs', import.meta.url));
const [backend = 'local', ...given] = process.argv.slice(2);
const sizes = given.length > 0 ? given.map(Number) : [1, 2, 3, 4];

async function local(size) {
  const group = new LocalGroup(size);
  const ends = Array.from({ length: size }, async (_, i) => {
    const worker = new Worker(rank, { workerData: { handle: group.handle, rank: i } });
    group.watch(worker, i);
    return (await once(worker, 'exit'))[0];
  });
  assert.deepEqual(await Promise.all(ends), new Array(size).fill(0));
}

async function run(command, args, environment = {}) {
  const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, ...environment } });
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code === 0 ? undefined : `ended with ${code ?? signal}`));
  });
}

const launchers = {
  'mpirun.openmpi': ['--allow-run-as-root', '--oversubscribe'],
  'mpirun.mpich': [],
};

async function mpi(size) {
  for (const [launcher, options] of Object.entries(launchers)) {
    console.log(`${launcher}, ${size} ranks`);
    const node = [process.execPath, '--expose-gc', rank, 'mpi', String(size)];
    const failure = await run(launcher, [...options, '-n', String(size), ...node]);
    if (failure?.includes('ENOENT')) console.log(`not run: there is no ${launcher}`);
    else assert.equal(failure, undefined);
  }
}

const self = async () => assert.equal(await run(process.execPath, ['--expose-gc', rank, 'self', '1']), undefined);

// A worker that does something to itself, or has it done, in a collective chosen at random: the other ranks are told in time.
async function faults(runs = 20) {
  const ways = { terminate: /PEER_LOST/, exit: /PEER_LOST/, hang: /TIMEOUT/ };
  for (let i = 0; i < runs; i++)
    for (const [way, code] of Object.entries(ways)) {
      const group = new LocalGroup(2);
      const workerData = { handle: group.handle, way, after: Math.floor(Math.random() * 50) };
      const worker = new Worker(new URL('faulty.mjs', import.meta.url), { workerData });
      group.watch(worker, 1);
      const comm = joinGroup(group.handle, 0, { timeout: 2000 });
      await once(worker, 'message');
      if (way === 'terminate') setTimeout(() => void worker.terminate(), Math.random() * 20);
      const data = new Float32Array(20_000);
      let begun = performance.now();
      let error;
      while (error === undefined) {
        begun = performance.now();
        data.fill(1);
        error = await comm.allReduce(data).then(
          () => undefined,
          (reason) => reason,
        );
        if (error === undefined)
          assert(
            data.every((x) => x === 2),
            'a wrong sum',
          );
      }
      assert.match(error.code, code, String(error));
      assert.deepEqual(error.suspects, [1]);
      assert(performance.now() - begun < 3000, 'it took too long');
      await comm.close();
      await worker.terminate();
    }
  console.log(`local: ${runs} workers each that were terminated, exited, or hung`);
}

const backends = { self, local, mpi };
assert(Object.hasOwn(backends, backend), `expected one of ${Object.keys(backends).join(', ')}, got ${backend}`);
if (backend === 'self') await self();
else for (const size of sizes) await backends[backend](size);
if (backend === 'local') await faults();
console.log(`test:distributed ${backend}: all well`);
