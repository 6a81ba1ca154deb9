// What MPI's transport takes from Node, each call awaited, beside bench/distributed/collectives.c. Prints the same lines.
// Run after a build: mpirun -n 2 node bench/distributed/transport.mjs
import { allocate } from 'keras-optimizers';

import { mpiTransport } from '../../dist/distributed/mpi.js';

const kLargest = 16 << 20;
const transport = await mpiTransport();
const { rank, size } = transport;
const bytesOf = () => new Uint8Array(allocate(kLargest / 4).buffer).fill(1);
const [from, to] = [bytesOf(), bytesOf()];
const handshake = new Uint8Array(64);

const collectives = {
  exchange: () => transport.exchange(handshake).done,
  allToAll: (bytes) => transport.allToAll(from.subarray(0, bytes), to.subarray(0, bytes), bytes / size),
  allGather: (bytes) => transport.allGather(from.subarray(0, bytes / size), to.subarray(0, bytes)),
  broadcast: (bytes) => transport.broadcast(to.subarray(0, bytes), 0),
};

async function measure(name, bytes) {
  const runs = bytes >= 1 << 20 ? 15 : bytes >= 1 << 16 ? 200 : 2000;
  const times = [];
  for (let i = 0; i < runs; i++) {
    const began = performance.now();
    await collectives[name](bytes);
    times.push((performance.now() - began) * 1000);
  }
  times.sort((a, b) => a - b);
  if (rank === 0) console.log(`${name} ${bytes} ${times[runs >> 1].toFixed(1)} ${times[0].toFixed(1)}`);
}

for (let bytes = 64; bytes <= kLargest; bytes *= bytes < 65536 ? 32 : 16)
  for (const name of Object.keys(collectives)) if (name !== 'exchange' || bytes === 64) await measure(name, bytes);
await transport.close();
