// One process of a job of main.ts, which its launcher, or nobody, has started. The first one prints its result as the last line.
// Usage: tsx rank.ts OPTIMIZER SHARDED SIZE TASK
import { connect } from 'keras-optimizers/distributed';

import type { Task } from './options.ts';
import { train } from './training.ts';

const [name = '', sharded, size, task = '{}'] = process.argv.slice(2);
const comm = await connect({ expectSize: Number(size) });
const result = await train(comm, name, sharded === 'true', JSON.parse(task) as Task);
await comm.close();
if (comm.rank === 0) console.log(JSON.stringify(result));
