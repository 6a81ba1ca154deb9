// Saving and loading by several ranks: one may be slow, or refuse.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { assert } from 'chai';

import { system } from '../lib/checkpoint/system.ts';
import { together } from '../lib/distributed/alive.ts';
import type { Communicator } from '../lib/distributed/index.ts';
import { Adam, Optimizer } from '../lib/index.ts';
import { bitsOf, gradientsOf, ranksOf, variablesOf, type Rank, type Shapes } from './replicas.ts';

const shapes: Shapes = [[17_000], [4, 2]];
const kTimeout = 100; // ms

let folder = '';
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'save-'))));
afterEach(() => rmSync(folder, { recursive: true }));

/** What every rank throws: its code. */
async function codes(actions: readonly Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(actions);
  return results.map((result) => (result.status === 'fulfilled' ? 'none' : (result.reason as { code: string }).code));
}

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
    const failed = codes(parts(ranks, part));
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
      const save = () => codes(ranks.map(({ optimizer }) => optimizer.save(path, { variables: true })));
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
      const done = await codes(ranks.map((rank, i) => (i === 0 ? refused : save)(rank, path)));
      assert.deepEqual(done, [code, 'ERR_COMM_MISMATCH', 'ERR_COMM_MISMATCH']);
      assert.deepEqual(await Promise.all(steps), [1, 1, 1]);
      await stepped(ranks); // they have been told once
      assert.deepEqual(await codes(ranks.map((rank) => save(rank, path))), ['none', 'none', 'none']);
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
    const onOne = (last: Save) => codes(ranks.map((rank, i) => (i === 1 ? last : save)(rank, path)));
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
    assert.deepEqual(await codes(steps), ['ERR_COMM_MISMATCH', 'ERR_OPT_BUSY']);
    assert.deepEqual(await Promise.all(ranks.map(step)), [3, 3]);
    ranks[1]?.optimizer.dispose();
    assert.deepEqual(await onOne(save), ['ERR_COMM_MISMATCH', 'ERR_OPT_DISPOSED']);
  });
});
