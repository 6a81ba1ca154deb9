// Checkpoints across devices: what is saved on one is resumed on the other, with the same numbers.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { LossScaleOptimizer, Nadam, Optimizer, SGD, Variable } from '../../lib/index.ts';
import { rejection } from '../errors.ts';
import { makers } from '../optimizers.ts';
import { describeOnGpu, few, numbers, same, type AnyVariable, type Side } from './gpu.ts';

let folder = '';
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'checkpoint-'))));
after(() => rm(folder, { recursive: true }));

const large = [5, 300_000]; // more bytes than are written at once
const variablesOn = (device: Side, lengths: readonly number[] = few): AnyVariable[] =>
  lengths.map((length, i) => new Variable(numbers(`start ${i}`, length), { device, name: `v${i}` }));

function train(optimizer: Optimizer, variables: readonly AnyVariable[], from: number, to: number): void {
  for (let step = from; step < to; step++)
    optimizer.apply(
      variables.map(({ shape: [length] }, i) => numbers(`gradient ${step} ${i}`, length as number)),
      variables,
    );
}

const values = async (optimizer: Optimizer, variables: readonly AnyVariable[]) =>
  Promise.all([...variables, ...optimizer.variables].map((variable) => variable.read()));

/** Saves on one side after two steps, and compares how both sides go on. */
async function goesOn(make: () => Optimizer, from: Side, to: Side, lengths = few): Promise<void> {
  const path = join(folder, 'run.safetensors');
  const [optimizer, variables, resumed] = [make(), variablesOn(from, lengths), variablesOn(to, lengths)];
  train(optimizer, variables, 0, 2);
  await optimizer.save(path, { variables: true });
  const loaded = await Optimizer.load(path, { variables: resumed });
  same(await values(loaded, resumed), await values(optimizer, variables));
  train(optimizer, variables, 2, 4);
  train(loaded, resumed, 2, 4);
  same(await values(loaded, resumed), await values(optimizer, variables));
  for (const one of [optimizer, loaded, ...variables, ...resumed]) one.dispose();
}

describeOnGpu('a checkpoint on a GPU', () => {
  const sides = [
    ['cpu', 'cuda'],
    ['cuda', 'cpu'],
    ['cuda', 'cuda'],
  ] as const;
  for (const [from, to] of sides) {
    it(`of ${from} goes on on ${to}`, async () => {
      for (const [, make] of makers({ use_ema: true })) await goesOn(make, from, to);
    });
    it(`of ${from} with bfloat16 state and a loss scale goes on on ${to}`, async () => {
      await goesOn(() => new Nadam({ state_dtype: 'bfloat16', seed: 5 }), from, to, large);
      await goesOn(() => new LossScaleOptimizer({ inner_optimizer: new Nadam(), initial_scale: 8 }), from, to);
    });
  }

  it('has a step that was called before in it, and refuses one that comes while it is written', async () => {
    const path = join(folder, 'busy.safetensors');
    const [optimizer, variables] = [new SGD({ momentum: 0.9 }), variablesOn('cuda')];
    train(optimizer, variables, 0, 2);
    const before = await values(optimizer, variables);
    const saved = optimizer.save(path, { variables: true });
    assert.equal((await rejection(() => train(optimizer, variables, 2, 3)))?.code, 'ERR_OPT_BUSY');
    const waits = optimizer.apply_async(few.map((length) => new Float32Array(length).fill(1)));
    await saved;
    await waits;
    const resumed = variablesOn('cuda');
    same(await values(await SGD.load(path, { variables: resumed }), resumed), before);
  });

  it('keeps and loads own variables', () => {
    const [optimizer, other] = [new Nadam(), new Nadam()];
    train(optimizer, variablesOn('cuda'), 0, 2);
    other.build(variablesOn('cuda'));
    const [store, again] = [new Map(), new Map()];
    optimizer.save_own_variables(store);
    other.load_own_variables(store);
    other.save_own_variables(again);
    assert.deepEqual(again, store);
  });
});
