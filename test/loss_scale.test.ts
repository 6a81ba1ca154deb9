// LossScaleOptimizer: a step of the inner optimizer on unscaled gradients, or none at all.
import { assert } from 'chai';

import {
  Adam,
  IndexedSlices,
  LossScaleOptimizer,
  memory,
  MultiOptimizer,
  Nadam,
  Optimizer,
  OptimizerMap,
  SGD,
  Variable,
  fields,
  type FloatArray,
  type Gradient,
} from '../lib/index.ts';
import { getNumThreads, setNumThreads, useBackend } from '../lib/native.ts';
import { rejection, thrown } from './errors.ts';
import { flags, makers } from './optimizers.ts';
import { backends, random, words } from './random.ts';

const lengths = [1, 7, 1000];
const types = [Float32Array, Float64Array];
const kScale = 1024; // a power of two: products and quotients are exact

const all = (optimizer: Optimizer, variables: readonly Variable[] = []): string[][] =>
  [...variables, ...optimizer.variables].map(({ value }) => words(value));
const state = (inner: Optimizer, variables: readonly Variable[]): string[][] => all(inner, variables);

type Step = (optimizer: Optimizer, gradients: Gradient[], variables: Variable[]) => unknown;
const ways: Readonly<Record<string, Step>> = {
  apply: (optimizer, gradients, variables) => optimizer.apply(gradients, variables),
  apply_async: (optimizer, gradients, variables) => optimizer.apply_async(gradients, variables),
  'apply on own gradients': (optimizer, gradients, variables) => {
    optimizer.build(variables);
    gradients.forEach((g, i) => variables[i]?.gradient.set(g as FloatArray));
    return optimizer.apply();
  },
  stateless_apply: (optimizer, gradients, variables) => {
    optimizer.build(variables);
    const copies = (list: readonly Variable[]) => list.map(({ value }) => value.slice());
    const [values, numbers] = optimizer.stateless_apply(copies(optimizer.variables), gradients, copies(variables));
    variables.forEach((variable, i) => variable.assign(values[i] as FloatArray));
    optimizer.set_weights(numbers);
  },
};

/** The optimizer and what it wraps after three steps, the second of which is not finite in the wrapper. */
async function train(optimizer: Optimizer, inner: Optimizer, step: Step, type: (typeof types)[number], by: number) {
  const next = random('loss scale');
  const make = (length: number) => new type(length).map(() => next() - 0.5);
  const variables = lengths.map((length) => new Variable(make(length)));
  for (let t = 0; t < 3; t++) {
    const gradients = lengths.map((length) => make(length).map((x) => x * by));
    if (t === 1 && optimizer !== inner) {
      const broken = gradients.map((g, i) => (i === 1 ? g.map((x, k) => (k === 6 ? NaN : x)) : g));
      await step(optimizer, broken, variables);
      gradients.forEach((g) => g.forEach((x, i) => (g[i] = x / 2))); // the scale has been halved
    }
    if (t > 1 && optimizer !== inner) gradients.forEach((g) => g.forEach((x, i) => (g[i] = x / 2)));
    await step(optimizer, gradients, variables);
  }
  return state(inner, variables);
}

describe('a LossScaleOptimizer', () => {
  for (const [way, step] of Object.entries(ways))
    it(`steps every optimizer as if the gradients had not been scaled and the bad one not been there: ${way}`, async () => {
      for (const flag of flags.filter((options) => !('loss_scale_factor' in options)))
        for (const [title, make] of makers(flag))
          for (const type of types) {
            const [inner, alone] = [make(), make()];
            const wrapped = new LossScaleOptimizer({ inner_optimizer: inner, initial_scale: kScale });
            assert.deepEqual(
              await train(wrapped, inner, step, type, kScale),
              await train(alone, alone, ways.apply as Step, type, 1),
              `${title} ${type.name}`,
            );
            assert.equal(wrapped.dynamic_scale, kScale / 2);
            assert.equal(wrapped.step_counter, 2);
          }
    });

  it('takes the loss_scale_factor of the inner optimizer away', () => {
    const inner = new SGD({ learning_rate: 1, loss_scale_factor: 7 });
    const v = new Variable([1]);
    const optimizer = new LossScaleOptimizer({ inner_optimizer: inner, initial_scale: 4 });
    assert.isNull(inner.loss_scale_factor);
    assert.isNull(inner.get_config().loss_scale_factor);
    optimizer.apply([[2]], [v]);
    assert.equal(v.value[0], 0.5);
    inner.apply([[0.25]], [v]); // not divided by the scale of the step before
    assert.equal(v.value[0], 0.25);
  });

  it('unscales [4, -8, -4, 24] by 8, and leaves the weights alone for an infinite gradient', () => {
    const optimizer = new LossScaleOptimizer({ inner_optimizer: new SGD({ learning_rate: 0.5 }), initial_scale: 8 });
    const v = new Variable([1, 2, 3, 4]);
    assert.equal(optimizer.apply([[4, -8, -4, 24]], [v]), 1);
    assert.deepEqual([...v.value], [0.75, 2.5, 3.25, 2.5]);
    assert.equal(optimizer.apply([[Infinity, 1, 1, 1]], [v]), 1);
    assert.deepEqual([...v.value], [0.75, 2.5, 3.25, 2.5]);
    assert.equal(optimizer.iterations, 1);
  });

  it('halves 400 to 25 in four infinite steps, and doubles 2 to 32 in eight finite ones with dynamic_growth_steps 2', () => {
    const run = (initial_scale: number, gradient: number, count: number): number => {
      const options = { inner_optimizer: new SGD(), initial_scale, dynamic_growth_steps: 2 };
      const optimizer = new LossScaleOptimizer(options);
      assert.equal(optimizer.scale_loss(3), 3 * initial_scale);
      const v = new Variable([1]);
      for (let t = 0; t < count; t++) optimizer.apply([[gradient]], [v]);
      assert.equal(optimizer.scale_loss(3), 3 * optimizer.dynamic_scale);
      return optimizer.dynamic_scale;
    };
    assert.equal(run(400, Infinity, 4), 25);
    assert.equal(run(2, 1, 8), 32);
    assert.equal(run(2 ** 127, 0, 2), Infinity); // no bounds, as in Keras
    assert.equal(run(2 ** -126, NaN, 1), 0); // denormals are zero
  });

  it('sees every number that is not finite, wherever it is, on every backend, with any threads, and no other', async () => {
    const sizes = [1, 15, 16, 17, 1024, 1025, 16_384, 32_768, 32_769, 200_000];
    const before = [useBackend(backends[0] as string), getNumThreads()] as const;
    for (const backend of backends)
      for (const threads of [1, 3])
        for (const type of types) {
          useBackend(backend);
          setNumThreads(threads);
          const most = type === Float32Array ? 3.4e38 : 1.7e308; // whose square is infinite
          for (const length of sizes) {
            const optimizer = new LossScaleOptimizer({ inner_optimizer: new SGD({ learning_rate: 0 }) });
            const variables = [new Variable(new type(3)), new Variable(new type(length))];
            const gradients = [new type(3), new type(length).fill(most)] as const;
            const step = async (way: 'apply' | 'apply_async') => optimizer[way]([...gradients], variables);
            const who = `${backend} ${threads} ${type.name} ${length}`;
            assert.equal(await step('apply'), 1, who);
            for (const at of [0, length >> 1, length - 1])
              for (const bad of [NaN, Infinity, -Infinity]) {
                gradients[1][at] = bad;
                assert.equal(await step('apply'), 1, `${who} ${bad} at ${at}`);
                assert.equal(await step('apply_async'), 1, `${who} ${bad} at ${at}`);
                gradients[1][at] = -most;
              }
            assert.equal(await step('apply_async'), 2, who);
            optimizer.dispose();
            for (const variable of variables) variable.dispose();
          }
        }
    useBackend(before[0]);
    setNumThreads(before[1]);
  });

  it('sees them in encoded gradients, and where they are accumulated, but not in what it does not read', () => {
    for (const [gradient_dtype, one, bad] of [
      ['bfloat16', 0x3f80, 0x7f80],
      ['float16', 0x3c00, 0xfe00],
    ] as const) {
      const inner_optimizer = new SGD({ learning_rate: 1, gradient_dtype, gradient_accumulation_steps: 2 });
      const optimizer = new LossScaleOptimizer({ inner_optimizer, initial_scale: 2 });
      const [v, other] = [new Variable(new Float32Array(2000)), new Variable([NaN])];
      const gradient = new Uint16Array(2000).fill(one);
      assert.equal(optimizer.apply([gradient, null], [v, other]), 1);
      gradient[1999] = bad;
      assert.equal(optimizer.apply([gradient, null], [v, other]), 1);
      gradient[1999] = one;
      assert.equal(optimizer.apply([gradient, null], [v, other]), 2);
      assert.equal(v.value[1999], -0.75); // of 1 / 2 and 1 / 1
    }
  });

  it('sees them in the rows of sparse gradients, however many', async () => {
    const [inner_optimizer, count] = [new SGD({ learning_rate: 1 }), 100_001]; // some chunks and a row
    const optimizer = new LossScaleOptimizer({ inner_optimizer, initial_scale: 2 });
    const table = new Variable(new Float32Array(2 * count * 3), { shape: [2 * count, 3] });
    const values = new Float32Array(count * 3).fill(4);
    const rows = Uint32Array.from({ length: count }, (_, i) => 2 * i + 1);
    const slices = new IndexedSlices(values, rows, [2 * count, 3]);
    for (const at of [0, values.length - 1])
      for (const way of ['apply', 'apply_async'] as const) {
        values[at] = Infinity;
        assert.equal(await optimizer[way]([slices], [table]), 0, `${at} ${way}`);
        values[at] = 4;
      }
    assert.isTrue(table.value.every((x) => x === 0));
    assert.equal(optimizer.apply([slices]), 1);
    assert.isTrue(table.value.every((x, i) => x === (Math.floor(i / 3) % 2 === 1 ? -32 : 0))); // 4 / (2 / 2 ** 4)
  });

  for (const way of ['apply', 'apply_async'] as const)
    it(`takes sparse gradients, alone and around a MultiOptimizer: ${way}`, async () => {
      const shape = [4, 2];
      const slices = (by: number) =>
        new IndexedSlices(
          Float32Array.of(1, 2, 3, 4).map((x) => x * by),
          [3, 1],
          shape,
        );
      const dense = (by: number) => [0, 0, 3 * by, 4 * by, 0, 0, by, 2 * by];
      const wrapper = (inner: () => Optimizer) => [
        new LossScaleOptimizer({ inner_optimizer: inner(), initial_scale: 4 }),
        new LossScaleOptimizer({
          inner_optimizer: new MultiOptimizer({ optimizer_map: mapOf(inner()) }),
          initial_scale: 4,
        }),
      ];
      const mapOf = (inner: Optimizer) =>
        new OptimizerMap({ default_optimizer: inner, optimizer_map: { b: new SGD({ learning_rate: 1 }) } });
      for (const [title, make] of makers({ clipnorm: 1 }))
        for (const [i, optimizer] of wrapper(make).entries()) {
          const names = ['a', 'b'].slice(0, i + 1);
          const variables = names.map((name) => new Variable(dense(1), { shape, name }));
          const step = async (gradient: Gradient) => optimizer[way](names.map(() => gradient), variables); // prettier-ignore
          const expected = wrapper(make)[i] as LossScaleOptimizer;
          const others = names.map((name) => new Variable(dense(1), { shape, name }));
          for (const by of [4, NaN, 2, 2]) {
            await step(slices(by));
            expected.apply(names.map(() => (Number.isNaN(by) ? dense(by).map(() => NaN) : dense(by))), others); // prettier-ignore
            assert.deepEqual(all(optimizer, variables), all(expected, others), `${title} ${by}`);
          }
          assert.equal(optimizer.iterations, 3);
          const outside = new IndexedSlices([1, 1], [4], shape);
          assert.propertyVal(await rejection(() => step(outside)), 'code', 'ERR_OPT_INDEX');
          assert.deepEqual(all(optimizer, variables), all(expected, others), title);
          assert.equal(await step(slices(2)), 4);
        }
    });

  it('delegates the learning rate, the counter, averages and the exclusion from decay', () => {
    const inner = new SGD({ learning_rate: 0.5, use_ema: true, weight_decay: 0.5 });
    const optimizer = new LossScaleOptimizer({ inner_optimizer: inner, initial_scale: 2 });
    assert.equal(optimizer.learning_rate, 0.5);
    optimizer.learning_rate = 1;
    assert.equal(inner.learning_rate, 1);
    const [kernel, bias] = [new Variable([4], { name: 'kernel' }), new Variable([4], { name: 'bias' })];
    optimizer.exclude_from_weight_decay({ var_names: ['bias'] });
    optimizer.apply([[2], [2]], [kernel, bias]);
    assert.deepEqual([kernel.value[0], bias.value[0]], [1, 3]);
    kernel.assign([9]);
    optimizer.swap_ema_weights();
    assert.equal(kernel.value[0], 1);
    optimizer.swap_ema_weights();
    optimizer.finalize_variable_values();
    assert.equal(kernel.value[0], 1);
    assert.equal(optimizer.iterations, 1);
    assert.isNull(optimizer.gradient_norm);
    optimizer.update_step([1], kernel);
    assert.equal(kernel.value[0], 0);
  });

  it('keeps all of its state in variables: another one goes on with the same bits, the product of a Nadam included', () => {
    const make = () => new LossScaleOptimizer({ inner_optimizer: new Nadam(), dynamic_growth_steps: 3 });
    const [one, other] = [make(), make()];
    const [a, b] = [new Variable([1, 2]), new Variable([0, 0])];
    for (let t = 1; t < 6; t++) one.apply([[t === 3 ? NaN : t, -t]], [a]);
    other.build([b]);
    other.set_weights(one.variables.map(({ value }) => value.slice()));
    b.assign(a);
    for (let t = 1; t < 6; t++) for (const [optimizer, v] of [[one, a], [other, b]] as const) optimizer.apply([[t, t]], [v]); // prettier-ignore
    assert.deepEqual(all(other, [b]), all(one, [a]));
    assert.equal(Number(one.variables[0]?.value[0]), 0); // Keras's own counter is never used
  });

  it('settles the scale before a waiting step reads it, and refuses a third', async () => {
    const inner = new SGD({ learning_rate: 1 });
    const optimizer = new LossScaleOptimizer({ inner_optimizer: inner, initial_scale: 8 });
    const [v, g] = [new Variable(new Float32Array(100_000)), new Float32Array(100_000).fill(Infinity)];
    const first = optimizer.apply_async([g], [v]);
    const second = optimizer.apply_async([g.fill(4)], [v]); // copied by the first
    const { code } = (await rejection(() => optimizer.apply_async([g], [v]))) ?? {};
    assert.equal(code, 'ERR_OPT_BUSY');
    for (const refused of [
      () => inner.apply([g], [v]),
      () => inner.dispose(),
      () => optimizer.apply([g], [v]),
      () => optimizer.set_weights([]),
      () => optimizer.dispose(),
      () => new LossScaleOptimizer({ inner_optimizer: inner }),
    ])
      assert.propertyVal(thrown(refused), 'code', 'ERR_OPT_BUSY');
    assert.propertyVal(await rejection(() => inner.apply_async([g], [v])), 'code', 'ERR_OPT_BUSY');
    assert.deepEqual(await Promise.all([first, second]), [0, 1]);
    await optimizer.idle();
    assert.equal(v.value[0], -1); // 4 / (8 / 2)
    assert.equal(inner.apply([g.fill(1)], [v]), 2);
  });

  class Failing extends Optimizer {
    static override readonly fields = fields.common(0.5);
    static readonly className: string = 'Failing';
    fails = false;
    override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
      for (let i = 0; i < gradient.length; i++)
        variable.value[i] = (variable.value[i] as number) - learning_rate * (gradient[i] as number);
      if (this.fails) throw new Error('mine');
    }
  }

  for (const way of ['apply', 'apply_async'] as const)
    it(`steps a class in TypeScript, and is as it was when that throws: ${way}`, async () => {
      const inner = new Failing();
      const optimizer = new LossScaleOptimizer({ inner_optimizer: inner, initial_scale: 4 });
      const variables = [new Variable([1, 2]), new Variable([3])];
      const step = async (g: number[][]) => optimizer[way](g, variables);
      await step([[4, 8], [NaN]]);
      await step([[4, 8], [2]]);
      assert.deepEqual([...(variables[0] as Variable).value, ...(variables[1] as Variable).value], [0, 0, 2.5]);
      const before = all(optimizer, variables);
      inner.fails = true;
      assert.equal((await rejection(() => step([[4, 8], [2]])))?.message, 'mine');
      assert.deepEqual(all(optimizer, variables), before);
    });

  it('is as it was after anything that a step refuses, also before its first', () => {
    const optimizer = new LossScaleOptimizer({ inner_optimizer: new Adam({ learning_rate: rate }), initial_scale: 4 });
    const v = new Variable([1, 2]);
    assert.equal(thrown(() => optimizer.apply([[1, 1]], [v]))?.message, 'no rate');
    assert.isFalse(optimizer.built);
    assert.isFalse(optimizer.inner_optimizer.built);
    optimizer.build([v]);
    const before = all(optimizer, [v]);
    const detached = new Float32Array(2);
    structuredClone(detached, { transfer: [detached.buffer] });
    for (const [gradients, code] of [
      [[[1]], 'ERR_OPT_LENGTH'],
      [[null], 'ERR_OPT_NO_GRADIENT'],
      [[v.value], 'ERR_OPT_ALIAS'],
      [[detached], 'ERR_OPT_DETACHED'],
      [[new Float64Array(2)], 'ERR_OPT_ARRAY_TYPE'],
      [[[1, 1], [1]], 'ERR_OPT_LENGTH'],
    ] as const) {
      assert.propertyVal(
        thrown(() => optimizer.apply(gradients as readonly Gradient[])),
        'code',
        code,
      );
      assert.deepEqual(all(optimizer, [v]), before, code);
    }
    assert.propertyVal(
      thrown(() => new LossScaleOptimizer({ inner_optimizer: new SGD() }).apply([[1]])),
      'code',
      'ERR_OPT_NOT_BUILT',
    );
    function rate(): number {
      throw new Error('no rate');
    }
  });

  it('lets no function of the caller step it, or the inner one, in the middle of a step', () => {
    const codes: unknown[] = [];
    const v = new Variable([1]);
    const rate = (): number => {
      for (const one of [optimizer, inner]) codes.push(thrown(() => one.apply([[1]], [v]))?.code);
      return 1;
    };
    const inner: Optimizer = new SGD({ learning_rate: rate });
    const optimizer = new LossScaleOptimizer({ inner_optimizer: inner, initial_scale: 1 });
    optimizer.apply([[1]], [v]);
    assert.equal(inner.iterations, 1);
    assert.isAtLeast(codes.length, 2);
    assert.deepEqual(new Set(codes), new Set(['ERR_OPT_BUSY']));
  });

  it('wraps an optimizer that has been built, one that another wraps, and a MultiOptimizer; but no other LossScaleOptimizer', () => {
    const inner = new SGD({ learning_rate: 1 });
    const array = new Float32Array([1, 2]);
    inner.apply([[1, 1]], [array]);
    const two = [4, 8].map((initial_scale) => new LossScaleOptimizer({ inner_optimizer: inner, initial_scale }));
    for (const [i, optimizer] of two.entries()) assert.equal(optimizer.apply([[8, 8]], [array]), 2 + i);
    assert.deepEqual([...array], [-3, -2]);
    two[0]?.dispose();
    assert.propertyVal(
      thrown(() => two[1]?.apply([[8, 8]], [array])),
      'code',
      'ERR_OPT_DISPOSED',
    );
    two[1]?.dispose();
    assert.propertyVal(
      thrown(() => new LossScaleOptimizer({ inner_optimizer: inner })),
      'code',
      'ERR_OPT_DISPOSED',
    );
    const [outer] = two as [LossScaleOptimizer];
    assert.instanceOf(
      thrown(() => new LossScaleOptimizer({ inner_optimizer: outer })),
      RangeError,
    );
  });

  it('around a MultiOptimizer skips the step of all, and takes away the loss_scale_factor of all', () => {
    const [a, b] = [new SGD({ learning_rate: 1 }), new SGD({ learning_rate: 2 })];
    const optimizer_map = new OptimizerMap({ default_optimizer: a, optimizer_map: { bias: b } });
    const multi = new MultiOptimizer({ optimizer_map, loss_scale_factor: 3 });
    assert.deepEqual([a.loss_scale_factor, b.loss_scale_factor], [3, 3]);
    const optimizer = new LossScaleOptimizer({ inner_optimizer: multi, initial_scale: 4 });
    assert.deepEqual([a.loss_scale_factor, b.loss_scale_factor, multi.loss_scale_factor], [null, null, null]);
    const variables = ['kernel', 'bias'].map((name) => new Variable([1], { name }));
    assert.equal(optimizer.apply([[4], [NaN]], variables), 0);
    assert.equal(optimizer.apply([[4], [2]], variables), 1);
    assert.deepEqual(
      variables.map(({ value }) => value[0]),
      [-1, -1],
    );
    assert.deepEqual([multi.iterations, a.iterations, b.iterations], [1, 1, 1]);
    assert.deepEqual(
      optimizer.variables.map(({ name }) => name),
      ['iteration', 'learning_rate', 'step_counter', 'dynamic_scale', ...[0, 1, 2].flatMap(() => ['iteration', 'learning_rate'])], // prettier-ignore
    );
  });

  it('gives all memory back', async () => {
    const settle = async () => {
      for (let i = 0; i < 4; i++) {
        globalThis.gc?.();
        await new Promise(setImmediate);
      }
    };
    await settle();
    const before = memory().cpu;
    const optimizer = new LossScaleOptimizer({ inner_optimizer: new Adam({ use_ema: true }) });
    const [v, g] = [new Variable(new Float32Array(5000)), new Float32Array(5000)];
    await optimizer.apply_async([g], [v]);
    assert.isAbove(memory().cpu, before);
    optimizer.dispose();
    optimizer.dispose();
    v.dispose();
    await settle();
    assert.equal(memory().cpu, before);
    assert.propertyVal(
      thrown(() => optimizer.apply([g], [v])),
      'code',
      'ERR_OPT_DISPOSED',
    );
  });
});
