// One rank of a job of faults.ts: trains with checkpoints, from the last one if there is one; something happens to it on the way.
// Usage: node fault_rank.mjs BACKEND FOLDER [SIZE WAY RANK STEP]; the last line that rank 0 prints is what has become of the training.
// With `local` the ranks are workers of this process. At a STEP, a number from 0 on, RANK falls victim to a WAY.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { Nadam, Optimizer, Variable } from 'keras-optimizers';
import {
  connect,
  joinGroup,
  latestCheckpoint,
  LocalGroup,
  onTermination,
  saveCheckpoint,
} from 'keras-optimizers/distributed';

const given = isMainThread ? process.argv.slice(2) : workerData.given;
const [backend, folder, size = '1', way = 'none', victim, step] = given;
const kTimeout = way === 'SIGTERM of the launcher' ? 20_000 : 2000; // ms; mpirun needs a second to pass a signal on
const kSteps = 24;
const kBetween = 5; // steps from checkpoint to checkpoint
const kPasses = 12; // micro-batches
const lengths = [60_000, 300]; // four blocks, and a bit

const signal = (name) => () => process.kill(process.pid, name);
const ways = {
  SIGKILL: signal('SIGKILL'),
  SIGSEGV: signal('SIGSEGV'),
  SIGSTOP: signal('SIGSTOP'),
  SIGTERM: signal('SIGTERM'),
  throw() {
    throw new Error('as intended');
  },
  'exit 0': () => process.exit(0),
  'exit 3': () => process.exit(3),
  loop() {
    for (;;);
  },
  // faults.ts sends it to the launcher, which passes it on.
  async 'SIGTERM of the launcher'() {
    const alive = setInterval(() => {}, 1000); // a listener for a signal does not keep a process alive
    await once(process, 'SIGTERM');
    clearInterval(alive);
  },
  terminate: () => parentPort.postMessage('terminate'),
  none: () => {},
};
const betweenSteps = ['SIGSTOP', 'loop', 'SIGTERM', 'SIGTERM of the launcher']; // so that the others know who it is, and all when
const kLongest = 20; // ms of a step, or so

/** Before a step: has it happen now or in the midst of what follows. */
async function strike() {
  const now = () => {
    writeSync(1, 'NOW\n');
    return ways[way]();
  };
  if (betweenSteps.includes(way)) await now();
  else setTimeout(now, Math.random() * kLongest);
}

/** Numbers that follow from step and pass alone. */
function gradientsOf(step, pass) {
  let state = 1 + step * kPasses + pass;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  return lengths.map((length) => Float32Array.from({ length }, next));
}

async function started(comm, variables) {
  const path = await latestCheckpoint(folder);
  const optimizer = path === undefined ? new Nadam({ global_clipnorm: 1 }) : await Optimizer.load(path, { variables });
  await optimizer.distribute(comm, { shard_state: true, micro_batches: kPasses });
  if (path === undefined) optimizer.build(variables);
  if (comm.rank === 0) console.log(`from step ${optimizer.iterations}`);
  return optimizer;
}

async function train(comm) {
  const variables = lengths.map((length, i) => new Variable(new Float32Array(length).fill(1), { name: `v${i}` }));
  const optimizer = await started(comm, variables);
  const termination = isMainThread ? onTermination(comm) : undefined;
  const isVictim = comm.rank === Number(victim);
  for (let i = optimizer.iterations; i < kSteps; i++) {
    if (isVictim && i === Number(step)) await strike();
    for (let pass = (comm.rank * kPasses) / comm.size; pass < ((comm.rank + 1) * kPasses) / comm.size; pass++)
      await optimizer.apply_async(gradientsOf(i, pass));
    if (await termination?.requested()) {
      await saveCheckpoint(optimizer, comm, folder, { variables: true });
      process.exitCode = 75;
      return `terminated at step ${optimizer.iterations}`;
    }
    if (i % kBetween === kBetween - 1) await saveCheckpoint(optimizer, comm, folder, { variables: true });
  }
  termination?.dispose();
  if (isVictim) await sleep(10 * kLongest); // for what is still to happen
  const hash = createHash('sha256');
  for (const { value } of variables) hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  return `bits ${hash.digest('hex')}`;
}

const join = () => {
  if (!isMainThread) return joinGroup(workerData.handle, workerData.rank, { timeout: kTimeout });
  return connect({ backend, timeout: kTimeout, expectSize: Number(size) });
};

// Nobody listens to errors of workers: they end the process.
function startWorkers(size) {
  const group = new LocalGroup(size);
  for (let rank = 0; rank < size; rank++) {
    const worker = new Worker(new URL(import.meta.url), { workerData: { handle: group.handle, rank, given } });
    group.watch(worker, rank);
    worker.on('message', () => void worker.terminate());
  }
}

async function work() {
  const comm = await join();
  const outcome = await train(comm);
  await comm.close();
  if (comm.rank === 0) console.log(outcome);
}

if (isMainThread && backend === 'local') startWorkers(Number(size));
else await work();
