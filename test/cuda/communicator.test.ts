// Variables on a GPU in collectives: by way of the host, and where the transport moves the memory of the GPU.
import { assert } from 'chai';

import { Communicator } from '../../lib/distributed/communicator.ts';
import type { Data } from '../../lib/distributed/data.ts';
import type { Transport } from '../../lib/distributed/transport.ts';
import { devices, Variable, type DeviceArray } from '../../lib/index.ts';
import { MemoryGroup } from '../distributed/memory_group.ts';
import { DeviceTransport } from './device_transport.ts';

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
