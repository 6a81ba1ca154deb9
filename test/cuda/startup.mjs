// What the addon says of the GPU, to two workers that ask at the same time and then twice to the main thread, and the result of a
// training on the CPU in each of the threads. Prints JSON.
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { train } from '../lifecycle/train.mjs';

const workers = 2;
const { cuda } = createRequire(import.meta.url)(process.env.KERAS_OPTIMIZERS_ADDON);

function waitForAll(arrived) {
  if (Atomics.add(arrived, 0, 1) + 1 === workers) Atomics.notify(arrived, 0);
  for (let count; (count = Atomics.load(arrived, 0)) < workers;) Atomics.wait(arrived, 0, count, 1000);
}

if (isMainThread) {
  const arrived = new Int32Array(new SharedArrayBuffer(4));
  const threads = Array.from({ length: workers }, () => new Worker(new URL(import.meta.url), { workerData: arrived }));
  const found = (await Promise.all(threads.map((thread) => once(thread, 'message')))).flat();
  for (let time = 0; time < 2; time++) found.push({ startup: cuda.startup(), trained: await train(time === 0) });
  console.log(JSON.stringify(found));
} else {
  waitForAll(workerData);
  parentPort.postMessage({ startup: cuda.startup(), trained: await train(false) });
}
