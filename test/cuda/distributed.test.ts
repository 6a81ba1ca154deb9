// Optimizers of several ranks whose variables lie on a GPU: the bits of ranks on the host.
import { assert } from 'chai';

import { Adam, LossScaleOptimizer, Nadam, Variable, type DeviceArray, type Optimizer } from '../../lib/index.ts';
import { gradientsOf, numbers, ranksOf, type Shapes } from '../replicas.ts';
import { rejection } from '../errors.ts';
import { describeOnGpu, type AnyVariable, type Side } from './gpu.ts';

const shapes: Shapes = [[17_000], [20, 30], [1]];
type Given = 'own' | 'host';

const variablesOn = (side: Side): AnyVariable[] =>
  shapes.map((shape, i) => {
    const length = shape.reduce((product, n) => product * n, 1);
    const options = { shape: [...shape], name: `layer${i}/kernel` };
    const values = numbers(`variable ${i}`, length);
    return side === 'cpu' ? new Variable(values, options) : new Variable(values, { ...options, device: 'cuda' });
  });

const valuesOf = async (variable: AnyVariable) =>
  variable.device === 'cpu' ? (variable as Variable).value : (variable as Variable<DeviceArray>).read();

function write({ gradient }: AnyVariable, numbers: Float32Array): void {
  if (ArrayBuffer.isView(gradient)) gradient.set(numbers);
  else gradient.assign(numbers);
}

/** What every rank has after three steps. */
async function trained(
  make: () => Optimizer,
  side: Side,
  how: Given,
  built: boolean,
  settings: Parameters<Optimizer['distribute']>[1],
) {
  return Promise.all(
    ranksOf(2).map(async (communicator, rank) => {
      const [optimizer, variables] = [make(), variablesOn(side)];
      if (built) optimizer.build(variables);
      await optimizer.distribute(communicator, settings);
      for (let i = 0; i < 6; i++) {
        const arrays = gradientsOf(shapes, i, rank);
        if (how === 'host') await optimizer.apply_async(arrays, variables);
        else {
          arrays.forEach((array, v) => write(variables[v] as AnyVariable, array));
          const step = optimizer.apply_async(undefined, variables);
          if (side === 'cuda')
            for (const [v, array] of arrays.entries()) write(variables[v] as AnyVariable, array.fill(NaN));
          await step; // what was there at the call counts
        }
      }
      return Promise.all(variables.map(valuesOf));
    }),
  );
}

describeOnGpu('distributed optimizers on a GPU', () => {
  for (const [name, make] of [
    ['Nadam', () => new Nadam({ use_ema: true })],
    ['Adam', () => new Adam({ global_clipnorm: 0.5 })],
    ['loss scale', () => new LossScaleOptimizer({ inner_optimizer: new Adam(), initial_scale: 4 })],
  ] as const)
    for (const how of ['own', 'host'] as const)
      for (const micro_batches of [undefined, 6])
        it(`step like ranks on the host: ${name}, ${how} gradients, micro_batches ${micro_batches ?? 'none'}`, async () => {
          const settings = { bucket_bytes: 20_000, ...(micro_batches === undefined ? {} : { micro_batches }) };
          const expected = await trained(make, 'cpu', how, true, settings);
          assert.deepEqual(await trained(make, 'cuda', how, micro_batches === undefined, settings), expected);
          assert.deepEqual(expected[0], expected[1]);
        });

  it('refuse to share a state that lies there', async () => {
    const [communicator] = ranksOf(1);
    const optimizer = new Adam();
    optimizer.build(variablesOn('cuda'));
    const error = await rejection(() => optimizer.distribute(communicator as never, { shard_state: true }));
    assert.equal(error?.code, 'ERR_OPT_DEVICE');
    assert.isTrue(optimizer.built);
  });
});
