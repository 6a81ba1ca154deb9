// Variables on a GPU in collectives: by way of the host, and where the transport moves the memory of the GPU.
import { assert } from 'chai';

import { allocated } from '../../lib/arrays.ts';
import { Communicator } from '../../lib/distributed/communicator.ts';
import type { Data } from '../../lib/distributed/data.ts';
import type { Bytes, DeviceBytes, Transport } from '../../lib/distributed/transport.ts';
import { devices, Variable, type DeviceArray } from '../../lib/index.ts';
import { addon } from '../../lib/native.ts';
import { MemoryGroup } from '../distributed/memory_group.ts';

/** Ranks of one thread whose transports take memory of the first GPU, as NCCL's does. */
class DeviceTransport implements Transport {
  readonly kind = 'nccl';
  readonly device = 0;
  readonly endsJob = false;
  readonly rank: number;
  readonly size: number;
  readonly #inner: Transport;

  constructor(inner: Transport) {
    this.#inner = inner;
    ({ rank: this.rank, size: this.size } = inner);
  }

  exchange(send: Uint8Array) {
    return this.#inner.exchange(send);
  }

  allToAll(send: Bytes, receive: Bytes, partBytes: number): Promise<void> {
    return moved(receive, (to) => this.#inner.allToAll(copied(send), to, partBytes));
  }

  allGather(send: Bytes, receive: Bytes): Promise<void> {
    return moved(receive, (to) => this.#inner.allGather(copied(send), to));
  }

  broadcast(bytes: Bytes, root: number): Promise<void> {
    return moved(bytes, (to) => this.#inner.broadcast(to, root));
  }

  abort(exitCode: number, reason: string): void {
    this.#inner.abort(exitCode, reason);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

const borrowed = ({ memory, offset, byteLength }: DeviceBytes) =>
  addon.cuda.borrow(0, memory.address + BigInt(offset), byteLength);

/** What lies on the GPU, or on the host. */
function copied(bytes: Bytes): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes;
  const { memory, array } = allocated('uint16', bytes.byteLength / 2);
  addon.cuda.readNow(borrowed(bytes), memory);
  return new Uint8Array(array.buffer, 0, bytes.byteLength);
}

async function moved(to: Bytes, move: (host: Uint8Array) => Promise<void>): Promise<void> {
  const host = copied(to);
  await move(host);
  if (!(to instanceof Uint8Array)) addon.cuda.write(borrowed(to), new Uint16Array(host.buffer, 0, host.length / 2));
}

type OnDevice = Variable<DeviceArray> & Data;
const variable = (length: number, first: number, dtype: 'float32' | 'float64') =>
  new Variable(
    Array.from({ length }, (_, i) => first + (i % 5)),
    { device: 'cuda', dtype },
  ) as unknown as OnDevice;

(devices().unusable === null ? describe : describe.skip)('distributed: variables on a GPU', () => {
  for (const [name, wrap] of [
    ['by way of the host', (transport: Transport) => transport],
    ['in place', (transport: Transport) => new DeviceTransport(transport)],
  ] as const)
    for (const dtype of ['float32', 'float64'] as const)
      it(`are added, scattered, gathered and sent ${name}, ${dtype}`, async () => {
        const ranks = new MemoryGroup(2).transports().map((transport) => new Communicator(wrap(transport)));
        for (const length of [1, 17, 5000, 300_000])
          await Promise.all(
            ranks.map(async (comm) => {
              const [sum, full] = [variable(length, comm.rank, dtype), variable(2 * length, comm.rank, dtype)];
              const shard = variable(length, 0, dtype);
              await Promise.all([comm.allReduce(sum), comm.reduceScatter(full, shard), comm.allGather(shard, full)]);
              for (const found of [await sum.read(), await full.read()])
                assert.equal(
                  found.findIndex((x, i) => x !== 1 + 2 * (i % 5)),
                  -1,
                );
              await comm.broadcast(shard, 1);
              assert.equal((await shard.read())[0], 1 + 2 * (length % 5));
              const host = new Float32Array(length).fill(1);
              await comm.allReduce(host);
              assert.equal(
                host.findIndex((x) => x !== 2),
                -1,
              );
              for (const one of [sum, full, shard]) one.dispose();
            }),
          );
        await Promise.all(ranks.map((comm) => comm.close()));
      });

  it('have gradients that are added', async () => {
    const ranks = new MemoryGroup(2).transports().map((transport) => new Communicator(transport));
    await Promise.all(
      ranks.map(async (comm) => {
        const { gradient } = variable(3, 0, 'float32');
        gradient.assign([1, 2, comm.rank]);
        await comm.allReduce(gradient);
        assert.deepEqual([...(await gradient.read())], [2, 4, 1]);
        await comm.close();
      }),
    );
  });
});
