// How processes come together: launchers, the size of the world, and the stores that carry NCCL's id.
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { connect as connectTo, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { Communicator } from '../lib/distributed/communicator.ts';
import { connect, type ConnectOptions } from '../lib/distributed/connect.ts';
import { fileStore } from '../lib/distributed/file_store.ts';
import { checkSize, launcherOf } from '../lib/distributed/launcher.ts';
import { overCommunicator, share, type Store } from '../lib/distributed/store.ts';
import { tcpStore } from '../lib/distributed/tcp_store.ts';
import { MemoryGroup } from './distributed/memory_group.ts';
import { rejection, thrown, type CodedError } from './errors.ts';

describe('distributed: launchers', () => {
  const environments: readonly [Record<string, string>, object | undefined][] = [
    [{}, undefined],
    [
      { OMPI_COMM_WORLD_SIZE: '4', OMPI_COMM_WORLD_RANK: '3', PMIX_RANK: '3' },
      { size: 4, rank: 3, mpi: true },
    ],
    [
      { PMI_SIZE: '2', PMI_RANK: '1' },
      { name: 'MPICH', size: 2, rank: 1, mpi: true },
    ],
    [{ SLURM_NTASKS: '8' }, undefined], // a batch script on its own
    [
      { SLURM_NTASKS: '8', SLURM_PROCID: '7', PMIX_RANK: '7' },
      { name: 'Slurm', size: 8, rank: 7, mpi: true },
    ],
    [
      { SLURM_STEP_NUM_TASKS: '2', SLURM_NTASKS: '8', PMI_RANK: '0' },
      { size: 2, rank: undefined },
    ],
    [
      { WORLD_SIZE: '2', RANK: '0' },
      { size: 2, rank: 0, mpi: false },
    ],
  ];
  it('are known by their variables', () => {
    for (const [environment, expected] of environments) {
      const found = launcherOf(environment);
      if (expected === undefined) assert.isUndefined(found);
      else assert.include(found, expected);
    }
    for (const size of ['0', '-1', 'x', ''])
      assert.equal(thrown(() => launcherOf({ PMI_SIZE: size }))?.code, 'ERR_COMM_WORLD_SIZE');
  });

  it('say how large the world has to be', () => {
    const launcher = launcherOf({ PMI_SIZE: '3' });
    checkSize(3, launcher, 3);
    const wrong = thrown(() => checkSize(1, launcher, undefined));
    assert.equal(wrong?.code, 'ERR_COMM_WORLD_SIZE');
    assert.match(String(wrong?.message), /as many ranks as MPICH has started, PMI_SIZE=3, and found 1/);
    assert.match(String(thrown(() => checkSize(3, launcher, 4))?.message), /expectSize=4 ranks, and found 3/);
  });
});

describe('distributed: connect', () => {
  /** With these variables, which are put back. */
  async function within<T>(environment: Record<string, string>, run: () => Promise<T>): Promise<T> {
    const before = { ...process.env };
    Object.assign(process.env, environment);
    try {
      return await run();
    } finally {
      for (const name of Object.keys(environment)) {
        if (before[name] === undefined) delete process.env[name];
        else process.env[name] = before[name];
      }
    }
  }

  it('is a rank alone without a launcher', async () => {
    const comm = await connect({ expectSize: 1, timeout: 1000 });
    assert.include(comm, { rank: 0, size: 1, kind: 'self' });
    const data = Float32Array.of(1, 2);
    await Promise.all([comm.allReduce(data), comm.barrier(), comm.broadcast(data)]);
    assert.deepEqual([...data], [1, 2]);
    await comm.close();
  });

  it('refuses to train alone where there should be more', async () => {
    const codes = [
      await rejection(() => connect({ expectSize: 2 })),
      await within({ WORLD_SIZE: '2', RANK: '1' }, () => rejection(() => connect())),
      await within({ WORLD_SIZE: '2', RANK: '2' }, () => rejection(() => connect({ backend: 'self', expectSize: 2 }))),
    ].map((error) => error?.code);
    assert.deepEqual(codes, Array(3).fill('ERR_COMM_WORLD_SIZE'));
  });

  it('expects options that it knows', async () => {
    const options: readonly [unknown, string, RegExp][] = [
      [null, 'ERR_OPT_CONFIG_TYPE', /an object of options, got null/],
      [{ size: 2 }, 'ERR_OPT_CONFIG_TYPE', /only options that it knows \(backend, .*got "size"/],
      [{ backend: 'gloo' }, 'ERR_OPT_CONFIG_RANGE', /backend to be one of auto, self, mpi, nccl, got "gloo"/],
      [{ expectSize: 0 }, 'ERR_OPT_CONFIG_RANGE', /expectSize to be a whole number from 1 on, got 0/],
      [{ timeout: -1 }, 'ERR_OPT_CONFIG_RANGE', /connect expects timeout/],
      [{ onFailure: 'exit' }, 'ERR_OPT_CONFIG_RANGE', /connect expects onFailure/],
      [{ store: 'udp' }, 'ERR_OPT_CONFIG_RANGE', /store to be "mpi", "tcp" or \{ directory \}/],
    ];
    for (const [given, code, message] of options) {
      const error = await rejection(() => connect(given as ConnectOptions));
      assert.equal(error?.code, code, String(error));
      assert.match(String(error?.message), message);
    }
  });
});

const secretOf = (size: number) => randomBytes(size);
/** What every rank gets, or rejects with. */
const shared = (
  store: Store,
  size: number,
  make: () => Uint8Array,
  ranks = Array.from({ length: size }, (_, i) => i),
) =>
  Promise.all(
    ranks.map((rank) =>
      share(store, { rank, size, timeout: 5000 }, make).then(
        (secret) => Buffer.from(secret).toString('hex'),
        (error: CodedError) => error,
      ),
    ),
  );

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('distributed: stores', () => {
  let directory = '';
  beforeEach(async () => (directory = await mkdtemp(join(tmpdir(), 'store-'))));
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const stores: readonly [string, () => Promise<Store>][] = [
    ['a directory', () => Promise.resolve(fileStore(directory, 'a/job 1'))],
    ['a port', async () => tcpStore('127.0.0.1', await freePort())],
  ];
  for (const [name, made] of stores) {
    it(`carry a secret through ${name}`, async () => {
      const store = await made();
      for (const size of [1, 2, 4]) {
        const secret = secretOf(128);
        const found = await shared(
          store,
          size,
          () => secret,
          [2, 0, 3, 1].filter((rank) => rank < size),
        );
        assert.deepEqual(found, Array(size).fill(secret.toString('hex')));
      }
      assert.deepEqual(await readdir(directory), []);
    });

    it(`carry what has gone wrong through ${name}`, async () => {
      const found = await shared(await made(), 3, () => {
        throw new Error('no library');
      });
      const [first, ...others] = found as CodedError[];
      assert.equal(first?.message, 'no library');
      for (const error of others) {
        assert.equal(error.code, 'ERR_COMM_UNAVAILABLE');
        assert.match(error.message, /rank 0 cannot begin: no library/);
      }
    });

    it(`name who does not come to ${name}`, async () => {
      const store = await made();
      const asks = (rank: number, size: number) =>
        rejection(() => share(store, { rank, size, timeout: 150 }, () => secretOf(8)));
      const [first, second] = await Promise.all([asks(0, 3), asks(1, 3)]);
      assert.deepInclude(first as object, { code: 'ERR_COMM_TIMEOUT', suspects: [2] });
      if (second !== undefined) assert.match(String(second.code), /ERR_COMM_(TIMEOUT|UNAVAILABLE)/);
      assert.deepInclude((await asks(1, 2)) as object, { code: 'ERR_COMM_TIMEOUT', suspects: [0] });
    });
  }

  it('take nothing that an earlier job has left', async () => {
    const store = fileStore(directory, 'job');
    await writeFile(join(directory, 'job-2.answer'), JSON.stringify({ secret: 'b2xk', words: [null, 'old'] }));
    await writeFile(join(directory, 'job-2.rank1'), 'old');
    await writeFile(join(directory, 'job-2.heard1'), 'old');
    const secret = secretOf(16);
    const late = new Promise<void>((resolve) => setTimeout(resolve, 60));
    const [first, [second]] = await Promise.all([
      late.then(() => shared(store, 2, () => secret, [0])),
      shared(store, 2, () => secret, [1]),
    ]);
    assert.deepEqual([first[0], second], Array(2).fill(secret.toString('hex')));
  });

  it('drop those at a port who are no ranks', async () => {
    const port = await freePort();
    const secret = secretOf(16);
    const first = shared(tcpStore('127.0.0.1', port), 2, () => secret, [0]);
    for (const line of ['GET / HTTP/1.1\r\n\r\n', '{}\n', 'x'.repeat(10_000)]) {
      const socket = connectTo(port, '127.0.0.1', () => socket.write(line));
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('close', resolve));
    }
    const second = shared(tcpStore('127.0.0.1', port), 2, () => secret, [1]);
    assert.deepEqual((await Promise.all([first, second])).flat(), Array(2).fill(secret.toString('hex')));
  });

  it('refuse ranks of another world, and one that comes twice', async () => {
    for (const [rank, size, message] of [
      [1, 3, /got rank 1 of 3/],
      [2, 2, /got rank 2 of 2/],
    ] as const) {
      const store = tcpStore('127.0.0.1', await freePort());
      const first = shared(store, 2, () => secretOf(8), [0]);
      const other = rejection(() => share(store, { rank, size, timeout: 1000 }, () => secretOf(8)));
      const [error] = (await first) as CodedError[];
      assert.equal(error?.code, 'ERR_COMM_WORLD_SIZE');
      assert.match(String(error?.message), message);
      assert.match(String((await other)?.message), message);
    }
    const store = tcpStore('127.0.0.1', await freePort());
    const twice = await shared(store, 3, () => secretOf(8), [0, 1, 1]);
    assert.equal((twice[0] as CodedError).code, 'ERR_COMM_WORLD_SIZE');
  });

  it('say that a port is taken', async () => {
    const server = createServer().listen(0);
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    const [error] = (await shared(tcpStore('127.0.0.1', port), 2, () => secretOf(8), [0])) as CodedError[];
    await new Promise((resolve) => server.close(resolve));
    assert.equal(error?.code, 'ERR_COMM_UNAVAILABLE');
    assert.match(String(error?.message), /rank 0 cannot listen at port \d+: .*EADDRINUSE/);
  });

  it('carry a secret over ranks that are connected', async () => {
    const secret = secretOf(128);
    const ranks = new MemoryGroup(3).transports().map((transport) => new Communicator(transport));
    const found = await Promise.all(
      ranks.map((comm) => share(overCommunicator(comm), { rank: comm.rank, size: 3, timeout: 1000 }, () => secret)),
    );
    assert.deepEqual(found, Array(3).fill(new Uint8Array(secret)));
    await Promise.all(ranks.map((comm) => comm.close()));
  });
});
