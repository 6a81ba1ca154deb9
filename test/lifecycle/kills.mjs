// Terminates workers at random moments: while they load the addon, build optimizers, and in the middle of asynchronous steps.
// Usage: node --expose-gc kills.mjs [KILLS]; prints how many were in a step, what memory is left, and that the main thread goes on.
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

import { memory, Nadam, Variable } from 'keras-optimizers';

import { train } from './train.mjs';

const kills = Number(process.argv[2] ?? 500);
const atOnce = 4;

/** Steps without end: a large variable, and every few steps a new optimizer of many small ones. */
async function work() {
  const variable = new Variable(new Float32Array(1_000_000));
  const optimizer = new Nadam({ global_clipnorm: 1 });
  const few = Array.from({ length: 200 }, () => new Variable([1, 2, 3]));
  parentPort.postMessage('building');
  optimizer.build([variable]);
  variable.gradient.fill(0.001);
  const copied = new Float32Array(1_000_000).fill(0.001);
  for (let step = 0; ; step++) {
    const steps = [optimizer.apply_async(), optimizer.apply_async([copied])];
    if (step === 0) parentPort.postMessage('stepping');
    await Promise.all(steps);
    const short = new Nadam();
    void short.apply_async(
      few.map(() => [1, 1, 1]),
      few,
    );
    await short.idle();
    short.dispose();
  }
}

/** Whether the worker had begun to step when it was killed. */
async function kill() {
  const worker = new Worker(new URL(import.meta.url));
  let stepping = false;
  const awaited = Math.random() < 0.8 ? 'stepping' : 'building';
  await new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.on('message', (stage) => {
      stepping ||= stage === 'stepping';
      if (stage === awaited) resolve();
    });
    if (Math.random() < 0.05) setTimeout(resolve, 60 * Math.random());
  });
  const end = performance.now() + 12 * Math.random();
  while (performance.now() < end) await setImmediate();
  const exit = once(worker, 'exit');
  await worker.terminate();
  await exit;
  return stepping;
}

async function killAll() {
  let left = kills;
  let stepping = 0;
  const killer = async () => {
    while (left-- > 0) if (await kill()) stepping++;
  };
  await Promise.all(Array.from({ length: atOnce }, killer));
  return stepping;
}

/** Bytes of library memory that are alive when everything that can be collected is. */
async function settled() {
  for (let turn = 0; turn < 20; turn++) {
    globalThis.gc();
    await setImmediate();
  }
  return memory().cpu;
}

if (isMainThread) {
  const expected = await train(false);
  const before = await settled();
  const stepping = await killAll();
  const after = await settled();
  const works = (await train(true)) === expected && (await train(false)) === expected;
  console.log(JSON.stringify({ kills, stepping, left: after - before, works }));
} else await work();
