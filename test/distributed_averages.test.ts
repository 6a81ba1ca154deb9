// Averages of which every rank has its part become the variables.
import { assert } from 'chai';

import {
  Adam,
  AdamW,
  Lamb,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  OptimizerMap,
  type Optimizer,
  type Variable,
} from '../lib/index.ts';
import { alone, bitsOf, passesOf, start, stateBits, step, type Rank, type Shapes } from './replicas.ts';

const shapes: Shapes = [[17_000], [2, 3], [40, 30], [0], [1]];
const use_ema = true;

const multi = () =>
  new MultiOptimizer({
    optimizer_map: new OptimizerMap({
      default_optimizer: new Nadam({ use_ema }),
      optimizer_map: { 'layer2/.*': new Lamb() }, // without
    }),
  });

const [first, second] = passesOf(shapes, 2, 3);
const steps = first && second ? [first, second] : [];

async function trained(make: () => Optimizer, shard_state = true): Promise<readonly Rank[]> {
  const ranks = await start(3, make, shapes, { shard_state, bucket_bytes: 20_000 });
  for (const { passes } of steps) await step(ranks, 3, (pass) => passes[pass] ?? []);
  return ranks;
}

type Which = (variables: readonly Variable[]) => Variable[] | undefined;
const finalized = (ranks: readonly Rank[], which: (rank: number) => Which) =>
  Promise.allSettled(
    ranks.map(async ({ optimizer, variables }, i) => optimizer.finalize_variable_values_async(which(i)(variables))),
  );

const everything: Which = () => undefined;
const some: Which = (variables) => variables.slice(1);

describe('distributed: averages', () => {
  for (const [name, make] of [
    ['Adam', () => new Adam({ use_ema })],
    ['AdamW in bfloat16', () => new AdamW({ use_ema, state_dtype: 'bfloat16' })],
    ['Lamb', () => new Lamb({ use_ema, ema_momentum: 0.5 })],
    ['LossScaleOptimizer', () => new LossScaleOptimizer({ inner_optimizer: new Adam({ use_ema }), initial_scale: 1 })],
    ['MultiOptimizer', multi],
    ['none', () => new Adam()],
  ] as const)
    it(`become the variables as in one process, which then go on: ${name}`, async () => {
      for (const which of [everything, some]) {
        const ranks = await trained(make);
        const { optimizer, variables } = alone(make, shapes, steps);
        await optimizer.finalize_variable_values_async(which(variables));
        for (const { status } of await finalized(ranks, () => which)) assert.equal(status, 'fulfilled');
        for (const rank of ranks) assert.deepEqual(bitsOf(rank.variables), bitsOf(variables));
        optimizer.apply(first?.sums);
        await step(ranks, 3, (pass) => first?.passes[pass] ?? []);
        for (const rank of ranks) assert.deepEqual(bitsOf(rank.variables), bitsOf(variables));
        assert.deepEqual(stateBits(ranks), bitsOf(optimizer.variables));
      }
    });

  it('become them behind the steps before, shared or not', async () => {
    const make = () => new Adam({ use_ema });
    const { optimizer, variables } = alone(make, shapes, [...steps, ...steps.slice(0, 1)]);
    await optimizer.finalize_variable_values_async();
    for (const shard_state of [true, false]) {
      const ranks = await trained(make, shard_state);
      const last = ranks.map((rank, i) => rank.optimizer.apply_async(first?.passes[i]));
      await finalized(ranks, () => everything);
      await Promise.all(last);
      for (const rank of ranks) assert.deepEqual(bitsOf(rank.variables), bitsOf(variables));
    }
  });

  it('become them where one rank has all parts', async () => {
    const make = () => new Adam({ use_ema });
    const ranks = await start(1, make, shapes, { shard_state: true });
    const { optimizer, variables } = alone(make, shapes, steps);
    for (const { sums } of steps) await step(ranks, 1, () => sums);
    await finalized(ranks, () => everything);
    await optimizer.finalize_variable_values_async();
    assert.deepEqual(bitsOf(ranks[0]?.variables ?? []), bitsOf(variables));
  });

  it('stay what they are on all ranks where one refuses, or has others in mind', async () => {
    const ranks = await trained(() => new Adam({ use_ema }));
    const before = bitsOf(ranks.flatMap(({ variables }) => variables));
    const mismatch = 'ERR_COMM_MISMATCH';
    for (const [other, code] of [
      [some, mismatch],
      [() => ranks[0]?.variables.slice(), 'ERR_OPT_UNKNOWN_VARIABLE'],
    ] as const) {
      const results = await finalized(ranks, (rank) => (rank === 1 ? other : everything));
      const codes = results.map((result) => (result as { reason: { code: string } }).reason.code);
      assert.deepEqual(codes, [mismatch, code, mismatch]);
      assert.deepEqual(bitsOf(ranks.flatMap(({ variables }) => variables)), before);
    }
    await step(ranks, 3, (pass) => first?.passes[pass] ?? []);
    for (const { status } of await finalized(ranks, () => everything)) assert.equal(status, 'fulfilled');
  });
});
