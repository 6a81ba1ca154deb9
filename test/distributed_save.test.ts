// Saving and loading by several ranks: one may be slow, or refuse.
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { assert } from 'chai';

import { system } from '../lib/checkpoint/system.ts';
import { together } from '../lib/distributed/alive.ts';
import { latestCheckpoint, saveCheckpoint, type Communicator } from '../lib/distributed/index.ts';
import { Adam, Optimizer } from '../lib/index.ts';
import { bitsOf, codesOf, gradientsOf, ranksOf, variablesOf, type Rank, type Shapes } from './replicas.ts';

const shapes: Shapes = [[17_000], [4, 2]];
const kTimeout = 100; // ms

let folder = '';
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'save-'))));
afterEach(() => rmSync(folder, { recursive: true }));

/** Ranks that share their steps, and wait for each other no longer than the time-out. */
const started = (shard_state: boolean): Promise<Rank[]> =>
  Promise.all(
    ranksOf(3, { timeout: kTimeout }).map(async (communicator) => {
      const [optimizer, variables] = [new Adam({ use_ema: true }), variablesOf(shapes)];
      optimizer.build(variables);
      await optimizer.distribute(communicator, { shard_state });
      return { communicator, optimizer, variables };
    }),
  );

const stepped = (ranks: readonly Rank[]) =>
  Promise.all(ranks.map(({ optimizer }, i) => optimizer.apply_async(gradientsOf(shapes, 0, i))));

/** Runs something while the first of such calls of the system is slow. */
async function slowly<R>(name: 'rename' | 'open', part: () => Promise<R>): Promise<R> {
  const table = system as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const call = table[name] as (...args: unknown[]) => Promise<unknown>;
  let calls = 0;
  table[name] = async (...args) => {
    if (calls++ === 0) await sleep(3 * kTimeout);
    return call(...args);
  };
  try {
    return await part();
  } finally {
    table[name] = call;
  }
}

describe('distributed: what a rank does by itself', () => {
  const parts = (ranks: readonly Communicator[], part: (rank: number) => unknown) =>
    ranks.map((communicator) => together(communicator, () => part(communicator.rank)));

  it('may take longer than a collective', async () => {
    const ranks = ranksOf(3, { timeout: kTimeout });
    const results = await Promise.all(parts(ranks, async (rank) => (await sleep(rank * 1.5 * kTimeout), rank)));
    assert.deepEqual(results, [0, 1, 2]);
    await Promise.all(ranks.map((communicator) => communicator.close()));
  });

  it('fails on all of them when all have ended', async () => {
    const ranks = ranksOf(3, { timeout: kTimeout });
    let ended = false;
    const part = async (rank: number) => {
      if (rank === 1) throw Object.assign(new Error('of one rank'), { code: 'own' });
      if (rank === 2) await sleep(2 * kTimeout);
      ended ||= rank === 2;
    };
    const failed = codesOf(parts(ranks, part));
    assert.deepEqual(await failed, ['ERR_COMM_MISMATCH', 'own', 'ERR_COMM_MISMATCH']);
    assert.isTrue(ended);
    await Promise.all(ranks.map((communicator) => communicator.barrier()));
  });

  it('is not waited for where a rank is lost', async () => {
    let lost = false;
    const ranks = ranksOf(3, { timeout: kTimeout }, (from) => (lost && from === 1 ? null : 0));
    const part = (rank: number) => (rank === 1 ? ((lost = true), sleep(3 * kTimeout)) : undefined);
    const results = await Promise.allSettled(parts(ranks, part));
    const errors = results.map((result) => (result as { reason: { code: string; suspects: number[] } }).reason);
    for (const { code } of errors) assert.match(code, /^ERR_COMM_(TIMEOUT|ABORTED)$/);
    const { suspects } = errors.find(({ code }) => code === 'ERR_COMM_TIMEOUT') ?? {};
    assert.deepEqual(suspects, [1]);
  });
});

describe('distributed: saving', () => {
  for (const shard_state of [false, true])
    it(`may be slower than the time-out, and so may loading, shard_state ${shard_state}`, async () => {
      const ranks = await started(shard_state);
      await stepped(ranks);
      const path = join(folder, 'slow');
      const save = () => codesOf(ranks.map(({ optimizer }) => optimizer.save(path, { variables: true })));
      assert.deepEqual(await slowly('rename', save), ['none', 'none', 'none']);
      const loaded = () =>
        Promise.all(
          ranksOf(2, { timeout: kTimeout }).map(async (communicator) => {
            const variables = variablesOf(shapes);
            await Optimizer.load(path, { variables, distribute: { communicator, shard_state } });
            return variables;
          }),
        );
      const expected = bitsOf((ranks[0] as Rank).variables);
      for (const variables of await slowly('open', loaded)) assert.deepEqual(bitsOf(variables), expected);
      assert.lengthOf(shard_state ? readdirSync(path) : readdirSync(folder), shard_state ? 4 : 1);
    });

  type Save = (rank: Rank, path: string) => Promise<unknown>;
  const save: Save = ({ optimizer }, path) => optimizer.save(path);
  const refusals: readonly [string, Save, string][] = [
    ['no path', ({ optimizer }) => optimizer.save(''), 'ERR_OPT_CONFIG_TYPE'],
    ['an unknown option', ({ optimizer }, path) => optimizer.save(path, { all: true } as never), 'ERR_OPT_CONFIG_TYPE'],
    ['a path that is a folder', ({ optimizer }) => optimizer.save(tmpdir()), 'ERR_CKPT_IO'],
  ];
  for (const [name, refused, code] of refusals)
    it(`is refused by all where one refuses it, behind the steps before: ${name}`, async () => {
      const ranks = await started(false);
      const path = join(folder, 'refused');
      const steps = ranks.map(({ optimizer }, i) => optimizer.apply_async(gradientsOf(shapes, 0, i)));
      const done = await codesOf(ranks.map((rank, i) => (i === 0 ? refused : save)(rank, path)));
      assert.deepEqual(done, [code, 'ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH']);
      assert.deepEqual(await Promise.all(steps), [1, 1, 1]);
      await stepped(ranks); // they have been told once
      assert.deepEqual(await codesOf(ranks.map((rank) => save(rank, path))), ['none', 'none', 'none']);
    });

  it('is refused by all where one has no place for it, or is not built, or has gone', async () => {
    const ranks = await Promise.all(
      ranksOf(2, { timeout: kTimeout }).map(async (communicator) => {
        const [optimizer, variables] = [new Adam(), variablesOf(shapes)];
        await optimizer.distribute(communicator);
        return { communicator, optimizer, variables };
      }),
    );
    const path = join(folder, 'refused');
    const onOne = (last: Save) => codesOf(ranks.map((rank, i) => (i === 1 ? last : save)(rank, path)));
    const withVariables: Save = ({ optimizer }) => optimizer.save(path, { variables: true });
    assert.deepEqual(await onOne(withVariables), ['ERR_COMM_MISMATCH', 'ERR_OPT_NOT_BUILT']);
    const step = ({ optimizer, variables }: Rank, i: number) =>
      optimizer.apply_async(gradientsOf(shapes, 0, i), variables);
    const steps = ranks.map(async (rank, i) => {
      const first = step(rank, i);
      if (i === 0) await first; // and the other does not wait
      const second = step(rank, i);
      if (i === 0) await second;
      const saved = save(rank, path);
      await Promise.all([first, second]);
      return saved;
    });
    assert.deepEqual(await codesOf(steps), ['ERR_COMM_MISMATCH', 'ERR_OPT_BUSY']);
    assert.deepEqual(await Promise.all(ranks.map(step)), [3, 3]);
    ranks[1]?.optimizer.dispose();
    assert.deepEqual(await onOne(save), ['ERR_COMM_MISMATCH', 'ERR_OPT_DISPOSED']);
  });
});

describe('distributed: checkpoints of a run', () => {
  const saved = (ranks: readonly Rank[], run: string, options = {}) =>
    ranks.map(({ optimizer, communicator }) => saveCheckpoint(optimizer, communicator, run, options));
  const stepsIn = (run: string) => readdirSync(run).map((name) => Number(name.slice('step-'.length)));

  for (const shard_state of [false, true])
    it(`are the ones that were written last, in a folder that is made, shard_state ${shard_state}`, async () => {
      const run = join(folder, 'of', 'mine');
      const before = await started(shard_state);
      const steps = async (ranks: readonly Rank[], count: number) => {
        for (let i = 0; i < count; i++) await stepped(ranks);
        const paths = await Promise.all(saved(ranks, run));
        for (const path of paths) assert.equal(path, await latestCheckpoint(run));
        assert.equal((await Optimizer.load(paths[0] ?? '')).iterations, ranks[0]?.optimizer.iterations);
      };
      await steps(before, 2);
      await steps(before, 1);
      assert.sameMembers(stepsIn(run), [2, 3]);
      const again = await started(shard_state); // from the beginning
      await steps(again, 1);
      assert.sameMembers(stepsIn(run), [1, 3]);
      await steps(again, 1);
      assert.sameMembers(stepsIn(run), [1, 2]);
      const at = new Date(0); // both at the same time
      for (const path of readdirSync(run)) {
        const file = shard_state ? join(run, path, 'manifest.json') : join(run, path);
        utimesSync(file, at, at);
      }
      assert.match((await latestCheckpoint(run)) ?? '', /step-0000000002$/);
    });

  it('have one outcome on all ranks', async () => {
    const ranks = await started(false);
    const run = join(folder, 'run');
    const others = ['ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH'];
    const mixed = [...saved(ranks.slice(0, 1), run, { keep: 0 }), ...saved(ranks.slice(1), run)];
    assert.deepEqual(await codesOf(mixed), ['ERR_OPT_CONFIG_RANGE', ...others]);
    writeFileSync(run, 'a file');
    assert.deepEqual(await codesOf(saved(ranks, run)), ['ERR_CKPT_IO', ...others]);
    rmSync(run);
    await Promise.all(saved(ranks, run));
    await stepped(ranks);
    const { rm } = system;
    const failing = () => Promise.reject(Object.assign(new Error('kept'), { code: 'EACCES', syscall: 'rm' }));
    (system as { rm: unknown }).rm = failing;
    try {
      assert.deepEqual(await codesOf(saved(ranks, run, { keep: 1 })), ['ERR_CKPT_IO', ...others]);
    } finally {
      (system as { rm: unknown }).rm = rm;
    }
    assert.sameMembers(stepsIn(run), [0, 1]);
    assert.deepEqual(await codesOf(saved(ranks, run, { keep: 1 })), ['none', 'none', 'none']);
    assert.deepEqual(stepsIn(run), [1]);
  });
});
