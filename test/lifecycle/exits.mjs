// Ends the process (or worker) in one of four ways while the library is in one of four states.
// Usage: node exits.mjs idle|sync|running|waiting exit|throw|SIGTERM|natural; prints the iterations when it ends.
import { isMainThread, workerData } from 'node:worker_threads';

import { Nadam, Variable } from 'keras-optimizers';

const [state, end] = isMainThread ? process.argv.slice(2) : workerData;
const optimizer = new Nadam();
const large = state === 'running' || state === 'waiting';
const variable = new Variable(new Float32Array(large ? 16_000_000 : 200_000));

/** Milliseconds of a step, the second one: the first touches memory. */
function stepTime() {
  optimizer.apply([variable.gradient], [variable]);
  const start = performance.now();
  optimizer.apply([variable.gradient], [variable]);
  return performance.now() - start;
}

const sleep = (milliseconds) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);

if (state === 'idle') optimizer.build([variable]);
if (state === 'sync') stepTime();
if (large) {
  const time = stepTime();
  void optimizer.apply_async();
  if (state === 'waiting') void optimizer.apply_async();
  sleep(time / 4);
}

process.on('exit', () => console.log('iterations', optimizer.iterations, 'at', Date.now()));
if (end === 'exit') process.exit(7);
if (end === 'throw') throw new Error('thrown in the middle');
if (end === 'SIGTERM') {
  process.kill(process.pid, 'SIGTERM');
  setInterval(() => {}, 1000);
}
