// Sparse gradients: each rule, flag and dtype does what it does with the dense gradient that they stand for, to the bit, at once and
// off the event loop, on every instruction set.
import { createHash } from 'node:crypto';

import { assert } from 'chai';

import {
  Adagrad,
  Adam,
  getNumThreads,
  IndexedSlices,
  setNumThreads,
  SGD,
  Variable,
  type FloatArray,
  type Gradient,
  type Optimizer,
} from '../lib/index.ts';
import { addon, useBackend } from '../lib/native.ts';
import { thrown } from './errors.ts';
import { merged } from './merged.ts';
import { flags, makers } from './optimizers.ts';
import { backends, random, words, type Random } from './random.ts';
import { Heir } from './refusals/scene.ts';
import { constructed } from './refusals/slices.ts';

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

describe('a sparse gradient that costs its rows only', () => {
  const threads = getNumThreads();
  afterEach(() => setNumThreads(threads));
  const proportional = makers().filter(([name]) => /^(SGD {}|Adagrad)/.test(name));

  it('is that of the rules that leave an element alone whose gradient is 0', () => {
    assert.deepEqual(
      addon.rules.filter(({ sparse }) => sparse).map(({ name }) => name),
      ['sgd', 'adagrad'],
    );
    for (const [, make] of makers()) {
      const v = new Variable([0.3, -0.7, 2]);
      const optimizer = make();
      optimizer.apply([[0.1, 0.2, 0.3]], [v]);
      const before = [v, ...optimizer.variables.filter(({ shape }) => shape.length > 0)].map(({ value }) =>
        words(value),
      );
      optimizer.apply([[0, 0, 0]]);
      const after = [v, ...optimizer.variables.filter(({ shape }) => shape.length > 0)].map(({ value }) =>
        words(value),
      );
      const still = JSON.stringify(before) === JSON.stringify(after);
      const rule = (optimizer as unknown as { readonly rule: string }).rule;
      if (addon.rules.some(({ name, sparse }) => sparse && name === rule)) assert.isTrue(still, rule);
    }
  });

  // one element a row, rows within a lane, rows of whole lanes, and rows that are longer than a block or a chunk
  const columns = [1, 3, 64, 129, 16_384, 40_000];
  for (const [name, make] of proportional.flatMap(([, of]) =>
    [{}, { clipnorm: 0.01 }, { global_clipnorm: 0.01, loss_scale_factor: 3 }, { use_ema: true }].map((flag) => {
      const cls = of().constructor as new (options: object) => Optimizer;
      return [`${cls.name} ${JSON.stringify(flag)}`, () => new cls(flag)] as const;
    }),
  ))
    it(`has the dense run's bits at every length, backend and number of threads: ${name}`, () => {
      for (const width of columns) {
        const next = random(`${name} ${width}`);
        const rows = Math.max(4, Math.ceil(150_000 / width));
        const picked = Array.from({ length: rows }, (_, i) => i).filter(() => next() < 0.6);
        const values = new Float32Array(picked.length * width).map(() => next() - 0.5);
        const gradient = new IndexedSlices(values, Int32Array.from(picked.reverse()), [rows, width]);
        const expected = stepped(make(), merged(gradient), gradient.dense_shape);
        for (const count of [1, 3])
          for (const backend of backends) {
            setNumThreads(count);
            const best = useBackend(backend);
            try {
              assert.deepEqual(
                stepped(make(), gradient, gradient.dense_shape),
                expected,
                `${width}, ${backend}, ${count}`,
              );
            } finally {
              useBackend(best);
            }
          }
      }
    });

  for (const [name, make] of [{ clipnorm: 1 }, { global_clipnorm: 1 }].flatMap((flag) =>
    [new SGD(flag), new Adagrad(flag)].map((like) => [
      `${like.name} ${JSON.stringify(flag)}`,
      () => new (like.constructor as typeof SGD)(flag),
    ]),
  ) as [string, () => Optimizer][])
    it(`makes not-a-numbers of whole variables where a norm is none, as the dense one: ${name}`, async () => {
      for (const type of types)
        for (const bad of [NaN, Infinity]) {
          const steps = gradientsOf(type, 'not finite');
          for (const gradients of steps.slice(0, 2)) {
            const [{ values }] = gradients as [IndexedSlices];
            (values as FloatArray)[1] = bad;
          }
          const expected = await trace(
            make(),
            type,
            steps.map((list) => list.map(asDense)),
            'apply',
          );
          assert.deepEqual(await trace(make(), type, steps, 'apply'), expected);
        }
    });

  it('does not look at the other rows', () => {
    const v = new Variable(new Float32Array(4_000_000), { shape: [1_000_000, 4] });
    const optimizer = new SGD({ learning_rate: 1 });
    const gradient = new IndexedSlices(Float32Array.of(1, 2, 3, 4), [999_999], [1_000_000, 4]);
    optimizer.apply([gradient], [v]);
    v.value[0] = 1e-40; // a dense step flushes it
    optimizer.apply([gradient]);
    assert.equal(v.value[0], Math.fround(1e-40));
    assert.deepEqual([...v.value.subarray(-5)], [0, -2, -4, -6, -8]);
  });
});

/** The words of all numbers after two steps with the same gradient, hashed: there are many. */
function stepped(optimizer: Optimizer, gradient: Gradient, shape: readonly number[]): unknown {
  const next = random('first values');
  const v = new Variable(
    new Float32Array(sizeOf(shape)).map(() => next() - 0.5),
    { shape },
  );
  optimizer.apply([gradient], [v]);
  optimizer.apply([gradient]);
  const hash = ({ value }: Variable) =>
    createHash('sha256')
      .update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength))
      .digest('hex');
  const hashes = [
    optimizer.gradient_norm,
    hash(v),
    ...optimizer.variables.filter((state) => state.shape.length > 0).map(hash),
  ];
  optimizer.dispose();
  v.dispose();
  return hashes;
}

describe('IndexedSlices', () => {
  for (const [name, parts, code, message] of constructed)
    it(`refuses ${name}`, () => {
      const error = thrown(() => new IndexedSlices(...(parts as ConstructorParameters<typeof IndexedSlices>)));
      assert.equal(error?.code, code, String(error));
      assert.match(String(error?.message), message);
    });

  it('keeps typed arrays, copies lists, and shows its parts', () => {
    const [values, indices, shape] = [Float32Array.of(1, 2), [1, 0], [2]];
    const slices = new IndexedSlices(values, indices, shape);
    assert.strictEqual(slices.values, values);
    indices[0] = shape[0] = 7;
    assert.deepEqual([slices.indices, slices.dense_shape], [[1, 0], [2]]);
    assert.throws(() => ((slices.dense_shape as number[])[0] = 3), TypeError);
  });

  const table = () => new Variable(new Float32Array(6), { shape: [3, 2], name: 'table' });
  const slices = () => new IndexedSlices([1, 2, 3, 4, 10, 20], [2, 0, 2], [3, 2]);
  const expected = [-3, -4, 0, 0, -11, -22];
  const ways: Readonly<Record<string, (sgd: SGD, v: Variable) => unknown>> = {
    apply: (sgd, v) => sgd.apply([slices()], [v]),
    apply_async: (sgd, v) => sgd.apply_async([slices()], [v]),
    apply_gradients: (sgd, v) => sgd.apply_gradients([[slices(), v]]),
    minimize: (sgd, v) => sgd.minimize(0, [v], { gradient: () => [slices()] }),
    update: (sgd, v) => sgd.update({ table: v }, { table: slices() }),
    update_step: (sgd, v) => (sgd.build([v]), sgd.update_step(slices(), v)),
    stateless_apply: (sgd, v) => {
      sgd.build([v]);
      const [values] = sgd.stateless_apply(sgd.variables, [slices()], [v]);
      assert.deepEqual([...v.value], [0, 0, 0, 0, 0, 0]);
      v.assign(values[0] as Float32Array);
    },
    'apply on an array': (sgd, v) => {
      const plain = new Float32Array(6);
      sgd.apply([slices()], [plain]);
      v.assign(plain);
    },
  };
  for (const [name, step] of Object.entries(ways))
    it(`goes into ${name}`, async () => {
      const v = table();
      await step(new SGD({ learning_rate: 1 }), v);
      assert.deepEqual([...v.value], expected);
    });

  it('is taken at the call of apply_async, also while a step runs', async () => {
    for (const make of [() => new SGD({ learning_rate: 1 }), () => new Heir(), () => new Adam()]) {
      const [sync, async] = [table(), table()];
      const [a, b] = [make(), make()];
      const [values, indices] = [new Float32Array(4), new Int32Array(2)];
      const given = new IndexedSlices(values, indices, [3, 2]);
      const steps = [];
      for (let t = 0; t < 6; t++) {
        values.forEach((_, i) => (values[i] = t + i));
        indices.set([t % 3, (t + 1) % 3]);
        a.apply([given], [sync]);
        steps.push(b.apply_async([given], [async]));
        values.fill(NaN);
        indices.fill(9);
        if (t % 2 === 1) await Promise.all(steps);
      }
      assert.deepEqual([...async.value], [...sync.value]);
    }
  });

  it('may be of no rows, rows of no elements, and one gradient of two variables', () => {
    const [none, empty, one, two] = [
      new Variable(new Float32Array(0), { shape: [0, 3] }),
      new Variable(new Float32Array(0), { shape: [3, 0] }),
      table(),
      table(),
    ];
    const both = slices();
    const gradients = [new IndexedSlices([], [], [0, 3]), new IndexedSlices([], [1, 1], [3, 0]), both, both];
    for (const flag of [{}, { global_clipnorm: 1000 }, { momentum: 0.5 }]) {
      for (const v of [one, two]) v.assign([0, 0, 0, 0, 0, 0]);
      new SGD({ learning_rate: 1, ...flag }).apply(gradients, [none, empty, one, two]);
      for (const v of [one, two]) assert.deepEqual([...v.value], expected);
    }
  });

  it('is a gradient of zeros without slices: momentum moves on', () => {
    const v = table();
    const sgd = new SGD({ learning_rate: 1, momentum: 0.5 });
    sgd.apply([slices()], [v]);
    sgd.apply([new IndexedSlices([], [], [3, 2])]);
    assert.deepEqual(
      [...v.value],
      expected.map((x) => 1.5 * x),
    );
  });

  it('of many sets of variables keeps no more programs than it says, and every step is right', () => {
    const variables = Array.from({ length: 6 }, table);
    const sgd = new SGD({ learning_rate: 1 });
    for (let set = 1; set < 64; set++)
      sgd.apply(
        variables.map((_, i) => ((set >> i) & 1 ? slices() : null)),
        variables,
      );
    variables.forEach((v) =>
      assert.deepEqual(
        [...v.value],
        expected.map((x) => x * 32), // half of the sets have it
      ),
    );
  });

  it('sums slices of a row in their order, as float32 rounds them, and flushes denormals', () => {
    const v = new Variable([0, 0, 0]);
    const values = Float32Array.of(1, 2 ** 24, 1, 1e-38, -1.0000001e-38, 3e-39);
    new SGD({ learning_rate: 1 }).apply([new IndexedSlices(values, [0, 0, 0, 1, 1, 2], [3])], [v]);
    assert.deepEqual([...v.value].map(Math.abs), [2 ** 24, 0, 0]);
  });
});
