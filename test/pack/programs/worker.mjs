import { Worker } from 'node:worker_threads';

for (let i = 0; i < 2; i++)
  await new Promise((resolve) => new Worker(new URL('esm.mjs', import.meta.url)).once('exit', resolve));
