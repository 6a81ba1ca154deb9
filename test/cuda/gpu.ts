// What the tests of GPUs share: where they run, and training that ends the same there as on the host.
import { assert } from 'chai';

import { devices, Variable, type DeviceArray, type FloatArray, type Optimizer } from '../../lib/index.ts';
import type { Dtype } from '../../lib/native.ts';
import { random } from '../random.ts';

process.env.KERAS_OPTIMIZERS_EMULATED_GPUS ??= '2'; // read when CUDA starts, which is below
const { cuda: gpus, unusable } = devices();

/** `describe` where there are so many GPUs; elsewhere it says why not. */
export function describeOnGpu(title: string, body: () => void, least = 1): void {
  if (gpus.length >= least) return void describe(title, body);
  const why = unusable?.message ?? `it expects ${least} GPUs, there are ${gpus.length}`;
  describe(title, () => it.skip(`is left out: ${why}`, () => undefined));
}

/** A variable on either side. */
export type AnyVariable = Variable | Variable<DeviceArray>;
export type Side = 'cpu' | 'cuda';

const arrays = { float32: Float32Array, float64: Float64Array };

/** Numbers of several magnitudes, zeros of both signs and numbers that float32 flushes among them. */
export function numbers(seed: string, length: number, dtype: Dtype = 'float32'): FloatArray {
  const next = random(seed);
  const rare = [0, -0, 1e-40, -1e-20];
  return new arrays[dtype](length).map(() => (next() < 0.05 ? (rare[Math.floor(next() * 4)] as number) : next() - 0.5));
}

/** What is trained: shapes, and how. */
export interface Training {
  readonly shapes: readonly (readonly number[])[];
  readonly dtypes?: readonly Dtype[];
  readonly steps?: number;
  readonly asynchronous?: boolean;
  /** Default: what `apply` gets are arrays of the host. Undefined: the variables' own gradients. */
  gradients?(
    arrays: readonly (FloatArray | null)[],
    variables: readonly AnyVariable[],
    side: Side,
  ): unknown[] | undefined;
  /** Without numbers at first that float32 flushes: on the host a row without a gradient keeps them, where a dense step does not. */
  readonly normal?: boolean;
  /** The place of a variable that has no gradient in a step. */
  readonly missing?: (step: number) => number;
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** The lengths as shapes of one dimension. */
export const flat = (lengths: readonly number[]): number[][] => lengths.map((length) => [length]);

/** Where kernels have their boundaries. */
export const lengths = [0, 1, 3, 4, 5, 127, 128, 129, 2047, 2048, 2049, 16_383, 16_384, 16_385, 40_000];
export const few = [1, 5, 129, 0, 2049];

/** Trains and returns all values of variables and state, and the norms. */
export async function trained(
  make: () => Optimizer,
  side: Side,
  training: Training,
): Promise<(readonly unknown[] | FloatArray)[]> {
  const { shapes, dtypes = ['float32'], steps = 4, asynchronous = false, missing, normal = false } = training;
  const dtypeOf = (i: number) => dtypes[i % dtypes.length] as Dtype;
  const variables = shapes.map((shape, i) => {
    const start = numbers(`start ${i}`, sizeOf(shape), dtypeOf(i)).map((x) => (normal && Math.abs(x) < 1e-30 ? 0 : x));
    return new Variable(start, { shape, dtype: dtypeOf(i), name: `v${i}`, device: side });
  });
  const optimizer = make();
  optimizer.build(variables);
  const norms: unknown[] = [];
  let running: Promise<number> | undefined;
  for (let step = 0; step < steps; step++) {
    const given = shapes.map((shape, i) =>
      missing?.(step) === i ? null : numbers(`gradient ${step} ${i}`, sizeOf(shape), dtypeOf(i)),
    );
    const gradients = training.gradients === undefined ? given : training.gradients(given, variables, side);
    const last = running;
    if (asynchronous) running = optimizer.apply_async(gradients as never);
    else optimizer.apply(gradients as never);
    if (gradients === given) for (const gradient of given) gradient?.fill(NaN); // they may be overwritten when it returns
    await (gradients === given ? last : running); // and one step may wait for another
    if (!asynchronous) norms.push(optimizer.gradient_norm);
  }
  await running;
  norms.push(optimizer.gradient_norm);
  const state = await Promise.all([...variables, ...optimizer.variables].map((variable) => variable.read()));
  optimizer.dispose();
  for (const variable of variables) variable.dispose();
  return [...state, norms];
}

/** Asserts equality to the last bit, NaN being NaN. */
export function same(found: readonly ArrayLike<unknown>[], expected: readonly ArrayLike<unknown>[]): void {
  assert.lengthOf(found, expected.length);
  found.forEach((list, k) => {
    const wanted = expected[k] as ArrayLike<unknown>;
    assert.equal(list.length, wanted.length, `list ${k}`);
    for (let i = 0; i < list.length; i++)
      if (!Object.is(list[i], wanted[i])) assert.fail(`list ${k}[${i}]: ${String(list[i])} for ${String(wanted[i])}`);
  });
}

/** Asserts that training on a GPU ends as on the host. */
export async function ends(make: () => Optimizer, training: Training): Promise<void> {
  same(await trained(make, 'cuda', training), await trained(make, 'cpu', training));
}

/** Writes into the variables' own gradients. */
export const own: NonNullable<Training['gradients']> = (given, variables) => {
  variables.forEach((variable, i) => {
    const gradient: FloatArray | DeviceArray = variable.gradient;
    if (ArrayBuffer.isView(gradient)) gradient.set(given[i] as FloatArray);
    else gradient.assign(given[i] as FloatArray);
  });
  return undefined;
};
