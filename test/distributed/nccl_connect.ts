// `connect({ backend: 'nccl' })` in several processes, with a library of NCCL's functions on the host (test/native/fake_nccl.cpp) and
// emulated GPUs: however the ranks find each other, and whatever goes wrong. Run by npm run test:nccl, which builds that addon.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { launchers, missing, runJob, type Ended } from '../../bench/distributed/launchers.ts';
import { devices } from '../../lib/index.ts';
import { fakeNccl } from './fake_nccl.ts';

const script = fileURLToPath(new URL('nccl_rank.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'nccl-'));
const kLimit = 120_000;

type Environment = Readonly<Record<string, string>>;

function runRank(environment: Environment, args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [script, ...args], { env: { ...process.env, ...environment } });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (printed += String(text)));
  const timer = setTimeout(() => child.kill('SIGKILL'), kLimit);
  return new Promise((resolve) => {
    child.on('close', (code) => (clearTimeout(timer), resolve({ code, printed })));
  });
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** How ranks without MPI find each other: options of connect, and what their environment says. */
const stores = {
  tcp: async () => ({
    options: { store: 'tcp' },
    environment: { MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()) },
  }),
  directory: () => ({ options: { store: { directory: join(folder, 'store') } }, environment: {} as Environment }),
};

interface Job {
  readonly store: keyof typeof stores;
  readonly size?: number;
  readonly timeout?: number;
  readonly environment?: Environment;
}

/** Runs ranks to their ends; what each of them printed. */
async function run(
  name: string,
  { store, size = 2, timeout = 60_000, environment = {} }: Job,
): Promise<readonly string[]> {
  const found = await stores[store]();
  const args = [name, JSON.stringify({ ...found.options, timeout })];
  const ranks = await Promise.all(
    Array.from({ length: size }, (_, rank) =>
      runRank({ ...found.environment, RANK: String(rank), WORLD_SIZE: String(size), ...environment }, args),
    ),
  );
  for (const { code, printed } of ranks) assert.equal(code, 0, printed);
  return ranks.map(({ printed }) => printed.trim());
}

const say = (what: string, found: string) =>
  console.log(`ok   ${what}: ${found.replaceAll('\n', ' | ').slice(0, 300)}`);

async function works(): Promise<void> {
  for (const [store, size] of [
    ['tcp', 2],
    ['directory', 3],
  ] as const)
    say(`${store}, ${size} ranks`, (await run('works', { store, size })).join(' | '));
}

/** By MPI, which ends the job where something is lost. */
async function mpi(): Promise<void> {
  for (const launcher of launchers) {
    const reason = missing(launcher);
    if (reason !== undefined) {
      console.log(`not run with ${launcher.name}: ${reason}`);
      continue;
    }
    const job = (name: string, options: object = {}) =>
      runJob(launcher, 2, [script, name, JSON.stringify({ store: 'mpi', ...options })], kLimit);
    const good = await job('works');
    assert.equal(good.code, 0, good.printed);
    say(`${launcher.name}, 2 ranks`, good.printed.trim());
    process.env.FAKE_NCCL_HANG = 'ncclGroupEnd:1';
    const ended = await job('fails', { timeout: 3000 });
    assert.equal(ended.code, 75, ended.printed);
    assert.match(
      ended.printed,
      /keras-optimizers: ERR_COMM_TIMEOUT rank \d: allReduce \(number 1, 20000 bytes\) timed out/,
    );
    const thrown = await job('fails', { timeout: 3000, onFailure: 'throw' });
    assert.match(
      thrown.printed,
      /rank ERR_COMM_TIMEOUT rank \d: allReduce \(number 1, .*all ranks arrived, their data did not/,
    );
    delete process.env.FAKE_NCCL_HANG;
    say(`${launcher.name}, a sum that never ends`, `exit code ${ended.code}`);
    process.env.FAKE_NCCL_FAIL = 'ncclCommInitRankConfig:1';
    const refused = await job('starts');
    delete process.env.FAKE_NCCL_FAIL;
    assert.match(
      refused.printed,
      /rank ERR_COMM_UNAVAILABLE ncclCommInitRankConfig failed: unhandled cuda error \(of the fake\)/,
    );
    say(`${launcher.name}, no start`, refused.printed.trim());
  }
}

const kFails: readonly (Omit<Job, 'store'> & {
  readonly name: string;
  readonly what: string;
  readonly says: readonly RegExp[];
})[] = [
  {
    what: 'a sum that never ends',
    name: 'fails',
    timeout: 3000,
    environment: { FAKE_NCCL_HANG: 'ncclGroupEnd:1' },
    says: Array.from(
      { length: 2 },
      () =>
        /^rank (ERR_COMM_TIMEOUT rank \d: allReduce \(number 1, 20000 bytes\) timed out after \d+ ms: all ranks arrived, their data did not|ERR_COMM_PEER_LOST rank \d: allReduce \(number 1, 20000 bytes\) failed: allToAll failed: remote process exited).*\nERR_COMM_ABORTED rank \d: barrier expects a communicator that works/,
    ),
  },
  {
    what: 'a handshake that never ends',
    name: 'fails',
    timeout: 3000,
    environment: { FAKE_NCCL_HANG: 'ncclAllGather:1' },
    says: Array.from(
      { length: 2 },
      () =>
        /^rank (ERR_COMM_TIMEOUT rank \d: allReduce .*: not all ranks arrived, nobody knows which|ERR_COMM_PEER_LOST rank \d: allReduce .* failed: exchange failed: remote process exited).*\nERR_COMM_ABORTED/,
    ),
  },
  {
    what: 'an error that shows later',
    name: 'fails',
    environment: { FAKE_NCCL_ASYNC: 'ncclGroupEnd:1' },
    says: [
      /^rank ERR_COMM_ABORTED rank 0: allReduce \(number 1, 20000 bytes\) failed: allToAll failed: unhandled cuda error \(of the fake\)\nERR_COMM_ABORTED/,
      /^rank ERR_COMM_ABORTED rank 1: allReduce \(number 1, 20000 bytes\) failed: allToAll failed: unhandled cuda error \(of the fake\)\nERR_COMM_ABORTED/,
    ],
  },
  {
    what: 'a rank that is lost, which shows later',
    name: 'fails',
    environment: { FAKE_NCCL_ASYNC: 'ncclGroupEnd:6' },
    says: Array.from(
      { length: 2 },
      () =>
        /^rank ERR_COMM_PEER_LOST rank \d: allReduce .* failed: allToAll failed: remote process exited.*\nERR_COMM_ABORTED/,
    ),
  },
  {
    what: 'a call that fails',
    name: 'fails',
    environment: { FAKE_NCCL_FAIL: 'ncclSend:3' },
    says: Array.from(
      { length: 2 },
      () =>
        /^rank ERR_COMM_(ABORTED rank \d: allReduce .* failed: ncclSend failed: internal error|PEER_LOST rank \d: allReduce).*\nERR_COMM_ABORTED/,
    ),
  },
  {
    what: 'no start',
    name: 'starts',
    environment: { FAKE_NCCL_FAIL: 'ncclCommInitRankConfig:1' },
    says: Array.from(
      { length: 2 },
      () => /^rank ERR_COMM_UNAVAILABLE ncclCommInitRankConfig failed: unhandled cuda error \(of the fake\)$/,
    ),
  },
  {
    what: 'no id',
    name: 'starts',
    environment: { FAKE_NCCL_FAIL: 'ncclGetUniqueId:2' },
    says: [
      /^rank ERR_COMM_UNAVAILABLE ncclGetUniqueId failed: unhandled system error/,
      /^rank ERR_COMM_UNAVAILABLE rank 0 cannot begin: ncclGetUniqueId failed: unhandled system error/,
    ],
  },
  {
    what: 'a start that never ends',
    name: 'starts',
    timeout: 3000,
    environment: { FAKE_NCCL_HANG: 'ncclCommInitRankConfig:1' },
    says: Array.from(
      { length: 2 },
      () =>
        /^rank (ERR_COMM_TIMEOUT connect expects all ranks to start within 3000 ms|ERR_COMM_PEER_LOST|ERR_COMM_UNAVAILABLE ncclCommInitRankConfig failed: remote process)/,
    ),
  },
  {
    what: 'no library',
    name: 'starts',
    environment: { KERAS_OPTIMIZERS_NCCL: 'libno_such_nccl.so' },
    says: [
      /^rank ERR_COMM_UNAVAILABLE no library of NCCL could be opened \(libno_such_nccl\.so: .*cannot open shared object file/,
      /^rank ERR_COMM_UNAVAILABLE rank 0 cannot begin: no library of NCCL could be opened/,
    ],
  },
];

/** A failure that is said to the others in the same way by every store. */
async function fails(): Promise<void> {
  for (const { what, name, says, ...job } of kFails)
    for (const store of ['tcp', 'directory'] as const) {
      const printed = await run(name, { ...job, store });
      printed.forEach((text, rank) => assert.match(text, says[rank] as RegExp, `${what}, ${store}`));
      if (store === 'tcp') say(what, printed.join(' | '));
    }
}

/** What a rank says that finds no others, or is not told where they are. */
async function alone(): Promise<void> {
  const lonely = { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: String(await freePort()) };
  const args = (options: object) => ['starts', JSON.stringify({ timeout: 1000, ...options })];
  for (const [environment, options, says] of [
    [lonely, { store: 'tcp' }, /^rank ERR_COMM_TIMEOUT rank 0 timed out after 1000 ms: ranks 1 have not asked at port/],
    [
      { ...lonely, RANK: '1' },
      { store: 'tcp' },
      /^rank ERR_COMM_TIMEOUT rank 1 timed out after 1000 ms: no answer of rank 0/,
    ],
    [
      lonely,
      { store: { directory: join(folder, 'lonely') } },
      /^rank ERR_COMM_TIMEOUT rank 0 timed out after 1000 ms: no word of ranks 1/,
    ],
    [{}, { store: 'tcp' }, /^rank ERR_COMM_WORLD_SIZE connect expects RANK and WORLD_SIZE in the environment/],
    [{ RANK: '0', WORLD_SIZE: '2' }, {}, /^rank ERR_COMM_UNAVAILABLE connect expects MASTER_ADDR and MASTER_PORT/],
    [lonely, { expectSize: 4 }, /^rank ERR_COMM_WORLD_SIZE connect expects expectSize=4 ranks, and found 2/],
    [lonely, { device: 'cuda:9' }, /^rank ERR_CUDA_NO_DEVICE .*cuda:9/],
  ] as const) {
    const { code, printed } = await runRank(environment, args(options));
    assert.equal(code, 0, printed);
    assert.match(printed.trim(), says);
  }
  say('a rank on its own', 'it says what it expected');
}

try {
  assert.notEqual(devices().cuda.length, 0, 'expected an addon with emulated GPUs in KERAS_OPTIMIZERS_ADDON');
  process.env.KERAS_OPTIMIZERS_NCCL = fakeNccl(folder);
  await works();
  await fails();
  await alone();
  await mpi();
} finally {
  rmSync(folder, { recursive: true });
}
