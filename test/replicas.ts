// Trainings of several ranks in one thread, for tests.
import { Optimizer, Variable, type Gradient } from '../lib/index.ts';
import { Communicator, type CommunicatorOptions } from '../lib/distributed/communicator.ts';
import { MemoryGroup, type Faults } from './distributed.ts';

/** Communicators of so many ranks. */
export const ranksOf = (size: number, options: CommunicatorOptions = {}, faults?: Faults): readonly Communicator[] =>
  new MemoryGroup(size, faults).transports().map((transport) => new Communicator(transport, options));

export type Shapes = readonly (readonly number[])[];

/** Numbers around 0, the same for the same seed. */
export function numbers(seed: string, length: number): Float32Array {
  let state = 1;
  for (const char of seed) state = (Math.imul(state, 31) + char.charCodeAt(0)) >>> 0;
  const next = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32;
  return Float32Array.from({ length }, () => (next() - 0.5) * 2 ** Math.floor(8 * next() - 4));
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

export const variablesOf = (shapes: Shapes, dtype: 'float32' | 'float64' = 'float32'): Variable[] =>
  shapes.map((shape, i) => new Variable(numbers(`variable ${i}`, sizeOf(shape)), { shape, name: `layer${i}/kernel`, dtype }));

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
  make: () => Optimizer,
  shapes: Shapes,
  options: Parameters<Optimizer['distribute']>[1] = {},
  built = false,
): Promise<readonly Rank[]> {
  return Promise.all(
    ranksOf(size).map(async (communicator) => {
      const [optimizer, variables] = [make(), variablesOf(shapes)];
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
