// One rank of the grid: a process that its launcher has started, or a worker of a local group.
import { isMainThread, workerData } from 'node:worker_threads';

import { connect, joinGroup } from 'keras-optimizers/distributed';

import { grid } from './grid.mjs';

const join = () => {
  if (!isMainThread) return joinGroup(workerData.handle, workerData.rank, { timeout: 60_000 });
  return connect({ backend: process.argv[2], expectSize: Number(process.argv[3]), timeout: 60_000 });
};

await grid(await join());
