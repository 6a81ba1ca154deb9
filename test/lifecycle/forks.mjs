// The library in processes that child_process.fork and cluster make, while the parent's threads are in use.
// Usage: node forks.mjs fork|cluster; prints how many children have the parent's result.
import { fork } from 'node:child_process';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { train } from './train.mjs';

const [how] = process.argv.slice(2);
const start = {
  fork: () => fork(fileURLToPath(import.meta.url), ['child']),
  cluster: () => cluster.fork(),
};

async function resultOf(child) {
  const [[result], [code]] = await Promise.all([once(child, 'message'), once(child, 'exit')]);
  return `${result} ${code}`;
}

if (how === 'child' || cluster.isWorker) {
  process.send(await train(true));
  process.disconnect();
} else {
  const busy = train(true, 50);
  const results = await Promise.all(Array.from({ length: 3 }, () => resultOf(start[how]())));
  await busy;
  const expected = await train(false);
  console.log(results.filter((result) => result === `${expected} 0`).length, 'of', results.length);
}
