// Workers that step on a GPU, sync and async, and are killed in the middle of it. Prints what is left of their memory.
import { Worker, isMainThread, parentPort } from 'node:worker_threads';

import { memory, Nadam, Variable } from '../../dist/index.js';

const train = async () => {
  const variables = [7, 5000, 40_000].map(
    (length) => new Variable(new Float32Array(length).fill(1), { device: 'cuda' }),
  );
  const optimizer = new Nadam({ global_clipnorm: 1 });
  optimizer.build(variables);
  for (let step = 0; ; step++) {
    for (const { gradient, length } of variables) gradient.assign(new Float32Array(gradient.length).fill(0.5));
    if (step % 2 === 0) optimizer.apply();
    else await optimizer.apply_async();
    if (step % 5 === 0) await variables[1].read();
    if (step === 2) parentPort.postMessage('steps');
  }
};

if (!isMainThread) await train();
else {
  const killed = Number(process.argv[2]);
  new Variable([1], { device: 'cuda' }).dispose(); // so that memory() knows the GPU
  for (let i = 0; i < killed; i++) {
    const workers = [0, 1].map(() => new Worker(new URL(import.meta.url)));
    await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
    await new Promise((resolve) => setTimeout(resolve, i % 7));
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
  const weights = new Variable([1, 2], { device: 'cuda' });
  new Nadam().apply([[1, 1]], [weights]);
  const works = (await weights.read()).every((x) => x < 2);
  weights.dispose();
  globalThis.gc?.();
  await new Promise((resolve) => setTimeout(resolve, 50));
  console.log(JSON.stringify({ killed: 2 * killed, works, left: memory()['cuda:0'] }));
}
