// Trainings of several ranks in one thread, for tests.
import { assert } from 'chai';

import { allocate, Optimizer, Variable, type Gradient } from '../lib/index.ts';
import { Variable as Inner } from '../lib/variable.ts';
import { Communicator, type CommunicatorOptions } from '../lib/distributed/communicator.ts';
import { MemoryGroup, type Faults } from './distributed/memory_group.ts';

/** Communicators of so many ranks. */
export const ranksOf = (size: number, options: CommunicatorOptions = {}, faults?: Faults): readonly Communicator[] =>
  new MemoryGroup(size, faults).transports().map((transport) => new Communicator(transport, options));

export type Shapes = readonly (readonly number[])[];

/** What each of some actions throws: its code. */
export async function codesOf(actions: readonly Promise<unknown>[]): Promise<string[]> {
  const results = await Promise.allSettled(actions);
  return results.map((result) => (result.status === 'fulfilled' ? 'none' : (result.reason as { code: string }).code));
}

/** Numbers around 0, the same for the same seed. */
export function numbers(seed: string, length: number): Float32Array {
  let state = 1;
  for (const char of seed) state = (Math.imul(state, 31) + char.charCodeAt(0)) >>> 0;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length }, () => (next() - 0.5) * 2 ** Math.floor(8 * next() - 4));
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

export const variablesOf = (shapes: Shapes, dtype: 'float32' | 'float64' = 'float32'): Variable[] =>
  shapes.map(
    (shape, i) => new Variable(numbers(`variable ${i}`, sizeOf(shape)), { shape, name: `layer${i}/kernel`, dtype }),
  );

/** The gradients of a backward pass. */
export const gradientsOf = (shapes: Shapes, step: number, pass: number): Float32Array[] =>
  shapes.map((shape, i) => numbers(`gradient ${i} ${step} ${pass}`, sizeOf(shape)));

export interface Rank {
  readonly communicator: Communicator;
  readonly optimizer: Optimizer;
  readonly variables: readonly Variable[];
}

/** What every rank has, distributed before or after it is built. */
export async function start(
  size: number,
  make: (rank: number, variables: readonly Variable[]) => Optimizer,
  shapes: Shapes,
  options: Parameters<Optimizer['distribute']>[1] = {},
  built = false,
): Promise<readonly Rank[]> {
  return Promise.all(
    ranksOf(size).map(async (communicator) => {
      const variables = variablesOf(shapes);
      const optimizer = make(communicator.rank, variables);
      if (built) optimizer.build(variables);
      await optimizer.distribute(communicator, options);
      return { communicator, optimizer, variables };
    }),
  );
}

/** One step: `passes` backward passes of all ranks together. */
export async function step(
  ranks: readonly Rank[],
  passes: number,
  gradients: (pass: number) => readonly Gradient[],
): Promise<void> {
  const each = passes / ranks.length;
  await Promise.all(
    ranks.map(async ({ optimizer, variables }, rank) => {
      for (let i = 0; i < each; i++) await optimizer.apply_async(gradients(rank * each + i), variables);
    }),
  );
}

/** The sum of arrays in the order of all sums: pairwise by index, an odd one out moving up as it is. */
export function treeSum(arrays: readonly Float32Array[]): Float32Array {
  if (arrays.length === 1) return arrays[0] as Float32Array;
  const pairs = Array.from({ length: Math.ceil(arrays.length / 2) }, (_, i) => arrays.slice(2 * i, 2 * i + 2));
  return treeSum(
    pairs.map(([a, b]) => (b === undefined ? a : a?.map((x, j) => Math.fround(x + (b[j] as number)))) as Float32Array),
  );
}

/** The bits of variables as text. */
export const bitsOf = (variables: readonly Variable[]): string[] =>
  variables.map(({ value }) => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('latin1'));

/** The bits of every variable of an optimizer's, put together where each rank has a part. */
export function stateBits(ranks: readonly Rank[]): string[] {
  const all = ranks.map(({ optimizer }) => optimizer.variables);
  return (all[0] ?? []).map((first, i) => {
    const parts = Inner.storageOf(first).part === undefined ? [first] : all.map((list) => list[i] as Variable);
    return bitsOf(parts).join('');
  });
}

/** Gradients of all backward passes of a step, made once. */
export function passesOf(shapes: Shapes, steps: number, passes: number): Passes {
  const key = JSON.stringify([shapes, steps, passes]);
  const found = known.get(key) ?? Array.from({ length: steps }, (_, s) => ofStep(shapes, s, passes));
  known.set(key, found);
  return found;
}
const ofStep = (shapes: Shapes, step: number, passes: number): Step => {
  const each = Array.from({ length: passes }, (_, pass) => gradientsOf(shapes, step, pass));
  return { passes: each, sums: shapes.map((_, i) => treeSum(each.map((list) => list[i] as Float32Array))) };
};
const known = new Map<string, Passes>();

/** The gradients of every backward pass of a step, and their sums. */
export interface Step {
  readonly passes: readonly (readonly Float32Array[])[];
  readonly sums: readonly Float32Array[];
}
export type Passes = readonly Step[];

/** What one process makes of the sums of all backward passes. */
export function alone(
  make: () => Optimizer,
  shapes: Shapes,
  steps: Passes,
  count = 1,
): { readonly optimizer: Optimizer; readonly variables: readonly Variable[] } {
  const [optimizer, variables] = [make(), variablesOf(shapes)];
  for (const { sums } of steps)
    optimizer.apply(
      sums.map((sum) => (count === 1 ? sum : sum.map((x) => x / count))),
      variables,
    );
  return { optimizer, variables };
}

/** A copy in library memory, which is read in place. */
export function lasting(array: Float32Array): Float32Array {
  const copy = allocate(array.length);
  copy.set(array);
  return copy;
}

export type Settings = Parameters<Optimizer['distribute']>[1];

/** Compares ranks with one process. */
export async function compared(
  make: () => Optimizer,
  shapes: Shapes,
  size: number,
  passes: number,
  settings: Settings = {},
  built = false,
): Promise<void> {
  const steps = passesOf(shapes, 2, passes);
  const expected = alone(make, shapes, steps, settings.reduction === 'mean' ? passes : 1);
  const ranks = await start(size, make, shapes, { bucket_bytes: 20_000, micro_batches: passes, ...settings }, built);
  const given = (list: readonly Float32Array[], pass: number) => (pass % 2 === 0 ? list : list.map(lasting));
  for (const { passes: each } of steps) await step(ranks, passes, (pass) => given(each[pass] ?? [], pass));
  for (const { variables, optimizer } of ranks) {
    assert.deepEqual(bitsOf(variables), bitsOf(expected.variables));
    assert.equal(optimizer.gradient_norm, expected.optimizer.gradient_norm);
    assert.equal(optimizer.iterations, expected.optimizer.iterations);
  }
  assert.deepEqual(stateBits(ranks), bitsOf(expected.optimizer.variables));
}
