// Ranks that are threads: several in this one, and in workers that end in every way.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

import { assert } from 'chai';

import { joinGroup, LocalGroup, type Communicator } from '../lib/distributed/index.ts';
import { rejection, thrown, type CodedError } from './errors.ts';

type How = 'sums' | 'exit' | 'throw' | 'end' | 'hang' | 'wait';

/** Rank 0 in this thread, and the others in workers, which have joined; `timeout` is that of all. */
async function started(size: number, how: How, timeout: number, lengths: readonly number[] = []) {
  const group = new LocalGroup(size);
  const workers = Array.from({ length: size - 1 }, (_, i) => {
    const workerData = { handle: group.handle, rank: i + 1, how, lengths, options: { timeout } };
    const url = new URL('distributed/worker.mjs', import.meta.url);
    const worker = new Worker(url, { workerData, execArgv: [], stderr: true });
    worker.on('error', () => {}); // the communicator says it
    return worker;
  });
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  return { group, workers, comm: joinGroup(group.handle, 0, { timeout }) };
}

const joined = (size: number): Communicator[] => {
  const { handle } = new LocalGroup(size);
  return Array.from({ length: size }, (_, rank) => joinGroup(handle, rank, { timeout: 5000 }));
};
const onAll = <T>(ranks: readonly Communicator[], run: (rank: Communicator) => Promise<T>) =>
  Promise.all(ranks.map(run));

describe('distributed: local groups', () => {
  for (const size of [1, 2, 3])
    it(`add, scatter, gather and broadcast exactly in one thread, ${size}`, async () => {
      const ranks = joined(size);
      const sumAt = (i: number) => (size * (size + 1)) / 2 + size * (i % 7);
      for (const length of [0, 1, 15, 16, 17, 4095, ...(size === 2 ? [1_100_003] : [])])
        await onAll(ranks, async (comm) => {
          const data = new Float32Array(length).map((_, i) => comm.rank + 1 + (i % 7));
          await comm.allReduce(data);
          assert.equal(
            data.findIndex((x, i) => x !== sumAt(i)),
            -1,
          );
          if (length > 10_000) return;
          const full = new Float64Array(length * size).map((_, i) => comm.rank + 1 + (i % 7));
          const shard = new Float64Array(length);
          await comm.reduceScatter(full, shard);
          await comm.allGather(shard, full);
          assert.deepEqual(
            full,
            full.map((_, i) => sumAt(i)),
          );
          await comm.broadcast(full.fill(comm.rank), size - 1);
          assert.deepEqual(full, new Float64Array(length * size).fill(size - 1));
        });
      await onAll(ranks, (comm) => comm.close());
    });

  it('move more than a window', async () => {
    const ranks = joined(2);
    await onAll(ranks, async (comm) => {
      const full = new Uint32Array(2_400_000);
      const shard = full.slice(0, 1_200_000).map((_, i) => 2 * i + comm.rank);
      await comm.allGather(shard, full);
      const wrong = full.findIndex((x, i) => x !== 2 * (i % 1_200_000) + Number(i >= 1_200_000));
      await comm.broadcast(shard, 1);
      assert.deepEqual([wrong, shard.findIndex((x, i) => x !== 2 * i + 1)], [-1, -1]);
    });
    await onAll(ranks, (comm) => comm.close());
  });

  it('add exactly over workers', async () => {
    const lengths = [0, 1, 17, 4095, 300_001];
    const { comm, group, workers } = await started(3, 'sums', 20_000, lengths);
    workers.forEach((worker, i) => group.watch(worker, i + 1));
    const answers = workers.map((worker) => once(worker, 'message'));
    await comm.barrier();
    for (const length of lengths)
      for (const Type of [Float32Array, Float64Array]) {
        const data = new Type(length).map((_, i) => 1 + (i % 7));
        await comm.allReduce(data);
        assert.equal(
          data.findIndex((x, i) => x !== 6 + 3 * (i % 7)),
          -1,
        );
      }
    await comm.close();
    assert.deepEqual(await Promise.all(answers), [[[]], [[]]]);
    await Promise.all(workers.map((worker) => once(worker, 'exit')));
    assert.isUndefined(await rejection(() => comm.close())); // and nobody has broken it
  });

  const ends: readonly [How, RegExp][] = [
    ['exit', /rank 1 has exited/],
    ['throw', /rank 1 has exited/],
    ['end', /rank 1 has exited/],
  ];
  for (const [how, message] of ends)
    it(`tell a rank that waits of a worker's end: ${how}`, async () => {
      const { comm } = await started(2, how, 20_000);
      await comm.barrier();
      const error = (await rejection(() => comm.allReduce(new Float32Array(10)))) as CodedError;
      assert.equal(error.code, 'ERR_COMM_PEER_LOST', String(error));
      assert.match(error.message, message);
      assert.deepInclude(error, { op: 'allReduce', sequence: 2, suspects: [1] });
      assert.equal((await rejection(() => comm.barrier()))?.code, 'ERR_COMM_ABORTED');
      await comm.close();
    });

  it('tell of a worker that is terminated, if it is watched', async () => {
    const { comm, group, workers } = await started(2, 'wait', 20_000);
    const [worker] = workers as [Worker];
    group.watch(worker, 1);
    await comm.barrier();
    void worker.terminate();
    const error = await rejection(() => comm.allReduce(new Float32Array(10)));
    assert.equal(error?.code, 'ERR_COMM_PEER_LOST');
    assert.match(String(error?.message), /rank 1 has exited with code 1/);
    await comm.close();
  });

  it('name a worker that hangs when the time is over, while the event loop goes on', async () => {
    const { comm, workers } = await started(2, 'hang', 400);
    await comm.barrier();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 10);
    const error = (await rejection(() => comm.allReduce(new Float32Array(10)))) as CodedError;
    clearInterval(timer);
    await Promise.all(workers.map((worker) => worker.terminate()));
    assert.equal(error.code, 'ERR_COMM_TIMEOUT');
    assert.match(error.message, /rank 1 did not arrive/);
    assert.isAbove(ticks, 10);
    await comm.close();
  });

  it('end for all when one aborts, or the group', async () => {
    for (const abort of ['rank', 'group']) {
      const group = new LocalGroup(2);
      const ranks = [0, 1].map((rank) => joinGroup(group.handle, rank));
      const waiting = rejection(() => (ranks[0] as Communicator).barrier());
      if (abort === 'rank') ranks[1]?.abort('enough');
      else group.abort('enough');
      const error = await waiting;
      assert.equal(error?.code, 'ERR_COMM_ABORTED');
      assert.match(String(error?.message), /aborted: enough/);
      await Promise.allSettled(ranks.map((comm) => comm.close()));
    }
  });

  it('expect a handle, and each rank once', () => {
    const group = new LocalGroup(2);
    joinGroup(group.handle, 0);
    const errors: readonly [string, () => unknown][] = [
      ['ERR_COMM_UNAVAILABLE', () => joinGroup(group.handle, 0)],
      ['ERR_OPT_CONFIG_RANGE', () => joinGroup(group.handle, 2)],
      ['ERR_OPT_CONFIG_RANGE', () => joinGroup(group.handle, 0.5)],
      ['ERR_OPT_CONFIG_TYPE', () => joinGroup({} as never, 0)],
      ['ERR_OPT_CONFIG_TYPE', () => joinGroup(null as never, 0)],
      ['ERR_OPT_CONFIG_RANGE', () => new LocalGroup(0)],
      ['ERR_OPT_CONFIG_RANGE', () => group.watch(undefined as never, 2)],
    ];
    for (const [code, action] of errors) assert.equal(thrown(action)?.code, code);
  });
});
