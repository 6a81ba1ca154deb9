// What sums and steps take on one rank of a job of run.ts. Rank 0 prints a line of JSON for each:
//   { what: 'allReduce', bytes, us }                                   awaited, of float32 in library memory
//   { what: 'step', mode, parameters, ms, sent, state }                of AdamW on 8 tensors; bytes that a rank sends, and keeps as state
// Usage, under mpirun, after a build: node rank.mjs JSON, with { sums: [bytes, ...], steps: [parameters, ...] }
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';

import { AdamW, allocate, Variable } from 'keras-optimizers';

import { Communicator } from '../../dist/distributed/communicator.js';
import { mpiTransport } from '../../dist/distributed/mpi.js';

const { sums, steps } = JSON.parse(process.argv[2]);
const kTensors = 8;
const transport = await mpiTransport();
let sent = 0; // bytes, to other ranks

/** The transport, with what it sends counted. */
const counted = new Proxy(transport, {
  get(target, name) {
    const value = Reflect.get(target, name, target);
    if (typeof value !== 'function') return value;
    return (...given) => {
      const of = { exchange: given[0]?.byteLength, allToAll: given[2], allGather: given[0]?.byteLength, broadcast: 0 };
      sent += (of[name] ?? 0) * (target.size - 1);
      return value.apply(target, given);
    };
  },
});
const comm = new Communicator(counted);
const print = (line) => comm.rank === 0 && console.log(JSON.stringify(line));
const median = (list) => list.toSorted((a, b) => a - b)[list.length >> 1];

/** Median milliseconds. */
async function timed(count, act) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await act();
    times.push(performance.now() - began);
  }
  return median(times);
}

async function sum(bytes) {
  const data = allocate(bytes / 4).fill(comm.rank + 1);
  await comm.allReduce(data);
  assert(data.every((x) => x === (comm.size * (comm.size + 1)) / 2));
  const count = bytes >= 1 << 20 ? 15 : bytes >= 1 << 16 ? 100 : 1000;
  await timed(count, () => comm.allReduce(data)); // warms up
  print({ what: 'allReduce', bytes, us: 1000 * (await timed(count, () => comm.allReduce(data))) });
}

const modes = {
  alone: undefined,
  replicated: { shard_state: false },
  sharded: { shard_state: true },
};

/** The bits of the variables after the steps. */
async function step(mode, parameters) {
  const tensors = Array.from({ length: kTensors }, () =>
    Float32Array.from({ length: parameters / kTensors }, Math.sin),
  );
  const variables = tensors.map((array) => new Variable(array));
  const optimizer = new AdamW();
  if (modes[mode]) await optimizer.distribute(comm, { reduction: 'mean', ...modes[mode] });
  optimizer.build(variables);
  variables.forEach(({ gradient, value }) => gradient.set(value));
  const count = Math.max(5, Math.min(200, Math.round(2e7 / parameters)));
  await timed(3, () => optimizer.apply_async());
  const before = sent;
  const ms = await timed(count, () => optimizer.apply_async());
  const perStep = (sent - before) / count;
  const state = optimizer.variables.reduce((all, { value }) => all + value.byteLength, 0);
  const hash = createHash('sha256');
  for (const { value } of variables) hash.update(value);
  print({ what: 'step', mode, parameters, ms, sent: perStep, state });
  for (const variable of variables) variable.dispose();
  optimizer.dispose?.();
  return hash.digest('hex');
}

for (const bytes of sums) await sum(bytes);
for (const parameters of steps) {
  const bits = [];
  for (const mode of Object.keys(modes)) bits.push(await step(mode, parameters));
  assert.equal(new Set(bits.slice(1)).size, 1, 'replicated and sharded differ');
}
await comm.close();
