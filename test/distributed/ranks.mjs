// One rank of a job of mpi.ts. Usage, under mpirun: node --expose-gc ranks.mjs CASE [OPTIONS of mpiTransport as JSON]
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { allocate, memory } from 'keras-optimizers';

import { mpiTransport } from '../../dist/distributed/mpi.js';

const [name, options = '{}'] = process.argv.slice(2);
const sizes = [0, 1, 15, 16, 17, 4095, 1 << 20];
const kHandshake = 64;

/** Bytes in library memory, or such as other threads see. */
const memories = {
  library: (bytes) => new Uint8Array(allocate(Math.ceil(bytes / 4) + 1).buffer, 0, bytes),
  offset: (bytes) => new Uint8Array(allocate(Math.ceil(bytes / 4) + 2).buffer, 3, bytes),
  shared: (bytes) => new Uint8Array(new SharedArrayBuffer(bytes)),
};

/** What rank `from` sends to rank `to` in its call number `call`. */
const pattern = Buffer.from(Array.from({ length: Math.max(...sizes) + 251 }, (_, i) => i % 251));
const bytesOf = (length, from, to, call) => pattern.subarray((31 * from + 7 * to + 3 * call) % 251).subarray(0, length);
const write = (bytes, from, to, call) => bytes.set(bytesOf(bytes.length, from, to, call));
const expected = (bytes, from, to, call) =>
  assert.ok(
    bytesOf(bytes.length, from, to, call).equals(bytes),
    `${bytes.length} bytes from rank ${from} to rank ${to}, call ${call}`,
  );
const part = (bytes, length, i) => bytes.subarray(i * length, (i + 1) * length);
const everyone = 99; // the receiver of what goes to all

/** Starts a collective, and returns what waits for it and looks at what came. */
const begin = {
  allToAll({ rank, size, transport }, length, make, call) {
    const [send, receive] = [make(size * length), make(size * length)];
    for (let to = 0; to < size; to++) write(part(send, length, to), rank, to, call);
    const done = transport.allToAll(send, receive, length);
    return done.then(() => {
      for (let from = 0; from < size; from++) expected(part(receive, length, from), from, rank, call);
      for (let to = 0; to < size; to++) expected(part(send, length, to), rank, to, call);
    });
  },
  allGather({ rank, size, transport }, length, make, call) {
    const [send, receive] = [make(length), make(size * length)];
    write(send, rank, everyone, call);
    return transport.allGather(send, receive).then(() => {
      for (let from = 0; from < size; from++) expected(part(receive, length, from), from, everyone, call);
    });
  },
  allGatherInPlace({ rank, size, transport }, length, make, call) {
    if (make === memories.shared) return Promise.resolve(); // a copy of each is no place
    const receive = make(size * length);
    write(part(receive, length, rank), rank, everyone, call);
    return transport.allGather(part(receive, length, rank), receive).then(() => {
      for (let from = 0; from < size; from++) expected(part(receive, length, from), from, everyone, call);
    });
  },
  broadcast({ rank, size, transport }, length, make, call) {
    const root = call % size;
    const bytes = make(length);
    if (rank === root) write(bytes, root, everyone, call);
    return transport.broadcast(bytes, root).then(() => expected(bytes, root, everyone, call));
  },
  async exchange({ rank, size, transport }, _, __, call) {
    const send = new Uint8Array(kHandshake);
    write(send, rank, everyone, call);
    const { done, arrived } = transport.exchange(send);
    send.fill(0); // it has been copied
    const came = await done;
    for (let from = 0; from < size; from++) expected(part(came, kHandshake, from), from, everyone, call);
    assert.deepEqual(arrived(), new Array(size).fill(true));
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
  const send = memories.library(256 * t.size);
  const receive = memories.library(256 * t.size);
  const rounds = async () => {
    for (let i = 0; i < count; i++) {
      await t.transport.exchange(send).done;
      await t.transport.allToAll(send, receive, 256);
    }
    globalThis.gc();
    await sleep(20); // finalizers
    return [process.memoryUsage.rss(), memory().cpu];
  };
  const [rss, live] = await rounds();
  const [later, still] = await rounds();
  assert.ok(later - rss < 4 << 20, `grew by ${later - rss} bytes over ${2 * count} calls`);
  assert.deepEqual(still, live);
  return `${later - rss} bytes more after ${2 * count} calls`;
}

const code = (expectedCode) => (error) => {
  assert.equal(error.code, expectedCode, error.stack);
  return true;
};

async function refusals({ transport, size }) {
  const few = memories.library(8);
  await assert.rejects(transport.allToAll(few, few, 1 << 20), code('ERR_OPT_LENGTH'));
  await assert.rejects(transport.broadcast(few, size), code('ERR_OPT_CONFIG_RANGE'));
  await assert.rejects(transport.broadcast({ memory: {}, offset: 0, byteLength: 8 }, 0), code('ERR_OPT_ARRAY_TYPE'));
  await assert.rejects(mpiTransport(), code('ERR_COMM_UNAVAILABLE'));
  return 'refused';
}

const opened = async () => {
  const transport = await mpiTransport(JSON.parse(options));
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
    said.push(await latePeer(t));
    await t.transport.close();
    await t.transport.close();
    await assert.rejects(t.transport.broadcast(memories.library(8), 0), code('ERR_COMM_CLOSED'));
    await assert.rejects(mpiTransport(), code('ERR_COMM_UNAVAILABLE'));
    return said.join('; ');
  },
  async pieces() {
    const t = await opened();
    const said = await allSizes(t);
    await t.transport.close();
    return said;
  },
  async grows() {
    const t = await opened();
    const said = await growth(t, 2500);
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
    await assert.rejects(t.transport.broadcast(memories.library(8), 0), code('ERR_COMM_CLOSED'));
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
    void t.transport.broadcast(memories.library(1 << 20), 0);
    await sleep(100);
    throw new Error('thrown by a test');
  },
  async forgets() {
    const t = await opened();
    await t.transport.broadcast(memories.library(8), 0);
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
    const waiting = [forever(t), t.transport.allGather(memories.library(1 << 20), memories.library(t.size << 20))];
    parentPort.postMessage('waits');
    return Promise.all(waiting);
  },
  async leaves() {
    const t = await opened();
    if (t.rank !== 1) return sleep(60_000);
    const waiting = [forever(t), t.transport.broadcast(memories.library(1 << 20), 0)];
    await sleep(100);
    await t.transport.close(true);
    for (const one of waiting) await assert.rejects(one, code('ERR_COMM_ABORTED'));
    process.exit(6);
  },
};

const said = await cases[name]();
if (!isMainThread && workerData === 'thread') parentPort.postMessage(said);
else console.log(said);
