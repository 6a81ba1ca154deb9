// Rank 1 of two: works for a while, then exits or hangs; or goes on until it is terminated.
import { parentPort, workerData } from 'node:worker_threads';

import { joinGroup } from 'keras-optimizers/distributed';

const { handle, way, after } = workerData;
const comm = joinGroup(handle, 1);
parentPort.postMessage('joined');
for (let i = 0; way === 'terminate' || i < after; i++) await comm.allReduce(new Float32Array(20_000).fill(1));
if (way === 'exit') process.exit(0);
for (;;);
