// The engines between processes, as far as one process can tell. test/distributed/ runs them under their launchers.
import { assert } from 'chai';

import { CommunicatorError } from '../lib/distributed/errors.ts';
import { mpiLibraries, mpiTransport } from '../lib/distributed/mpi.ts';
import { ncclTransport, newNcclId } from '../lib/distributed/nccl.ts';
import { addon } from '../lib/native.ts';

const nowhere = 'libno_such_engine.so';

async function refused(what: () => unknown, code: string, ...words: string[]): Promise<void> {
  const error = await Promise.resolve()
    .then(what)
    .then(
      () => undefined,
      (reason: unknown) => reason as CommunicatorError,
    );
  assert.equal(error?.code, code, error?.stack);
  for (const word of words) assert.include(error?.message, word);
}

describe('libraries of MPI', () => {
  const first = (env: Record<string, string>) => mpiLibraries(env)[0];

  it("are looked for in the order of the launcher's family", () => {
    assert.equal(first({ OMPI_COMM_WORLD_SIZE: '4', PMI_RANK: '0' }), 'libmpi.so.40');
    assert.equal(first({ PMIX_RANK: '1' }), 'libmpi.so.40');
    assert.equal(first({ PMI_RANK: '0', PMI_SIZE: '2' }), 'libmpi.so.12');
    assert.equal(first({}), 'libmpi.so.40');
    assert.sameMembers([...mpiLibraries({ PMI_RANK: '0' })], [...mpiLibraries({})]);
  });
  it('are the one that is asked for, and no other', () => {
    assert.deepEqual(mpiLibraries({ KERAS_OPTIMIZERS_MPI: 'one', PMI_RANK: '0' }), ['one']);
    assert.deepEqual(mpiLibraries({ KERAS_OPTIMIZERS_MPI: 'one' }, 'two'), ['two']);
  });
});

describe('engines that are not there', () => {
  it('are errors that say what was tried, and what the system said', async () => {
    const words = [nowhere, 'cannot open shared object file'];
    await refused(() => mpiTransport({ library: nowhere }), 'ERR_COMM_UNAVAILABLE', 'MPI', ...words);
    await refused(() => newNcclId(nowhere), 'ERR_COMM_UNAVAILABLE', 'NCCL', ...words);
    const rank = { rank: 0, size: 1, id: new Uint8Array(128), gpu: 0, library: nowhere };
    await refused(() => ncclTransport(rank), 'ERR_COMM_UNAVAILABLE', 'NCCL', ...words);
  });
  it('are errors where a library is another one', async () => {
    const words = ['libm.so.6', 'it has no MPI_Get_library_version'];
    await refused(() => mpiTransport({ library: 'libm.so.6' }), 'ERR_COMM_UNAVAILABLE', ...words);
  });
  it('can be asked for again', async () => {
    for (let i = 0; i < 3; i++)
      await refused(() => mpiTransport({ library: nowhere }), 'ERR_COMM_UNAVAILABLE', nowhere);
  });
});

describe('the wall to engines', () => {
  const { distributed } = addon;
  const done = () => undefined;

  it('refuses an id, a rank or a size that is none', async () => {
    for (const length of [0, 127, 129])
      await refused(() => distributed.openNccl([nowhere], new Uint8Array(length), 0, 1, 0, done), 'ERR_OPT_LENGTH');
    for (const [rank, size] of [
      [1, 1],
      [-1, 1],
      [0, 0],
    ] as const)
      await refused(
        () => distributed.openNccl([nowhere], new Uint8Array(128), rank, size, 0, done),
        'ERR_OPT_CONFIG_RANGE',
      );
  });
  it('makes no connection but by opening one', () => {
    const connection = distributed.openNccl([nowhere], new Uint8Array(128), 0, 1, 0, done);
    const Made = connection.constructor as new (...given: unknown[]) => unknown;
    for (const given of [[], [{}], [1]]) assert.throws(() => new Made(...given), TypeError);
  });
  it('names the collectives', () => {
    assert.deepEqual(distributed.collectives, ['exchange', 'allToAll', 'allGather', 'broadcast']);
  });
});
