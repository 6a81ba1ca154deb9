// A rank of a local group in a worker. `how`: what it does.
import { parentPort, workerData } from 'node:worker_threads';

import { joinGroup } from 'keras-optimizers/distributed';

const { handle, rank, how, options } = workerData;
const comm = joinGroup(handle, rank, options);
parentPort.postMessage('joined');

const waysOn = {
  // as many sums as asked for, of these lengths
  sums: async ({ lengths }) => {
    const wrong = [];
    for (const length of lengths)
      for (const Type of [Float32Array, Float64Array]) {
        const data = new Type(length).map((_, i) => comm.rank + 1 + (i % 7));
        await comm.allReduce(data);
        const expected = (i) => (comm.size * (comm.size + 1)) / 2 + comm.size * (i % 7);
        if (data.some((x, i) => x !== expected(i))) wrong.push(length);
      }
    parentPort.postMessage(wrong);
    await comm.close();
  },
  exit: () => process.exit(3),
  throw: () => {
    throw new Error('no more');
  },
  end: () => {}, // without a close
  hang: () => {
    for (;;);
  },
  wait: () => setInterval(() => {}, 1000),
};

await comm.barrier();
await waysOn[how](workerData);
