// One rank that nobody shares anything with: nothing is moved, and all is as among several.
import { assert } from 'chai';

import {
  AdamW,
  IndexedSlices,
  Lamb,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  OptimizerMap,
  SGD,
  type Gradient,
  type Optimizer,
  type Variable,
} from '../lib/index.ts';
import { Communicator } from '../lib/distributed/communicator.ts';
import { SelfTransport } from '../lib/distributed/self.ts';
import { bitsOf, gradientsOf, lasting, ranksOf, variablesOf, type Settings, type Shapes } from './replicas.ts';

// It throws where anything is to be moved.
const alone = () => new Communicator(new SelfTransport());
const codeOf = async (done: Promise<unknown>): Promise<unknown> =>
  done.then(
    () => 'none',
    (error: unknown) => (error as { readonly code: string }).code,
  );

const shapes: Shapes = [[17_000], [20, 30], [1]];

const sparse = (i: number): IndexedSlices =>
  new IndexedSlices(
    Float32Array.from({ length: 90 }, (_, k) => k - 7 * i),
    new Int32Array([3, i, 3]),
    [20, 30],
  );

/** The gradients of four steps in all the forms that they come in. */
function* stepsOn(variables: readonly Variable[]): Generator<readonly [Gradient[]?, Variable[]?]> {
  const all = (i: number) => gradientsOf(shapes, i, 0);
  const [first, second, third] = variables as [Variable, Variable, Variable];
  const [tiny] = all(0) as [Float32Array];
  tiny.fill(1e-40, 0, 100);
  yield [
    [tiny, all(0)[1] ?? null, [0.5]],
    [first, second, third],
  ];
  yield [
    [[2], lasting(all(1)[0] as Float32Array), all(1)[1] ?? null],
    [third, first, second],
  ];
  yield [[all(2)[0] ?? null, sparse(2), [2]]];
  variables.forEach(({ gradient }, i) => gradient.set(all(3)[i] as Float32Array));
  yield [];
}

async function trained(comm: Communicator, make: () => Optimizer, settings: Settings): Promise<string[]> {
  const variables = variablesOf(shapes);
  const optimizer = make();
  optimizer.build(variables);
  await optimizer.distribute(comm, settings);
  for (const given of stepsOn(variables)) await optimizer.apply_async(...given);
  const sums = await optimizer.aggregate_gradients(variables.map((variable) => [variable.gradient, variable] as const));
  await optimizer.apply_gradients_async(sums, { skip_gradients_aggregation: true });
  return bitsOf([...variables, ...optimizer.variables]);
}

describe('a rank alone', () => {
  it('checks what it is given, and moves nothing', async () => {
    const comm = alone();
    const [data, copy] = [Float32Array.of(1, 1e-40), new Float32Array(2)];
    await comm.barrier();
    await comm.allReduce(data);
    await comm.broadcast(data);
    await comm.reduceScatter(data, copy);
    assert.deepEqual(copy, Float32Array.of(1, 1e-40));
    await comm.allGather(Float32Array.of(3, 4), copy);
    assert.deepEqual(copy, Float32Array.of(3, 4));
    await comm.allGather(copy, copy);
    assert.deepEqual(copy, Float32Array.of(3, 4));
    const gone = comm.allReduce(data);
    structuredClone(data, { transfer: [data.buffer] });
    for (const [code, call] of [
      ['ERR_OPT_DETACHED', () => gone],
      ['ERR_OPT_ARRAY_TYPE', () => comm.allReduce(new Int32Array(2))],
      ['ERR_OPT_LENGTH', () => comm.allGather(copy, new Float32Array(3))],
      ['ERR_OPT_LENGTH', () => comm.allReduce(copy, { leaves: 4, further: [copy] })],
      ['ERR_OPT_CONFIG_RANGE', () => comm.broadcast(copy, 1)],
      ['ERR_OPT_CONFIG_RANGE', () => comm.barrier({ layout: -1n })],
    ] as const)
      assert.equal(await codeOf(call()), code);
    await comm.barrier(); // and goes on
    comm.abort('enough');
    assert.equal(await codeOf(comm.allReduce(copy)), 'ERR_COMM_ABORTED');
    await comm.close();
    assert.equal(await codeOf(comm.allReduce(copy)), 'ERR_COMM_CLOSED');
  });

  const makers: readonly [string, () => Optimizer][] = [
    ['Nadam', () => new Nadam({ global_clipnorm: 0.5 })],
    ['AdamW', () => new AdamW({ clipnorm: 0.5, use_ema: true })],
    ['Lamb', () => new Lamb({ gradient_accumulation_steps: 2 })],
    [
      'LossScaleOptimizer',
      () => new LossScaleOptimizer({ inner_optimizer: new SGD({ momentum: 0.9 }), initial_scale: 8 }),
    ],
    [
      'MultiOptimizer',
      () =>
        new MultiOptimizer({
          optimizer_map: new OptimizerMap({
            default_optimizer: new Nadam(),
            optimizer_map: { 'layer1/.*': new SGD() },
          }),
        }),
    ],
  ];
  for (const [name, make] of makers)
    for (const settings of [{}, { reduction: 'mean' }, { shard_state: true }] as const)
      it(`steps to the bits of a rank of a group: ${name}, ${JSON.stringify(settings)}`, async () => {
        const [other] = ranksOf(1) as [Communicator];
        assert.deepEqual(await trained(alone(), make, settings), await trained(other, make, settings));
      });

  it('refuses gradients as among several, and no step where the communicator is of no use', async () => {
    const comm = alone();
    const variables = variablesOf(shapes);
    const optimizer = new SGD();
    optimizer.build(variables);
    await optimizer.distribute(comm);
    const before = bitsOf(variables);
    assert.equal(await codeOf(optimizer.apply_async([new Uint16Array(17_000), null, null])), 'ERR_OPT_ARRAY_TYPE');
    assert.equal(await codeOf(optimizer.apply_async([null, null, null])), 'ERR_OPT_NO_GRADIENT');
    assert.equal(await codeOf(optimizer.apply_async([new Float32Array(3), null, null])), 'ERR_OPT_LENGTH');
    await comm.close();
    assert.equal(await codeOf(optimizer.apply_async(gradientsOf(shapes, 0, 0))), 'ERR_COMM_CLOSED');
    assert.deepEqual(bitsOf(variables), before);
  });
});
