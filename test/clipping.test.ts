// Keras's clipping, row by row, and the norm in its one order.
import { assert } from 'chai';

import { SGD, Variable } from '../lib/index.ts';
import { useBackend } from '../lib/native.ts';
import { distance, numbers, readGolden, type Value } from './golden.ts';
import { operations, oracleSumOfSquares } from './oracle.ts';
import { backends, random, type Random } from './random.ts';

interface Row {
  readonly args: Readonly<Record<string, number>>;
  readonly gradients: readonly (readonly Value[])[];
  readonly clipped: readonly (readonly Value[])[];
}
const rows = readGolden<{ readonly cases: readonly Row[] }>('clipping').cases;

/** What reaches the rule: with the learning rate -1 a variable of zeros becomes its gradient. */
function clipped(args: Row['args'], gradients: readonly number[][]): number[][] {
  const variables = gradients.map((g) => new Variable(g.map(() => 0)));
  const optimizer = new SGD({ learning_rate: -1, ...args });
  optimizer.apply(gradients, variables);
  return variables.map(({ value }) => [...value]);
}

/** In float32 the sum of squares over- or underflows where the norm itself does not. */
function kerasLeavesFloat32(
  gradients: readonly number[][],
  { clipnorm = 0, global_clipnorm = 0 }: Row['args'],
): boolean {
  if (clipnorm <= 0 && global_clipnorm <= 0) return false;
  const lists = clipnorm > 0 ? gradients : [gradients.flat()];
  return lists.some((list) => {
    const sum = list.reduce((total, x) => total + x * x, 0);
    const norm = Math.sqrt(sum);
    const least = Math.min(...list.filter((x) => x !== 0).map((x) => Math.abs(x)));
    return (
      Number.isFinite(sum) &&
      norm > 0 &&
      (sum > 3.4e38 ||
        (norm > clipnorm + global_clipnorm && (sum < 1.2e-38 || (least * clipnorm < 1.2e-38 && clipnorm > 0))))
    );
  });
}

const trueClip = (list: readonly number[], norm: number, limit: number): number[] =>
  list.map((x) => (norm > limit ? (x / norm) * limit : x));

function truth({ clipnorm = 0, global_clipnorm = 0 }: Row['args'], gradients: readonly number[][]): number[][] {
  const norm = (list: readonly number[]) => Math.hypot(...list);
  if (clipnorm > 0) return gradients.map((list) => trueClip(list, norm(list), clipnorm));
  return gradients.map((list) => trueClip(list, norm(gradients.flat()), global_clipnorm));
}

/** Rows of clipping.json in which Keras's float32 leaves its range and we clip to the true norm instead. */
const fixed = [
  'clipnorm 1 of 1e+30,1e+30,1',
  'clipnorm 0.1 of 1e+30,1e+30,1',
  'clipnorm 1e-30 of 1e+30,1e+30,1',
  'clipnorm 1e-30 of 1e-30,1e-30',
  'clipnorm 1e-30 of 1e-25,-1e-25,0.001',
  'global_clipnorm 1 of 1e+30,1e+30,1',
  'global_clipnorm 100 of 1e+30,1e+30,1',
  'global_clipnorm 0.01 of 1e+30,1e+30,1',
];

describe('clipping', () => {
  const deviating: string[] = [];
  for (const { args, gradients, clipped: expected } of rows) {
    const lists = gradients.map(numbers);
    const name = `${Object.entries(args).flat().join(' ')} of ${lists.flat().join()}`;
    const deviates = kerasLeavesFloat32(lists, args);
    if (deviates) deviating.push(name);
    it(`${name}: ${deviates ? 'the true norm, unlike Keras' : 'as Keras'}`, () => {
      const wanted = deviates ? truth(args, lists) : expected.map(numbers);
      clipped(args, lists).forEach((list, i) =>
        list.forEach((x, j) => {
          const y = wanted[i]?.[j] as number;
          // 4 ulp: the norm is the exact one, rounded once; Keras's float32 sum is not
          if (!Number.isFinite(y)) assert.deepEqual(x, y);
          else assert.isAtMost(Math.abs(x - y), 5e-7 * Math.abs(y), `${i}, ${j}: ${x} for ${y}`);
        }),
      );
    });
  }
  it('deviates from Keras in the listed rows and no other', () => {
    assert.deepEqual(deviating, fixed);
  });

  it('reaches the true norm wherever float32 can hold the result', () => {
    for (const scale of [2 ** -120, 2 ** -70, 1, 2 ** 50, 2 ** 90, 2 ** 120])
      for (const limit of [2 ** -100, 2 ** -20, 1, 2 ** 60, 2 ** 100])
        for (const name of ['clipnorm', 'global_clipnorm']) {
          const gradients = [[3 * scale, -4 * scale, 0]];
          const wanted = truth({ [name]: limit }, gradients).flat();
          const result = clipped({ [name]: limit }, gradients).flat();
          const size = Math.max(...wanted.map(Math.abs));
          assert.isAtMost(distance(result, wanted), 1e-6 * size + 2 ** -126, `${name} ${limit} of ${scale}`);
        }
  });
});

describe('clipping by norm', () => {
  for (const dtype of ['float32', 'float64'] as const)
    it(`${dtype}: unscales, multiplies and divides in Keras's order, to the bit`, () => {
      const next = random(dtype);
      const { div, mul, sub } = operations[dtype];
      const round = dtype === 'float32' ? Math.fround : Number;
      const type = dtype === 'float32' ? Float32Array : Float64Array;
      const gradient = new type(100).map(() => next() - 0.5);
      const norm = Math.sqrt(oracleSumOfSquares(dtype, gradient, 3));
      const rules: Record<string, (x: number) => number> = {
        clipnorm: (x) => div(mul(x, round(0.7)), round(Math.max(norm, 0.7))),
        global_clipnorm: (x) => mul(x, mul(round(0.7), Math.min(div(1, round(norm)), round(1 / 0.7)))),
      };
      for (const backend of backends)
        for (const [name, clip] of Object.entries(rules)) {
          const before = useBackend(backend);
          const v = new Variable(new type(100));
          new SGD({ learning_rate: -1, loss_scale_factor: 3, [name]: 0.7 }).apply([gradient], [v]);
          useBackend(before);
          const expected = gradient.map((x) => sub(0, mul(clip(div(x, 3)), -1)));
          assert.deepEqual(v.value, expected, `${backend} ${name}`);
        }
    });
});

describe('gradient_norm', () => {
  const lengths = [1, 127, 128, 129, 16383, 16384, 16385, 5 * 16384 + 7];
  // of every magnitude, so that the order shows in the last bits
  const value = (next: Random) => (next() - 0.5) * 2 ** (40 * next() - 20);
  for (const dtype of ['float32', 'float64'] as const)
    it(`${dtype}: is the L2 norm of all gradients, in the one order, on every backend`, () => {
      const next = random(dtype);
      const type = dtype === 'float32' ? Float32Array : Float64Array;
      const gradients = lengths.map((length) => new type(length).map(() => value(next)));
      const sum = (unscale: number) => gradients.reduce((total, g) => total + oracleSumOfSquares(dtype, g, unscale), 0);
      for (const backend of backends)
        for (const loss_scale_factor of [null, 3]) {
          const before = useBackend(backend);
          const variables = gradients.map((g) => new Variable(new type(g.length)));
          const optimizer = new SGD({ global_clipnorm: 1, loss_scale_factor });
          optimizer.apply(gradients, variables);
          useBackend(before);
          assert.equal(optimizer.gradient_norm, Math.sqrt(sum(loss_scale_factor ?? 1)), backend);
        }
    });

  for (const dtype of ['float32', 'float64'] as const)
    it(`${dtype}: shows another order of addition`, () => {
      const next = random(`orders ${dtype}`);
      const type = dtype === 'float32' ? Float32Array : Float64Array;
      for (let i = 0; i < 50; i++) {
        const gradient = new type(1 + 300 * next()).map(() => value(next));
        const optimizer = new SGD({ clipnorm: 1 });
        optimizer.apply([gradient], [new Variable(new type(gradient.length))]);
        assert.equal(optimizer.gradient_norm, Math.sqrt(oracleSumOfSquares(dtype, gradient)));
      }
    });

  it('is null unless a norm was computed, and covers gradients that are there only', () => {
    const variables = [new Variable([0, 0]), new Variable([0])];
    const plain = new SGD();
    plain.apply([[3, 4], [1]], variables);
    assert.isNull(plain.gradient_norm);
    const clipping = new SGD({ clipnorm: 1 });
    clipping.apply([[3, 4], [12]], variables);
    assert.equal(clipping.gradient_norm, 13);
    clipping.apply([[3, 4], null], variables);
    assert.equal(clipping.gradient_norm, 5);
  });
});
