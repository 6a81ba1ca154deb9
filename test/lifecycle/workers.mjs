// Eight workers at once, each taking synchronous and asynchronous steps with a number of threads of its own.
// Prints how many of the workers' results are the main thread's.
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { getNumThreads, setNumThreads } from 'keras-optimizers';

import { train } from './train.mjs';

const workers = 8;
const rounds = 3;

async function results() {
  const list = [];
  for (let round = 0; round < rounds; round++) {
    setNumThreads(1 + ((workerData + round) % 4));
    list.push(await train(round % 2 === 0), await train(round % 2 === 1));
  }
  return list;
}

const resultsOf = (index) =>
  new Promise((resolve, reject) => {
    new Worker(new URL(import.meta.url), { workerData: index }).once('message', resolve).once('error', reject);
  });

if (isMainThread) {
  const before = getNumThreads();
  const expected = await train(false);
  const found = (await Promise.all(Array.from({ length: workers }, (_, i) => resultsOf(i)))).flat();
  setNumThreads(before);
  const equal = found.filter((result) => result === expected).length;
  console.log(equal, 'of', workers * rounds * 2, 'equal, main', (await train(true)) === expected);
} else parentPort.postMessage(await results());
