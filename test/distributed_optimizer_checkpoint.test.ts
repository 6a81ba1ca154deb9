// Checkpoints of several ranks: what so many have written, any other number reads.
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { Adam, AdamW, Lamb, LossScaleOptimizer, Nadam, Optimizer, SGD, Variable } from '../lib/index.ts';
import { system } from '../lib/checkpoint/system.ts';
import { rejection } from './errors.ts';
import {
  alone,
  bitsOf,
  passesOf,
  ranksOf,
  start,
  stateBits,
  step,
  variablesOf,
  type Rank,
  type Shapes,
} from './replicas.ts';

const shapes: Shapes = [[17_000], [2, 3], [40, 30]];
const kPasses = 4;
const settings = { micro_batches: kPasses, shard_state: true };
const bits = (optimizer: { variables: readonly Variable[] }) => bitsOf(optimizer.variables);

let folder = '';
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'ranks-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const train = async (ranks: readonly Rank[], from: number, to: number) => {
  const steps = passesOf(shapes, 3, kPasses);
  for (const { passes } of steps.slice(from, to)) await step(ranks, kPasses, (pass) => passes[pass] ?? []);
};

/** Ranks that go on from a folder, and build before or after they share their state. */
const resumed = (size: number, shard_state: boolean, variables: readonly Variable[] | undefined): Promise<Rank[]> =>
  Promise.all(
    ranksOf(size).map(async (communicator) => {
      const own = variablesOf(shapes);
      if (variables) own.forEach((variable, i) => variable.assign(variables[i] as Variable));
      const optimizer = await Optimizer.load(folder, variables ? {} : { variables: own });
      await optimizer.distribute(communicator, { ...settings, shard_state });
      if (variables) optimizer.build(own);
      return { communicator, optimizer, variables: own };
    }),
  );

describe('checkpoints of several ranks', () => {
  for (const [name, make] of [
    ['Nadam', () => new Nadam({ use_ema: true })],
    ['bfloat16', () => new AdamW({ state_dtype: 'bfloat16' })],
    ['Lamb', () => new Lamb()],
    ['loss scale', () => new LossScaleOptimizer({ inner_optimizer: new Adam(), initial_scale: 4 })],
  ] as const)
    it(`load on any other number: ${name}`, async () => {
      const before = await start(4, make, shapes, settings);
      await train(before, 0, 2);
      await Promise.all(before.map(({ optimizer }) => optimizer.save(folder, { variables: true })));
      await train(before, 2, 3);
      const { optimizer: expected, variables } = alone(make, shapes, passesOf(shapes, 3, kPasses));
      const middle = alone(make, shapes, passesOf(shapes, 3, kPasses).slice(0, 2)).variables;
      for (const [size, shard_state, values] of [
        [1, true, undefined],
        [2, true, middle],
        [4, true, undefined],
        [2, false, middle],
      ] as const) {
        const ranks = await resumed(size, shard_state, values);
        await train(ranks, 2, 3);
        for (const rank of ranks) assert.deepEqual(bitsOf(rank.variables), bitsOf(variables));
        assert.deepEqual(stateBits(ranks), bits(expected));
      }
      assert.deepEqual(bits(await goneOnAlone(2)), bits(expected));
    });

  /** One process goes on, which is not distributed. */
  async function goneOnAlone(from: number): Promise<Optimizer> {
    const variables = variablesOf(shapes);
    const optimizer = await Optimizer.load(folder, { variables });
    for (const { sums } of passesOf(shapes, 3, kPasses).slice(from)) optimizer.apply(sums, variables);
    return optimizer;
  }

  const rejected = async (action: () => unknown, message: RegExp, code: string) => {
    const error = await rejection(action);
    assert.match(String(error?.message), message);
    assert.equal(error?.code, code);
  };
  const saved = async (size = 2) => {
    const ranks = await start(size, () => new Adam(), shapes, settings);
    await train(ranks, 0, 1);
    await Promise.all(ranks.map(({ optimizer }) => optimizer.save(folder)));
    return ranks;
  };
  const files = () => readdirSync(folder).filter((name) => name !== 'manifest.json');

  it('leave nothing of what counted before', async () => {
    const ranks = await saved();
    const first = files();
    await train(ranks, 1, 2);
    await Promise.all(ranks.map(({ optimizer }) => optimizer.save(folder)));
    assert.lengthOf(files(), 2);
    assert.isEmpty(files().filter((name) => first.includes(name)));
    assert.equal((JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as { step: number }).step, 2);
    assert.equal((await Optimizer.load(folder)).iterations, 2);
  });

  it('are none without a manifest, with another file, or with a file less', async () => {
    const ranks = await saved();
    const [name = '', other = ''] = files();
    const [path, bytes] = [join(folder, name), readFileSync(join(folder, name))];
    writeFileSync(path, readFileSync(join(folder, other)));
    await rejected(() => Optimizer.load(folder), /not the file/, 'ERR_CKPT_HASH');
    unlinkSync(path);
    await rejected(() => Optimizer.load(folder), /ENOENT/, 'ERR_CKPT_IO');
    writeFileSync(path, bytes);
    const part = await Optimizer.load(path);
    assert.throws(() => part.build(variablesOf(shapes)), /shape/);
    unlinkSync(join(folder, 'manifest.json'));
    await rejected(() => Optimizer.load(folder), /no manifest/, 'ERR_CKPT_FORMAT');
    writeFileSync(join(folder, 'manifest.json'), '{}');
    await rejected(() => Optimizer.load(folder), /no manifest of/, 'ERR_CKPT_FORMAT');
    assert.lengthOf(ranks, 2);
  });

  describe('of a large variable', () => {
    const kLength = 2 ** 21;
    const kState = 2 * 4 * kLength; // bytes: average and momentum
    const zeros = () => [new Variable(new Float32Array(kLength))];
    const make = () => new SGD({ momentum: 0.9, use_ema: true });

    const trained = () =>
      Promise.all(
        ranksOf(4).map(async (communicator, rank) => {
          const [optimizer, variables] = [make(), zeros()];
          await optimizer.distribute(communicator, { shard_state: true });
          await optimizer.apply_async([new Float32Array(kLength).fill(rank, rank)], variables);
          await optimizer.save(folder, { variables: true });
          return { communicator, optimizer, variables };
        }),
      );

    /** All ranks load, and share their state before it is built. */
    const loaded = (withVariables: boolean) =>
      ranksOf(4).map(async (communicator) => {
        const variables = zeros();
        const distribute = { communicator, shard_state: true };
        const optimizer = await Optimizer.load(folder, withVariables ? { distribute, variables } : { distribute });
        if (!withVariables) optimizer.build(variables);
        return { communicator, optimizer, variables };
      });

    it('are read in part by each rank', async () => {
      const before = await trained();
      const { readSync } = system;
      let bytes = 0;
      (system as { readSync: unknown }).readSync = (...args: Parameters<typeof readSync>) => {
        const count = readSync(...args);
        bytes += count;
        return count;
      };
      try {
        assert.deepEqual(stateBits(await Promise.all(loaded(false))), stateBits(before));
      } finally {
        (system as { readSync: unknown }).readSync = readSync;
      }
      const further = 4 * (4 + 4) * 2 ** 20; // for each rank the beginning of every file, and the edges of two arrays
      assert.isAtMost(bytes, kState + further);
      for (const { variables } of await Promise.all(loaded(true)))
        assert.isTrue(Buffer.from((variables[0] as Variable).value.buffer).equals(bytesOf(before)));
    });

    const bytesOf = ([first]: readonly Rank[]) => Buffer.from((first?.variables[0] as Variable).value.buffer);

    it('are refused by all ranks where one of them finds a part altered', async () => {
      await trained();
      const name = files().find((one) => one.startsWith('rank-2-')) ?? '';
      const file = openSync(join(folder, name), 'r+');
      const wide = statSync(join(folder, name)).size;
      writeSync(file, Uint8Array.of(77), 0, 1, wide / 2);
      closeSync(file);
      const results = await Promise.allSettled(loaded(true));
      const codes = results.map((result) => (result as { reason: { code: string } }).reason.code);
      assert.include(codes, 'ERR_CKPT_HASH');
      for (const code of codes) assert.oneOf(code, ['ERR_CKPT_HASH', 'ERR_COMM_MISMATCH']);
      const apart = await Optimizer.load(folder); // what it tells of itself is whole
      assert.throws(() => apart.build(zeros()), /bytes .* another SHA-256/);
      assert.isFalse(apart.built);
    });
  });

  it('count as before where a rank cannot write', async () => {
    const ranks = await saved();
    const names = readdirSync(folder);
    const { open } = system;
    let calls = 0;
    (system as { open: unknown }).open = (...args: Parameters<typeof open>) =>
      args[1] === 'wx' && calls++ === 1
        ? Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC', syscall: 'open' }))
        : open(...args);
    try {
      const results = await Promise.allSettled(ranks.map(({ optimizer }) => optimizer.save(folder)));
      const codes = results.map((result) => (result as { reason: { code: string } }).reason.code);
      assert.sameMembers(codes, ['ERR_CKPT_IO', 'ERR_COMM_MISMATCH']);
    } finally {
      (system as { open: unknown }).open = open;
    }
    assert.sameMembers(readdirSync(folder), names);
    assert.equal((await Optimizer.load(folder)).iterations, 1);
    await train(ranks, 1, 2);
  });
});
