// One rank of a job of mpi.ts or nccl.ts.
// Usage, under mpirun, or with RANK, WORLD_SIZE and NCCL_ID: node --expose-gc ranks.mjs CASE [OPTIONS of mpiTransport as JSON]
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { allocate, memory } from 'keras-optimizers';

import { mpiTransport } from '../../dist/distributed/mpi.js';
import { ncclTransport } from '../../dist/distributed/nccl.js';
import { addon } from '../../dist/native.js';

const [name, options = '{}'] = process.argv.slice(2);
const sizes = [0, 1, 15, 16, 17, 4095, 1 << 20];
const kHandshake = 64;

/** Bytes of the host: `part` is what a transport gets of them. */
const ofHost = (bytes) => ({
  part: (begin, end) => bytes.subarray(begin, end),
  put: (begin, from) => bytes.set(from, begin),
  get: (begin, end) => bytes.subarray(begin, end),
});

/** Bytes of a GPU. */
function ofDevice(bytes) {
  const memory = new addon.Memory(bytes + 2, 0, 0);
  const host = new Uint16Array(new addon.Memory(bytes + 2).buffer(), 0, (bytes + 2) >> 1);
  const copy = new addon.Memory(bytes + 2);
  return {
    part: (begin, end) => ({ memory, offset: begin, byteLength: end - begin }),
    put(begin, from) {
      new Uint8Array(host.buffer).set(from, begin);
      addon.cuda.write(memory, host);
    },
    get(begin, end) {
      addon.cuda.readNow(memory, copy);
      return new Uint8Array(copy.buffer(), begin, end - begin);
    },
  };
}

const onGpu = process.env.NCCL_ID !== undefined;
const memories = {
  library: (bytes) => ofHost(new Uint8Array(allocate(Math.ceil(bytes / 4) + 1).buffer, 0, bytes)),
  offset: (bytes) => ofHost(new Uint8Array(allocate(Math.ceil(bytes / 4) + 2).buffer, 3, bytes)),
  shared: (bytes) => ofHost(new Uint8Array(new SharedArrayBuffer(bytes))),
  ...(onGpu && { device: ofDevice }),
};
const some = (bytes) => memories.library(bytes).part(0, bytes);

/** What rank `from` sends to rank `to` in its call number `call`. */
const pattern = Buffer.from(Array.from({ length: Math.max(...sizes) + 251 }, (_, i) => i % 251));
const bytesOf = (length, from, to, call) => pattern.subarray((31 * from + 7 * to + 3 * call) % 251).subarray(0, length);
const check = (bytes, from, to, call) =>
  assert.ok(
    bytesOf(bytes.length, from, to, call).equals(bytes),
    `${bytes.length} bytes from rank ${from} to rank ${to}, call ${call}`,
  );
const everyone = 99; // the receiver of what goes to all

/** Starts a collective, and returns what waits for it and looks at what came. */
const begin = {
  async allToAll({ rank, size, transport }, length, make, call) {
    const [send, receive] = [make(size * length), make(size * length)];
    for (let to = 0; to < size; to++) send.put(to * length, bytesOf(length, rank, to, call));
    await transport.allToAll(send.part(0, size * length), receive.part(0, size * length), length);
    for (let from = 0; from < size; from++) check(receive.get(from * length, (from + 1) * length), from, rank, call);
    for (let to = 0; to < size; to++) check(send.get(to * length, (to + 1) * length), rank, to, call);
  },
  async allGather({ rank, size, transport }, length, make, call) {
    const [send, receive] = [make(length), make(size * length)];
    send.put(0, bytesOf(length, rank, everyone, call));
    await transport.allGather(send.part(0, length), receive.part(0, size * length));
    for (let from = 0; from < size; from++)
      check(receive.get(from * length, (from + 1) * length), from, everyone, call);
  },
  async allGatherInPlace({ rank, size, transport }, length, make, call) {
    if (make === memories.shared) return; // a copy of each is no place
    const receive = make(size * length);
    receive.put(rank * length, bytesOf(length, rank, everyone, call));
    await transport.allGather(receive.part(rank * length, (rank + 1) * length), receive.part(0, size * length));
    for (let from = 0; from < size; from++)
      check(receive.get(from * length, (from + 1) * length), from, everyone, call);
  },
  async broadcast({ rank, size, transport }, length, make, call) {
    const root = call % size;
    const bytes = make(length);
    if (rank === root) bytes.put(0, bytesOf(length, root, everyone, call));
    await transport.broadcast(bytes.part(0, length), root);
    check(bytes.get(0, length), root, everyone, call);
  },
  async exchange({ rank, size, transport }, _, __, call) {
    const send = Uint8Array.from(bytesOf(kHandshake, rank, everyone, call));
    const { done, arrived } = transport.exchange(send);
    send.fill(0); // it has been copied
    const came = await done;
    for (let from = 0; from < size; from++) check(came[from].subarray(0, kHandshake), from, everyone, call);
    if (!onGpu) assert.deepEqual(arrived(), new Array(size).fill(true));
  },
};

async function allSizes(t) {
  let call = 0;
  for (const length of sizes)
    for (const make of Object.values(memories))
      for (const one of Object.values(begin)) await one(t, length, make, call++);
  return `${call} collectives`;
}

async function inFlight(t) {
  const kinds = Object.values(begin);
  for (let round = 0; round < 50; round++)
    await Promise.all(
      Array.from({ length: 8 }, (_, i) =>
        kinds[(round + i) % kinds.length](t, 1000 * i, memories.library, 8 * round + i),
      ),
    );
  return '50 times 8 in flight';
}

/** Of a module that reads behind its memory: V8 has a signal for that. */
function trap() {
  // prettier-ignore
  const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 127, 1, 127, 3, 2, 1, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 102, 0, 0, 10, 9, 1, 7, 0,
    32, 0, 40, 2, 0, 11];
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(Uint8Array.from(bytes)));
  assert.throws(() => exports.f(1 << 24), WebAssembly.RuntimeError);
  return 'WebAssembly keeps its bounds';
}

async function latePeer(t) {
  const late = t.size - 1;
  if (t.size === 1) return 'no peer';
  if (t.rank === late) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  const began = performance.now();
  const cpu = process.cpuUsage();
  const { done, arrived } = t.transport.exchange(new Uint8Array(kHandshake));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 10);
  const seen = await sleep(300, undefined).then(arrived);
  await done;
  clearInterval(timer);
  if (t.rank === late) return 'late';
  assert.deepEqual(
    seen,
    Array.from({ length: t.size }, (_, rank) => rank !== late),
  );
  const waited = performance.now() - began;
  const { user, system } = process.cpuUsage(cpu);
  assert.ok(ticks > 0.5 * (waited / 10), `${ticks} ticks of 10 ms in ${waited} ms`);
  assert.ok((user + system) / 1000 < 0.5 * waited, `${(user + system) / 1000} ms of a processor in ${waited} ms`);
  return `${ticks} ticks of 10 ms and ${Math.round((user + system) / 1000)} ms of a processor in ${Math.round(waited)} ms`;
}

/** Bytes by which the process has grown over `count` calls of each kind, after as many that are not counted. */
async function growth(t, count) {
  const send = some(256 * t.size);
  const receive = some(256 * t.size);
  const rounds = async (calls = count) => {
    for (let i = 0; i < calls; i++) {
      await t.transport.exchange(send.subarray(0, kHandshake)).done;
      await t.transport.allToAll(send, receive, 256);
    }
    globalThis.gc();
    await sleep(20); // finalizers
    return [process.memoryUsage.rss(), memory().cpu, process.memoryUsage().heapUsed];
  };
  await rounds(200); // what V8 learns about the code is on its heap
  const [rss, live, heap] = await rounds();
  const [later, still, used] = await rounds();
  assert.ok(used - heap < 1 << 18, `${used - heap} bytes more of V8's heap after ${2 * count} calls`);
  assert.ok(later - rss < 4 << 20, `${later - rss} bytes more after ${2 * count} calls`);
  assert.deepEqual(still, live);
  return `${later - rss} bytes more after ${2 * count} calls`;
}

const code = (expectedCode) => (error) => {
  assert.equal(error.code, expectedCode, error.stack);
  return true;
};

async function refusals({ transport, size }) {
  const few = some(8);
  await assert.rejects(transport.allToAll(few, few, 1 << 20), code('ERR_OPT_LENGTH'));
  await assert.rejects(transport.broadcast(few, size), code('ERR_OPT_CONFIG_RANGE'));
  await assert.rejects(transport.broadcast({ memory: {}, offset: 0, byteLength: 8 }, 0), code('ERR_OPT_ARRAY_TYPE'));
  await assert.rejects(mpiTransport(), code('ERR_COMM_UNAVAILABLE'));
  return 'refused';
}

const opened = async () => {
  const { RANK: rank, WORLD_SIZE: size, NCCL_ID: id } = process.env;
  const transport = onGpu
    ? await ncclTransport({ rank: Number(rank), size: Number(size), id: Buffer.from(id, 'hex'), gpu: 0 })
    : await mpiTransport(JSON.parse(options));
  return { transport, rank: transport.rank, size: transport.size };
};

const forever = (t) => t.transport.exchange(new Uint8Array(kHandshake)).done;

/** Each returns what rank 0 prints. */
const cases = {
  async works() {
    await assert.rejects(mpiTransport({ library: 'libno_such_mpi.so' }), (error) => {
      assert.match(error.message, /libno_such_mpi\.so: .*cannot open shared object file/);
      return code('ERR_COMM_UNAVAILABLE')(error);
    });
    const t = await opened();
    const said = [`${t.transport.describe().version}, ${t.size} ranks`];
    said.push(await allSizes(t), await inFlight(t), await refusals(t));
    said.push(trap(), await latePeer(t));
    await t.transport.close();
    await t.transport.close();
    await assert.rejects(t.transport.broadcast(some(8), 0), code('ERR_COMM_CLOSED'));
    await assert.rejects(mpiTransport(), code('ERR_COMM_UNAVAILABLE'));
    return said.join('; ');
  },
  /** All that needs no MPI. */
  async carries() {
    const t = await opened();
    const said = [t.transport.describe().version, await allSizes(t), await inFlight(t), await growth(t, 200)];
    await t.transport.close();
    await assert.rejects(t.transport.broadcast(some(8), 0), code('ERR_COMM_CLOSED'));
    return said.join('; ');
  },
  /** Rank 0 gives up its calls: they fail, and the others learn it. The last one never came. */
  async givesUp() {
    const t = await opened();
    const last = t.rank === t.size - 1;
    const waiting = last ? [] : [forever(t), t.transport.broadcast(some(1 << 20), 1)];
    const wanted = t.rank === 0 ? 'ERR_COMM_ABORTED' : 'ERR_COMM_PEER_LOST';
    const refused = waiting.map((one) => assert.rejects(one, code(wanted)));
    await sleep(last ? 3000 : 300); // whoever leaves before rank 0 gives up is the one that is lost
    if (t.rank === 0) t.transport.abort(75, 'a test');
    await Promise.all(refused);
    await t.transport.close(true);
    return 'gave up';
  },
  async pieces() {
    const t = await opened();
    const said = await allSizes(t);
    await t.transport.close();
    return said;
  },
  async grows() {
    const t = await opened();
    const said = await growth(t, 5000);
    await t.transport.close();
    return said;
  },
  async inWorker() {
    const worker = new Worker(new URL(import.meta.url), { argv: ['works'], workerData: 'thread' });
    return new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
  },
  // From here on rank 1 does something, while the others wait for it.
  async abort() {
    const t = await opened();
    if (t.rank !== 1) return forever(t);
    await sleep(100);
    t.transport.abort(75, 'a test');
    await assert.rejects(t.transport.broadcast(some(8), 0), code('ERR_COMM_CLOSED'));
    return sleep(60_000);
  },
  async exits() {
    const t = await opened();
    void forever(t);
    if (t.rank === 1) setTimeout(() => process.exit(3), 100);
    return sleep(60_000);
  },
  async throws() {
    const t = await opened();
    if (t.rank !== 1) return forever(t);
    void t.transport.broadcast(some(1 << 20), 0);
    await sleep(100);
    throw new Error('thrown by a test');
  },
  async forgets() {
    const t = await opened();
    await t.transport.broadcast(some(8), 0);
    return 'ends without close';
  },
  async terminates() {
    const t = { rank: Number(process.env.OMPI_COMM_WORLD_RANK ?? process.env.PMI_RANK) };
    if (t.rank !== 1) {
      await opened();
      return sleep(60_000);
    }
    const worker = new Worker(new URL(import.meta.url), { argv: ['waits'], workerData: 'thread' });
    await new Promise((resolve, reject) => worker.once('message', resolve).on('error', reject));
    await worker.terminate();
    globalThis.gc();
    await sleep(100); // nothing is written, nothing crashes
    process.exit(5);
  },
  async waits() {
    const t = await opened();
    const waiting = [forever(t), t.transport.allGather(some(1 << 20), some(t.size << 20))];
    parentPort.postMessage('waits');
    return Promise.all(waiting);
  },
  async leaves() {
    const t = await opened();
    if (t.rank !== 1) return sleep(60_000);
    const waiting = [forever(t), t.transport.broadcast(some(1 << 20), 0)];
    await sleep(100);
    await t.transport.close(true);
    for (const one of waiting) await assert.rejects(one, code('ERR_COMM_ABORTED'));
    process.exit(6);
  },
};

const said = await cases[name]();
if (!isMainThread && workerData === 'thread') parentPort.postMessage(said);
else console.log(said);
