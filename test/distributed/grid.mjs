// All that has to hold of a communicator of any backend, at sizes that take a while. Every rank calls it; throws where something is wrong.
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';

import { allocate, memory, Variable } from 'keras-optimizers';
import { CommunicatorError } from 'keras-optimizers/distributed';

const lengths = [0, 1, 15, 16, 17, 4095, 2 ** 20, 2 ** 24];
const kLarge = 2 ** 20; // elements: above, one dtype is enough

/** Reproducible numbers in [0, 1), the same on all ranks: a linear congruential generator. */
function random(seed) {
  let state = seed;
  return () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
}

const isAll = (array, expected) => {
  for (let i = 0; i < array.length; i++) if (array[i] !== expected(i)) return false;
  return true;
};

const kinds = {
  plain: (Type, length) => new Type(length),
  shared: (Type, length) => new Type(new SharedArrayBuffer(length * Type.BYTES_PER_ELEMENT)),
  library: (Type, length) => allocate(length, Type === Float32Array ? 'float32' : 'float64'),
};

async function exactSums(comm) {
  const { rank, size } = comm;
  const own = (i) => rank + 1 + (i % 7);
  const summed = (i) => (size * (size + 1)) / 2 + size * (i % 7);
  for (const length of lengths)
    for (const Type of length > kLarge ? [Float32Array] : [Float32Array, Float64Array])
      for (const [kind, make] of Object.entries(kinds)) {
        const name = `${Type.name} ${kind} ${length}`;
        const data = make(Type, length).map((_, i) => own(i));
        await comm.allReduce(data);
        assert(isAll(data, summed), `allReduce ${name}`);
        const part = Math.floor(length / size);
        const [full, shard] = [make(Type, part * size).map((_, i) => own(i)), make(Type, part)];
        await comm.reduceScatter(full, shard);
        assert(
          isAll(shard, (i) => summed(rank * part + i)),
          `reduceScatter ${name}`,
        );
        await comm.allGather(shard, full);
        assert(isAll(full, summed), `allGather ${name}`);
        await comm.broadcast(full.fill(rank), size - 1);
        assert(
          isAll(full, () => size - 1),
          `broadcast ${name}`,
        );
      }
  return `${lengths.length} lengths`;
}

async function variables(comm) {
  const { rank, size } = comm;
  const variable = new Variable(new Float32Array(1000).fill(rank + 1));
  variable.gradient.fill(2);
  await Promise.all([comm.allReduce(variable), comm.allReduce(variable.gradient)]);
  assert(isAll(variable.value, () => (size * (size + 1)) / 2) && isAll(variable.gradient, () => 2 * size));
  variable.dispose();
  return 'in place';
}

/** The sum of arrays in the order of native/reduce.h's foldPairwise. */
function folded(arrays) {
  let level = arrays;
  while (level.length > 1)
    level = Array.from({ length: Math.ceil(level.length / 2) }, (_, i) => {
      const [a, b] = level.slice(2 * i, 2 * i + 2);
      return b === undefined ? a : a.map((x, j) => x + b[j]);
    });
  return level[0];
}

// Of one leaf a rank, random numbers, in one bucket and in several pieces.
async function bits(comm) {
  const next = random(7);
  for (const length of [1, 100, 5000, 1_500_000]) {
    const leaves = Array.from({ length: comm.size }, () =>
      new Float32Array(length).map(() => (next() - 0.5) * 2 ** (9 * next())),
    );
    const sum = leaves[comm.rank].slice();
    await comm.allReduce(sum);
    const expected = folded(leaves);
    assert(
      isAll(sum, (i) => expected[i]),
      `bits of ${length}`,
    );
  }
  return 'of the tree';
}

async function rejection(promise) {
  const result = await promise.catch((error) => error);
  return result instanceof Error ? result : undefined;
}

// In every case one rank calls something else than the others.
async function mismatches(comm, cases = 200) {
  if (comm.size === 1) return 'one rank has none';
  const next = random(3);
  for (let i = 0; i < cases; i++) {
    const [other, way, length] = [
      Math.floor(next() * comm.size),
      Math.floor(next() * 7),
      1 + Math.floor(next() * 9000),
    ];
    const sum = () => comm.allReduce(new Float32Array(length));
    const ways = [
      () => comm.allReduce(new Float32Array(length + 1 + (i % 100))),
      () => comm.allReduce(new Float64Array(length)),
      () => comm.broadcast(new Float32Array(length)),
      () => comm.barrier(),
      () => comm.allGather(new Float32Array(length), new Float32Array(length * comm.size)),
      () => comm.allReduce(new Float32Array(length), { layout: BigInt(i + 1) }),
      () => comm.fail(new CommunicatorError('ERR_COMM_MISMATCH', 'mine')),
    ];
    const begun = performance.now();
    const error = await rejection(comm.rank === other ? ways[way]() : sum());
    assert.equal(error?.code, 'ERR_COMM_MISMATCH', `case ${i}, way ${way}: ${error}`);
    assert(performance.now() - begun < 5000, `case ${i} took too long`);
  }
  await comm.barrier();
  return `${cases} cases`;
}

async function growth(comm, calls = 10_000) {
  if (comm.size > availableParallelism()) return 'not measured: ranks that share cores take minutes to it';
  const data = [new Float32Array(100), allocate(3000), new Float64Array(17)];
  const measured = async (count) => {
    for (let i = 0; i < count; i++) await comm.allReduce(data[i % data.length].fill(1));
    globalThis.gc?.();
    return { heap: process.memoryUsage().heapUsed, library: memory().cpu, resident: process.memoryUsage().rss };
  };
  const before = await measured(calls); // as many: code that is compiled meanwhile is no growth
  const after = await measured(calls);
  const grown = Object.fromEntries(Object.keys(before).map((name) => [name, (after[name] - before[name]) / calls]));
  assert(grown.library <= 0, `library memory grows by ${grown.library} bytes a call`);
  assert(globalThis.gc === undefined || grown.heap < 40, `the heap grows by ${grown.heap} bytes a call`);
  return `${calls} calls, bytes a call: ${JSON.stringify(grown)}`;
}

async function eventLoop(comm) {
  if (comm.size === 1) return 'one rank never waits';
  await comm.barrier();
  if (comm.rank === 1) await new Promise((resolve) => setTimeout(resolve, 1000));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  await comm.barrier();
  clearInterval(timer);
  assert(comm.rank !== 0 || ticks >= 50, `${ticks} ticks`);
  return `${ticks} ticks of 100 while it waits`;
}

const parts = { exactSums, variables, bits, mismatches, growth, eventLoop };

/** Rank 0 prints what has been found. */
export async function grid(comm) {
  for (const [name, part] of Object.entries(parts)) {
    const begun = performance.now();
    const found = await part(comm);
    const seconds = ((performance.now() - begun) / 1000).toFixed(1);
    if (comm.rank === 0) console.log(`${comm.kind}, ${comm.size} ranks: ${name} ${found} (${seconds} s)`);
  }
  await comm.close();
}
