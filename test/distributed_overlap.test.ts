// What a rank does while a bucket is being summed: it shows in which numbers a step has read when.
import { setImmediate } from 'node:timers/promises';

import { assert } from 'chai';

import { SGD, Variable } from '../lib/index.ts';
import { Communicator } from '../lib/distributed/communicator.ts';
import type { Exchange, Transport } from '../lib/distributed/transport.ts';
import { MemoryGroup } from './distributed/memory_group.ts';
import { lasting } from './replicas.ts';

const kBucket = 4992; // elements: 20,000 bytes in whole lines of both ranks

/** A transport whose next exchange after `hold` does not end before `release`. */
class Held {
  readonly transport: Transport;
  #gate: Promise<void> | undefined;
  #open = () => {};
  #begun = () => {};

  constructor(transport: Transport) {
    const exchange = transport.exchange.bind(transport);
    const held = (send: Uint8Array): Exchange => {
      const under = exchange(send);
      const gate = this.#gate;
      this.#gate = undefined;
      this.#begun();
      const done = under.done.then(async (messages) => (await gate, messages));
      return { done, arrived: () => under.arrived() };
    };
    this.transport = transport;
    transport.exchange = held;
  }

  /** Resolves when that exchange has begun. */
  hold(): Promise<void> {
    this.#gate = new Promise((resolve) => (this.#open = resolve));
    return new Promise((resolve) => (this.#begun = resolve));
  }

  release(): void {
    this.#open();
  }
}

describe('a distributed step', () => {
  for (const shard_state of [false, true])
    it(`packs the next bucket, and no other, while one is summed: shard_state ${shard_state}`, async () => {
      const held = new MemoryGroup(2).transports().map((transport) => new Held(transport));
      const ranks = await Promise.all(
        held.map(async ({ transport }) => {
          const variable = new Variable(new Float32Array(4 * 16_384));
          const optimizer = new SGD({ learning_rate: 1 });
          optimizer.build([variable]);
          await optimizer.distribute(new Communicator(transport), { shard_state, bucket_bytes: 20_000 });
          return { variable, optimizer, gradient: lasting(new Float32Array(4 * 16_384).fill(1)) };
        }),
      );
      const [first, second] = ranks as [(typeof ranks)[0], (typeof ranks)[0]];
      await Promise.all(ranks.map(({ optimizer, gradient }) => optimizer.apply_async([gradient]))); // the rooms are there
      const begun = held[0]?.hold();
      const steps = ranks.map(({ optimizer, gradient }) => optimizer.apply_async([gradient]));
      await begun; // the first bucket is on its way, and does not arrive
      for (let i = 0; i < 10; i++) await setImmediate();
      first.gradient.fill(10);
      held[0]?.release();
      await Promise.all(steps);
      // Every rank has half of a bucket in a row of its own, or all of it side by side.
      const rows = shard_state ? [0, 2 * 16_384] : [0];
      const packed = (2 * kBucket) / rows.length; // of two buckets, in each row
      const expected = new Float32Array(4 * 16_384).fill(-2 - 11);
      for (const row of rows) expected.fill(-2 - 2, row, row + packed);
      for (const { variable } of [first, second]) assert.deepEqual(variable.value, expected);
    });
});
