// The communicator over ranks in one thread, whose messages come late, never, or not at all as agreed.
import { assert } from 'chai';

import { Communicator, type CommunicatorOptions, type Data, type TypedArray } from '../lib/distributed/index.ts';
import { SelfTransport } from '../lib/distributed/self.ts';
import { additionsOf, leavesOf, subtreesOf } from '../lib/distributed/tree.ts';
import { allocate, memory, Variable } from '../lib/index.ts';
import { folded, subtreesIn, type Floats } from './distributed/folding.ts';
import type { Transport } from '../lib/distributed/transport.ts';
import { MemoryGroup, type Faults } from './distributed/memory_group.ts';
import type { CodedError } from './errors.ts';
import { random } from './random.ts';

const ranksOf = (size: number, faults?: Faults, options?: CommunicatorOptions) => {
  const group = new MemoryGroup(size, faults);
  return group.transports().map((transport) => new Communicator(transport, { timeout: 2000, ...options }));
};

const alone = () => [new Communicator(new SelfTransport())];
/** Runs on every rank and waits for all. */
const onAll = <T>(ranks: readonly Communicator[], run: (rank: Communicator) => Promise<T>) =>
  Promise.all(ranks.map(run));
const closeAll = (ranks: readonly Communicator[]) => onAll(ranks, (rank) => rank.close());
/** After a failure of one of them. */
const leaveAll = (ranks: readonly Communicator[]) => Promise.allSettled(ranks.map((rank) => rank.close()));

/** What every rank rejects with; undefined where it does not. */
async function errorsOf(
  ranks: readonly Communicator[],
  run: (rank: Communicator) => Promise<unknown>,
): Promise<(CodedError | undefined)[]> {
  const results = await Promise.allSettled(ranks.map(run));
  return results.map((result) => (result.status === 'rejected' ? (result.reason as CodedError) : undefined));
}
const codesOf = async (ranks: readonly Communicator[], run: (rank: Communicator) => Promise<unknown>) =>
  (await errorsOf(ranks, run)).map((error) => error?.code);

const worlds: readonly [string, () => Communicator[]][] = [
  ['self', alone],
  ...[1, 2, 3, 4].map((size): [string, () => Communicator[]] => [`${size} ranks`, () => ranksOf(size)]),
];
const lengths = [0, 1, 15, 16, 17, 4095];
const pairsOf = <A, B>(as: readonly A[], bs: readonly B[]) => as.flatMap((a) => bs.map((b): [A, B] => [a, b]));

describe('distributed: collectives', () => {
  for (const [name, world] of worlds)
    it(`adds, scatters, gathers and broadcasts exactly over ${name}`, async () => {
      const ranks = world();
      const [{ size }] = ranks as [Communicator];
      const sumAt = (i: number) => (size * (size + 1)) / 2 + size * (i % 7);
      for (const length of lengths)
        for (const Type of [Float32Array, Float64Array])
          await onAll(ranks, async (comm) => {
            const own = () => new Type(length).map((_, i) => comm.rank + 1 + (i % 7));
            const sum = own();
            await comm.allReduce(sum);
            assert.deepEqual(
              sum,
              new Type(length).map((_, i) => sumAt(i)),
            );
            const full = new Type(length * size).map((_, i) => comm.rank + 1 + (i % 7));
            const shard = new Type(length);
            await comm.reduceScatter(full, shard);
            assert.deepEqual(
              shard,
              new Type(length).map((_, i) => sumAt(comm.rank * length + i)),
            );
            await comm.allGather(shard, full);
            assert.deepEqual(
              full,
              new Type(length * size).map((_, i) => sumAt(i)),
            );
            const root = size - 1;
            await comm.broadcast(full.subarray(0, length).fill(comm.rank), root);
            assert.deepEqual(full.subarray(0, length), new Type(length).fill(root));
          });
      await closeAll(ranks);
    });

  it('moves all element types, in all kinds of memory', async () => {
    const ranks = ranksOf(3);
    const make: readonly ((length: number) => TypedArray)[] = [
      (n) => new Int8Array(n),
      (n) => new Uint8ClampedArray(n),
      (n) => new Uint16Array(n),
      (n) => new Int32Array(n),
      (n) => new BigInt64Array(n),
      (n) => new Float32Array(new SharedArrayBuffer(4 * n)),
      (n) => new Float64Array(new ArrayBuffer(8 * n + 8), 8),
      (n) => allocate(n),
    ];
    for (const array of make)
      await onAll(ranks, async (comm) => {
        const [shard, full] = [array(5), array(15)];
        new Uint8Array(shard.buffer, shard.byteOffset, shard.byteLength).fill(comm.rank + 1);
        await comm.allGather(shard, full);
        const bytes = new Uint8Array(full.buffer, full.byteOffset, full.byteLength);
        assert.deepEqual(
          bytes,
          bytes.map((_, i) => 1 + Math.floor((3 * i) / bytes.length)),
        );
        await comm.broadcast(shard, 1);
        assert.equal(new Uint8Array(shard.buffer, shard.byteOffset)[0], 2);
      });
    await closeAll(ranks);
  });

  it('adds variables and their gradients in place', async () => {
    const ranks = ranksOf(2);
    await onAll(ranks, async (comm) => {
      const variable = new Variable([1, 2, 3].map((x) => x + comm.rank));
      variable.gradient.fill(comm.rank + 1);
      const done = [comm.allReduce(variable), comm.allReduce(variable.gradient)];
      assert.throws(() => variable.dispose(), /in use/);
      await Promise.all(done);
      assert.deepEqual([...variable.value, ...variable.gradient], [3, 5, 7, 3, 3, 3]);
      variable.dispose();
    });
    await closeAll(ranks);
  });

  it('scatters and gathers the own part of the whole in place', async () => {
    const ranks = ranksOf(3);
    await onAll(ranks, async (comm) => {
      const full = allocate(30).fill(1);
      const own = full.subarray(comm.rank * 10, comm.rank * 10 + 10);
      await comm.reduceScatter(full, own);
      await comm.allGather(own, full);
      assert.deepEqual(full, allocate(30).fill(3));
    });
    await closeAll(ranks);
  });

  it('keeps the order of calls that nobody waits for', async () => {
    const ranks = ranksOf(3, (from, to, call) => (from * 7 + to * 3 + call * 5) % 4);
    await onAll(ranks, async (comm) => {
      const arrays = Array.from({ length: 12 }, (_, i) => new Float32Array(i * 300).fill(comm.rank + i));
      await Promise.all(arrays.map((array) => comm.allReduce(array)));
      arrays.forEach((array, i) => assert.deepEqual(array, new Float32Array(i * 300).fill(3 + 3 * i)));
    });
    await closeAll(ranks);
  });

  it('adds in pieces what is larger than one', async () => {
    const ranks = ranksOf(3);
    const length = 351_003; // elements of a shard; three of them are more than 4 MiB
    const part = (comm: Communicator) => new Float32Array(3 * length).fill(comm.rank + 1);
    await onAll(ranks, async (comm) => {
      const [sum, full, shard] = [part(comm), part(comm), new Float32Array(length)];
      sum[length] = comm.rank;
      await Promise.all([comm.allReduce(sum), comm.reduceScatter(full, shard)]);
      const wrong = [sum, shard].map((array) => array.findIndex((x) => x !== 6));
      assert.deepEqual([...wrong, sum[length]], [length, -1, 3]);
      assert.equal(
        sum.subarray(length + 1).findIndex((x) => x !== 6),
        -1,
      );
    });
    await closeAll(ranks);
  });

  it('sends small sums with the handshake, and nothing else', async () => {
    const silent = (transport: Transport): Transport =>
      Object.assign(transport, { allToAll: () => assert.fail(), allGather: () => assert.fail() });
    const ranks = new MemoryGroup(3).transports().map((transport) => new Communicator(silent(transport)));
    const most = 2048; // float32 numbers
    await onAll(ranks, async (comm) => {
      const data = new Float32Array(most).fill(comm.rank + 1);
      await comm.allReduce(data);
      assert.deepEqual(data, new Float32Array(most).fill(6));
    });
    const errors = await errorsOf(ranks, (comm) => comm.allReduce(new Float32Array(most + 1)));
    assert.match(String(errors[0]), /assert.fail/); // larger ones do not
    await leaveAll(ranks);
  });

  it('lets go of all memory', async () => {
    const before = memory().cpu;
    const ranks = ranksOf(2);
    await onAll(ranks, (comm) => comm.allReduce(new Float32Array(100_000)));
    assert.isAbove(memory().cpu, before);
    await closeAll(ranks);
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 10));
    assert.isAtMost(memory().cpu, before);
  });
});

describe('distributed: the order of sums', () => {
  it('is that of the tree, whoever has how many of its leaves', () => {
    for (let leaves = 1; leaves <= 48; leaves++)
      for (let size = 1; size <= leaves; size++) {
        if (leaves % size !== 0) continue;
        const nodes = Array.from({ length: size }, (_, rank) => subtreesOf(leaves, leavesOf(leaves, rank, size)));
        if (Number.isInteger(Math.log2(leaves / size))) assert.equal(nodes.flat().length, size);
        const words = nodes.flat().map(({ begin, end }) => spelled(begin, end));
        for (const [to, from] of additionsOf(nodes.flat(), leaves)) words[to] = `(${words[to]}+${words[from]})`;
        assert.equal(words[0], spelled(0, leaves));
      }
  });

  for (const Type of [Float32Array, Float64Array])
    it(`gives the bits of one process for every divisor of the number of micro-batches, ${Type.name}`, async () => {
      const next = random(Type.name);
      for (const [length, count] of pairsOf([37, 2501], [1, 2, 3, 4, 5, 6, 8, 12])) {
        // with the handshake, and without
        const leaves = Array.from({ length: count }, () =>
          new Type(length).map(() => (next() - 0.5) * 2 ** (20 * next())),
        );
        const expected = folded<Floats>(leaves);
        for (let size = 1; size <= Math.min(count, 6); size++) {
          if (count % size !== 0) continue;
          const ranks = size === 1 ? alone() : ranksOf(size);
          await onAll(ranks, async (comm) => {
            const [sum, ...further] = subtreesIn<Floats>(leaves, leavesOf(count, comm.rank, size)) as [Floats];
            await comm.allReduce(sum, { leaves: count, further });
            assert.deepEqual(sum, expected, `${count} over ${size}`);
          });
          await closeAll(ranks);
        }
      }
    });

  it('counts denormals as zero in float32, and not in float64', async () => {
    const ranks = ranksOf(2);
    await onAll(ranks, async (comm) => {
      const [single, double] = [new Float32Array(3).fill(1e-40), new Float64Array(3).fill(1e-310)];
      await Promise.all([comm.allReduce(single), comm.allReduce(double)]);
      assert.deepEqual([...single, ...double], [0, 0, 0, 2e-310, 2e-310, 2e-310]);
    });
    await closeAll(ranks);
  });
});

/** The sum of leaves in words. */
function spelled(begin: number, end: number): string {
  let level = Array.from({ length: end - begin }, (_, i) => String(begin + i));
  while (level.length > 1)
    level = Array.from({ length: Math.ceil(level.length / 2) }, (_, i) => {
      const [a, b] = level.slice(2 * i, 2 * i + 2);
      return b === undefined ? String(a) : `(${a}+${b})`;
    });
  return level[0] ?? '';
}

describe('distributed: what does not fit together', () => {
  type Call = (comm: Communicator) => Promise<unknown>;
  const sum: Call = (comm) => comm.allReduce(new Float32Array(1000));
  const differing: readonly [string, Call, RegExp][] = [
    ['length', (comm) => comm.allReduce(new Float32Array(1001)), /allReduce of 1001 float32/],
    ['length beyond what goes with it', (comm) => comm.allReduce(new Float32Array(3000)), /allReduce of 3000 float32/],
    ['dtype', (comm) => comm.allReduce(new Float64Array(1000)), /allReduce of 1000 float64/],
    ['operation', (comm) => comm.broadcast(new Float32Array(1000)), /broadcast of 1000 float32/],
    ['layout', (comm) => comm.allReduce(new Float32Array(1000), { layout: 7n }), /with layout 0000000000000007/],
    [
      'number of summands',
      (comm) => comm.allReduce(new Float32Array(1000), { leaves: 2 * comm.size }),
      /with 6 summands/,
    ],
    ['end', (comm) => comm.close(), /: close/],
    ['failure', (comm) => comm.fail(new Error('mine')), /failed before it/],
  ];
  for (const [what, call, message] of differing)
    it(`is told to all ranks: ${what}`, async () => {
      for (const one of [0, 1, 2]) {
        const ranks = ranksOf(3);
        const errors = await errorsOf(ranks, (comm) => (comm.rank === one ? call(comm) : sum(comm)));
        errors.forEach((error, rank) => {
          if (what === 'failure' && rank === one) return assert.equal(error?.message, 'mine');
          assert.equal(error?.code, 'ERR_COMM_MISMATCH', String(error));
          assert.match(String(error?.message), message);
          assert.deepInclude(error as object, { rank, suspects: [one], ...(rank === one ? {} : { op: 'allReduce' }) });
        });
        if (what === 'end') continue;
        await onAll(ranks, sum); // and they go on
        await closeAll(ranks);
      }
    });

  const refused: readonly [string, Call][] = [
    ['ERR_OPT_ARRAY_TYPE', (comm) => comm.allReduce(new Int32Array(4))],
    ['ERR_OPT_ARRAY_TYPE', (comm) => comm.broadcast([1, 2] as unknown as Data)],
    ['ERR_OPT_ARRAY_TYPE', (comm) => comm.allGather(new Float32Array(2), new Float64Array(4))],
    ['ERR_OPT_LENGTH', (comm) => comm.allGather(new Float32Array(2), new Float32Array(5))],
    ['ERR_OPT_LENGTH', (comm) => comm.allReduce(new Float32Array(4), { further: [new Float32Array(4)] })],
    ['ERR_OPT_CONFIG_RANGE', (comm) => comm.allReduce(new Float32Array(4), { leaves: 3 })],
    ['ERR_OPT_CONFIG_RANGE', (comm) => comm.broadcast(new Float32Array(4), 2)],
    ['ERR_OPT_CONFIG_RANGE', (comm) => comm.barrier({ layout: -1n })],
    ['ERR_OPT_DETACHED', (comm) => comm.broadcast(detach(new Float32Array(4)))],
    [
      'ERR_OPT_DETACHED',
      (comm) => {
        const array = new Float32Array(4);
        const done = comm.broadcast(array);
        detach(array);
        return done;
      },
    ],
    ['ERR_OPT_RESIZABLE', (comm) => comm.broadcast(new Uint8Array(resizable()))],
    [
      'ERR_OPT_ALIAS',
      (comm) => {
        const full = new Float32Array(4);
        return comm.allGather(full.subarray(1, 3), full);
      },
    ],
  ];
  function detach(array: Float32Array<ArrayBuffer>): Float32Array {
    structuredClone(array, { transfer: [array.buffer] });
    return array;
  }
  const resizable = () => Reflect.construct(ArrayBuffer, [4, { maxByteLength: 8 }]) as ArrayBuffer;
  it('rejects with the error of a bad argument on its rank, and tells the others', async () => {
    const ranks = ranksOf(2);
    for (const [code, call] of refused)
      for (const one of [0, 1]) {
        const codes = await codesOf(ranks, (comm) => (comm.rank === one ? call(comm) : comm.barrier()));
        assert.deepEqual(codes, one === 0 ? [code, 'ERR_COMM_MISMATCH'] : ['ERR_COMM_MISMATCH', code]);
      }
    await onAll(ranks, (comm) => comm.barrier());
    await closeAll(ranks);
  });
});

describe('distributed: ranks that do not come', () => {
  it('are named when the time is over, by all who wait', async () => {
    const ranks = ranksOf(3, undefined, { timeout: 100 });
    const begun = performance.now();
    const errors = await errorsOf(ranks.slice(0, 2), (comm) => comm.allReduce(new Float32Array(10)));
    assert.isBelow(performance.now() - begun, 1000);
    const first = errors.find((error) => error?.code === 'ERR_COMM_TIMEOUT');
    assert.match(
      String(first?.message),
      /allReduce \(number 1, 40 bytes\) timed out after \d+ ms: rank 2 did not arrive/,
    );
    assert.deepInclude(first as object, { op: 'allReduce', sequence: 1, bytes: 40, suspects: [2] });
    assert.isAtLeast((first as unknown as { waited: number }).waited, 90);
    assert.deepEqual(await codesOf(ranks, (comm) => comm.barrier()), Array(3).fill('ERR_COMM_ABORTED'));
    assert.equal(ranks[0]?.failure?.code, errors[0]?.code);
    await leaveAll(ranks);
  });

  it('never leave a wrong sum or a wait for ever, whatever message is lost', async () => {
    for (let lost = 0; lost < 12; lost++) {
      const [from, to] = [lost % 3, Math.floor(lost / 3) % 3];
      const faults: Faults = (a, b, call) => (a === from && b === to && call === 2 + (lost % 3) ? null : 0);
      const ranks = ranksOf(3, faults, { timeout: 60 });
      const arrays = ranks.map(() => new Float32Array(6000).fill(1));
      const results = await Promise.allSettled(
        ranks.flatMap((comm, i) => [comm.barrier(), comm.barrier(), comm.allReduce(arrays[i] as Float32Array)]),
      );
      assert.include(
        results.map(({ status }) => status),
        'rejected',
      );
      ranks.forEach((_, i) => {
        if (results[3 * i + 2]?.status === 'fulfilled') assert.deepEqual(arrays[i], new Float32Array(6000).fill(3));
      });
      await leaveAll(ranks);
    }
  });

  it('are waited for while they are late, and while the event loop is blocked', async () => {
    const ranks = ranksOf(2, (from) => (from === 1 ? 60 : 0), { timeout: 200 });
    await onAll(ranks, (comm) => comm.allReduce(new Float32Array(10)));
    const [first, second] = ranks as [Communicator, Communicator];
    const waiting = first.barrier();
    const until = performance.now() + 400;
    while (performance.now() < until);
    await Promise.all([waiting, second.barrier()]);
    await leaveAll(ranks);
  });

  it('may abort: all that waits and all later calls reject', async () => {
    const ranks = ranksOf(3);
    const waiting = errorsOf(ranks.slice(0, 2), (comm) => comm.allReduce(new Float32Array(4)));
    ranks[2]?.abort(new Error('no data'));
    for (const error of await waiting) {
      assert.equal(error?.code, 'ERR_COMM_ABORTED');
      assert.match(String(error?.message), /rank 2 has aborted: no data/);
    }
    assert.deepEqual(await codesOf(ranks, (comm) => comm.barrier()), Array(3).fill('ERR_COMM_ABORTED'));
    await leaveAll(ranks);
  });

  it('break the communicator when their data goes away before its end', async () => {
    const ranks = ranksOf(2);
    const array = new Float32Array(3_000_000);
    const results = errorsOf(ranks, (comm) => comm.allReduce(comm.rank === 0 ? array : new Float32Array(3_000_000)));
    await new Promise((resolve) => setTimeout(resolve, 1)); // the first piece is on its way
    structuredClone(array, { transfer: [array.buffer] });
    const [first, second] = await results;
    assert.equal(first?.code, 'ERR_COMM_PEER_LOST', String(first));
    assert.match(String(first?.message), /detached/);
    assert.match(String(second?.code), /ERR_COMM_(ABORTED|PEER_LOST)/);
    await leaveAll(ranks);
  });

  it('have closed: twice is once, and nothing comes after', async () => {
    const ranks = ranksOf(2);
    await onAll(ranks, (comm) => Promise.all([comm.barrier(), comm.close(), comm.close()]));
    assert.deepEqual(await codesOf(ranks, (comm) => comm.barrier()), Array(2).fill('ERR_COMM_CLOSED'));
  });

  it('expect options that are some', () => {
    for (const options of [{ timeout: 0 }, { timeout: '1' }, { onFailure: 'exit' }])
      assert.throws(() => ranksOf(1, undefined, options as CommunicatorOptions), /expects (timeout|onFailure) to be/);
  });
});
