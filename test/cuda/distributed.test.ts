// Optimizers of several ranks whose variables lie on a GPU: the bits of ranks on the host, by way of the host, and where the transport
// moves the memory of the GPU.
import { assert } from 'chai';

import {
  Adam,
  Lamb,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  OptimizerMap,
  SGD,
  Variable,
  type CudaArray,
  type DeviceArray,
  type Gradient,
  type Optimizer,
} from '../../lib/index.ts';
import { Communicator } from '../../lib/distributed/communicator.ts';
import { addon } from '../../lib/native.ts';
import { MemoryGroup } from '../distributed/memory_group.ts';
import { gradientsOf, numbers, ranksOf, type Shapes } from '../replicas.ts';
import { rejection } from '../errors.ts';
import { DeviceTransport } from './device_transport.ts';
import { describeOnGpu, type AnyVariable, type Side } from './gpu.ts';

const shapes: Shapes = [[17_000], [20, 30], [1]];
type Given = 'own' | 'host' | 'foreign' | 'mixed';

const variablesOn = (side: Side): AnyVariable[] =>
  shapes.map((shape, i) => {
    const length = shape.reduce((product, n) => product * n, 1);
    const options = { shape: [...shape], name: `layer${i}/kernel` };
    const values = numbers(`variable ${i}`, length);
    return side === 'cpu' ? new Variable(values, options) : new Variable(values, { ...options, device: 'cuda' });
  });

const valuesOf = async (variable: AnyVariable) =>
  variable.device === 'cpu' ? (variable as Variable).value.slice() : (variable as Variable<DeviceArray>).read();

function write({ gradient }: AnyVariable, numbers: Float32Array): void {
  if (ArrayBuffer.isView(gradient)) gradient.set(numbers);
  else gradient.assign(numbers);
}

/** Memory of somebody else's on the GPU, within more of it. */
function foreign(numbers: Float32Array): CudaArray & { readonly owner: Variable<DeviceArray> } {
  const owner = new Variable(Float32Array.of(7, ...numbers), { device: 'cuda' });
  return { ...owner.cuda, ptr: owner.cuda.ptr + 4n, shape: [numbers.length], stream: 0n, owner };
}

/** One kind for each variable. */
const mixed = [
  (array) => array,
  (array) => new Variable(array, { device: 'cuda' }),
  foreign,
] as const satisfies readonly ((array: Float32Array) => unknown)[];

/** Gradients as they are given on a side, and what writes over them. */
function given(arrays: readonly Float32Array[], how: Given, variables: readonly AnyVariable[], side: Side) {
  if (how === 'own') arrays.forEach((array, v) => write(variables[v] as AnyVariable, array));
  if (how === 'own') return undefined;
  if (how === 'host' || side === 'cpu') return arrays as readonly Gradient[];
  return arrays.map((array, v) => (how === 'foreign' ? foreign(array) : mixed[v % 3]?.(array)) as Gradient);
}

/** What was there at the call counts. */
function spoil(gradients: readonly Gradient[] | undefined, variables: readonly AnyVariable[]): void {
  if (gradients === undefined)
    for (const variable of variables) write(variable, new Float32Array(variable.gradient.length).fill(NaN));
  for (const gradient of gradients ?? []) {
    const { owner } = gradient as { readonly owner?: Variable<DeviceArray> };
    if (owner instanceof Variable) owner.assign(new Float32Array(sizeOf(owner.shape)).fill(NaN));
    else if (gradient instanceof Variable) gradient.assign(new Float32Array(sizeOf(gradient.shape)).fill(NaN));
    else (gradient as Float32Array).fill(NaN);
  }
}
const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** Ranks of this thread; in place, where the GPU's memory is moved as it is. */
const communicators = (inPlace: boolean): readonly Communicator[] =>
  inPlace
    ? new MemoryGroup(2).transports().map((transport) => new Communicator(new DeviceTransport(transport)))
    : ranksOf(2);

/** What every rank has after some steps. */
async function trained(
  make: () => Optimizer,
  side: Side,
  how: Given,
  built: boolean,
  settings: Parameters<Optimizer['distribute']>[1],
  inPlace = false,
) {
  return Promise.all(
    communicators(inPlace).map(async (communicator, rank) => {
      const [optimizer, variables] = [make(), variablesOn(side)];
      if (built) optimizer.build(variables);
      await optimizer.distribute(communicator, settings);
      for (let i = 0; i < 6; i++) {
        const gradients = given(gradientsOf(shapes, i, rank), how, variables, side);
        const step = optimizer.apply_async(gradients, variables);
        if (how !== 'own' || side === 'cuda') spoil(gradients, variables);
        await step;
      }
      const values = await Promise.all([...variables, ...optimizer.variables].map(valuesOf));
      optimizer.dispose();
      for (const variable of variables) variable.dispose();
      await communicator.close();
      return values;
    }),
  );
}

describeOnGpu('distributed optimizers on a GPU', () => {
  for (const [name, make] of [
    ['Nadam', () => new Nadam({ use_ema: true })],
    ['Lamb', () => new Lamb({ weight_decay: 0.01 })],
    ['SGD', () => new SGD({ momentum: 0.9, global_clipnorm: 0.5 })],
    ['loss scale', () => new LossScaleOptimizer({ inner_optimizer: new Adam(), initial_scale: 4 })],
    [
      'several',
      () =>
        new MultiOptimizer({
          optimizer_map: new OptimizerMap({ default_optimizer: new Adam(), optimizer_map: { layer1: new SGD() } }),
        }),
    ],
  ] as const)
    for (const how of ['own', 'host', 'foreign', 'mixed'] as const)
      for (const more of [{}, { micro_batches: 6 }, { reduction: 'mean', micro_batches: 6 }] as const)
        it(`step like ranks on the host: ${name}, ${how} gradients, ${JSON.stringify(more)}`, async () => {
          const settings = { bucket_bytes: 20_000, ...more };
          const expected = await trained(make, 'cpu', how, true, settings);
          assert.deepEqual(expected[0], expected[1]);
          const built = !('micro_batches' in more);
          for (const inPlace of [false, true])
            assert.deepEqual(
              await trained(make, 'cuda', how, built, settings, inPlace),
              expected,
              `in place: ${inPlace}`,
            );
        });

  it('sum what lies there without the host, and give its memory back', async () => {
    const { cuda } = addon as { cuda: { read: (...args: unknown[]) => unknown } };
    const { read } = cuda;
    const before = addon.cuda.liveBytes(0);
    let reads = 0;
    const found = await Promise.all(
      communicators(true).map(async (communicator) => {
        const [optimizer, variables] = [new Nadam(), variablesOn('cuda')];
        optimizer.build(variables);
        await optimizer.distribute(communicator, { reduction: 'mean', micro_batches: 4 });
        cuda.read = (...args) => (reads++, read(...args));
        for (let i = 0; i < 4; i++) await optimizer.apply_async(undefined, variables);
        cuda.read = read;
        optimizer.dispose();
        for (const variable of variables) variable.dispose();
        await communicator.close();
        return reads;
      }),
    );
    assert.deepEqual(found, [0, 0]);
    assert.isTrue(await soon(() => addon.cuda.liveBytes(0) <= before));
  });

  for (const inPlace of [false, true])
    it(`sum gradients for the caller, in place: ${inPlace}`, async () => {
      const sums = await Promise.all(
        communicators(inPlace).map(async (communicator, rank) => {
          const [optimizer, variables] = [new SGD(), variablesOn('cuda')];
          optimizer.build(variables);
          await optimizer.distribute(communicator);
          const own = variables.map((variable, v) => [gradientsOf(shapes, 0, rank)[v], variable] as const);
          const pairs = await optimizer.aggregate_gradients(own as never);
          const gradients = pairs.map(([gradient]) => gradient);
          assert.isTrue(gradients.every((gradient) => ArrayBuffer.isView(gradient) !== inPlace));
          return Promise.all(
            gradients.map(async (one) =>
              ArrayBuffer.isView(one) ? (one as Float32Array) : (one as DeviceArray).read(),
            ),
          );
        }),
      );
      const [first, second] = [0, 1].map((rank) => gradientsOf(shapes, 0, rank)) as [Float32Array[], Float32Array[]];
      const expected = first.map((array, v) => array.map((x, i) => x + (second[v]?.[i] as number)));
      assert.deepEqual(sums, [expected, expected]);
    });

  it('refuse gradients of two bytes, on another GPU, or of another length', async () => {
    const [communicator] = ranksOf(1);
    const optimizer = new Adam();
    const variables = variablesOn('cuda');
    optimizer.build(variables);
    await optimizer.distribute(communicator as never, { micro_batches: 1 });
    const good = (variables[0] as Variable<DeviceArray>).gradient.cuda;
    for (const [wrong, code] of [
      [{ ...good, dtype: 'float16' }, 'ERR_OPT_ARRAY_TYPE'],
      [{ ...good, device: 'cuda:1' }, 'ERR_OPT_DEVICE'],
      [{ ...good, shape: [3] }, 'ERR_OPT_LENGTH'],
      [{ ...good, ptr: 4n }, 'ERR_CUDA_POINTER'],
    ] as const) {
      const error = await rejection(() => optimizer.apply_async([wrong, null, null] as never));
      assert.equal(error?.code, code, error?.message);
    }
    assert.equal(await optimizer.apply_async([good, null, null] as never), 1);
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

/** Whether something comes true when what is no longer needed has been collected. */
async function soon(holds: () => boolean): Promise<boolean> {
  for (let i = 0; i < 20 && !holds(); i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return holds();
}
