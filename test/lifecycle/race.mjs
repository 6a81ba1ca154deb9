// Two workers train the same shared array at once: a race on purpose, which the thread sanitizer must report.
import { isMainThread, Worker, workerData } from 'node:worker_threads';

import { SGD } from 'keras-optimizers';

const length = 10_000;
const steps = 100;

if (isMainThread) {
  const shared = new Float32Array(new SharedArrayBuffer(4 * length));
  const arrived = new Int32Array(new SharedArrayBuffer(4));
  for (let i = 0; i < 2; i++) new Worker(new URL(import.meta.url), { workerData: { shared, arrived } });
} else {
  const { shared, arrived } = workerData;
  const optimizer = new SGD();
  const gradients = [new Float32Array(length).fill(1)];
  Atomics.add(arrived, 0, 1);
  while (Atomics.load(arrived, 0) < 2);
  for (let step = 0; step < steps; step++) optimizer.apply(gradients, [shared]);
}
