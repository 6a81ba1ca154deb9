// exits.mjs in a worker: prints what the worker ends with; the main thread goes on and takes a step of its own.
// Usage: node worker-exits.mjs STATE exit|throw|natural|terminate
import { Worker } from 'node:worker_threads';

import { SGD } from 'keras-optimizers';

const [state, end] = process.argv.slice(2);
const worker = new Worker(new URL('exits.mjs', import.meta.url), { workerData: [state, end], stdout: true });
let error = 'no error';
worker.on('error', ({ message }) => (error = message));
if (end === 'terminate') setTimeout(() => void worker.terminate(), 50 + 200 * Math.random());
const code = await new Promise((resolve) => worker.on('exit', resolve));

const array = new Float32Array(100_000).fill(1);
new SGD({ learning_rate: 1 }).apply([new Float32Array(100_000).fill(3)], [array]);
console.log('worker', code, error, 'main', array[99_999]);
