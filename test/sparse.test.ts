// Sparse gradients: each rule, flag and dtype does what it does with the dense gradient that they stand for, to the bit, at once and
// off the event loop, on every instruction set.
import { assert } from 'chai';

import { IndexedSlices, Variable, type FloatArray, type Gradient, type Optimizer } from '../lib/index.ts';
import { useBackend } from '../lib/native.ts';
import { merged } from './merged.ts';
import { flags, makers } from './optimizers.ts';
import { backends, random, words, type Random } from './random.ts';

const types = [Float32Array, Float64Array];
const shapes = [[9, 5], [7], [4, 2, 3], [3]];
const dense = shapes.length - 1; // the last variable gets ordinary gradients

/** The rows of a step, by the number of rows that there are. */
const kinds: Readonly<Record<string, (rows: number, next: Random) => number[]>> = {
  'some, in order': (rows) => [1, rows - 2],
  'some, in any order': (rows) => [rows - 1, 0, 2],
  'the same ones several times': (rows, next) => Array.from({ length: 12 }, () => Math.floor(next() ** 2 * rows)),
  none: () => [],
  all: (rows) => Array.from({ length: rows }, (_, i) => i),
};

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** Gradients of five steps, one of each kind. */
function gradientsOf(type: (typeof types)[number], seed: string): Gradient[][] {
  const next = random(seed);
  const filled = (length: number): FloatArray => new type(length).map(() => next() - 0.5);
  return Object.values(kinds).map((rowsOf) =>
    shapes.map((shape, i) => {
      if (i === dense) return filled(sizeOf(shape));
      const indices = rowsOf(shape[0] as number, next);
      return new IndexedSlices(filled(indices.length * sizeOf(shape.slice(1))), Uint32Array.from(indices), shape);
    }),
  );
}

const asDense = (gradient: Gradient): Gradient => (gradient instanceof IndexedSlices ? merged(gradient) : gradient);

/** All numbers after every step. */
async function trace(
  optimizer: Optimizer,
  type: (typeof types)[number],
  steps: readonly (readonly Gradient[])[],
  apply: 'apply' | 'apply_async',
): Promise<unknown> {
  const next = random('first values');
  const variables = shapes.map(
    (shape) =>
      new Variable(
        new type(sizeOf(shape)).map(() => next() - 0.5),
        { shape },
      ),
  );
  optimizer.build(variables);
  const seen = [];
  for (const gradients of steps) {
    await optimizer[apply](gradients);
    const state = [...variables, ...optimizer.variables].map(({ value }) => words(Float64Array.from(value, Number)));
    seen.push([optimizer.gradient_norm, ...state]);
  }
  optimizer.dispose();
  return seen;
}

const halves = [
  { state_dtype: 'bfloat16' },
  { state_dtype: 'bfloat16', state_rounding: 'stochastic', seed: 3, global_clipnorm: 0.5 },
];

for (const type of types)
  describe(`sparse gradients of ${type.name}`, () => {
    const steps = gradientsOf(type, 'sparse');
    const options = type === Float32Array ? [...flags, ...halves] : flags;
    for (const [name, make] of options.flatMap((flag) => makers(flag)))
      it(`are dense ones to ${name}`, async () => {
        const expected = await trace(
          make(),
          type,
          steps.map((list) => list.map(asDense)),
          'apply',
        );
        assert.deepEqual(await trace(make(), type, steps, 'apply'), expected, 'apply');
        assert.deepEqual(await trace(make(), type, steps, 'apply_async'), expected, 'apply_async');
        for (const backend of backends.slice(1)) {
          const best = useBackend(backend);
          try {
            assert.deepEqual(await trace(make(), type, steps, 'apply'), expected, backend);
          } finally {
            useBackend(best);
          }
        }
      });
  });
