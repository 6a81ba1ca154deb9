// One optimizer in several ranks: the bits of one process, whatever is shared.
import { assert } from 'chai';

import { Adam, LossScaleOptimizer, MultiOptimizer, Nadam, OptimizerMap, SGD, type Optimizer } from '../lib/index.ts';
import { makers } from './optimizers.ts';
import { alone, bitsOf, passesOf, start, stateBits, step, type Shapes } from './replicas.ts';

const shapes: Shapes = [[20_000], [2, 3], [130, 130], [0], [1]]; // two of them are of two blocks
const all = { weight_decay: 0.1, loss_scale_factor: 2, gradient_accumulation_steps: 2, use_ema: true, ema_overwrite_frequency: 2 };
const options = [{ ...all, global_clipnorm: 0.5 }, { clipnorm: 0.5, state_dtype: 'bfloat16' }];

/** Compares ranks with one process, step by step at the end. */
async function compare(
  make: () => Optimizer,
  size: number,
  passes: number,
  settings: Parameters<Optimizer['distribute']>[1] = {},
  built = false,
): Promise<void> {
  const steps = passesOf(shapes, 3, passes);
  const expected = alone(make, shapes, steps, settings.reduction === 'mean' ? passes : 1);
  const ranks = await start(size, make, shapes, { bucket_bytes: 20_000, micro_batches: passes, ...settings }, built);
  for (const { passes: each } of steps) await step(ranks, passes, (pass) => each[pass] ?? []);
  for (const { variables, optimizer } of ranks) {
    assert.deepEqual(bitsOf(variables), bitsOf(expected.variables));
    assert.equal(optimizer.gradient_norm, expected.optimizer.gradient_norm);
  }
  assert.deepEqual(stateBits(ranks), bitsOf(expected.optimizer.variables));
}

describe('distributed optimizers', () => {
  for (const [i, option] of options.entries())
    for (const [k, [name, make]] of makers(option).entries())
      it(`step like one process: ${name}`, async () => {
        await compare(make, 2 + ((i + k) % 3), 12, { shard_state: true });
        await compare(make, 2, 4);
      });
});
