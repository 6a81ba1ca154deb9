// The methods of the Keras pages beyond apply: single updates, pairs, tapes, names, variables of one's own, steps without state.
import { assert } from 'chai';

import { Adam, memory, Nadam, SGD, Variable, type FloatArray, type Trainable, type WeightArray } from '../lib/index.ts';
import { refused, thrown, warnings } from './errors.ts';
import { makers } from './optimizers.ts';
import { random, words } from './random.ts';

const types = [Float32Array, Float64Array];
const copied = ({ value }: Variable): WeightArray => (value as WeightArray).slice();
const wordsOf = (values: WeightArray) => words(Float64Array.from(values, Number));
const valuesOf = (variables: readonly Variable[]) => variables.map(({ value }) => words(value));

/** Two variables and a source of gradients for them. */
function problem(type: (typeof types)[number], seed = 'methods') {
  const next = random(seed);
  const make = (length: number): FloatArray => new type(length).map(() => next() - 0.5);
  const variables = [5, 40].map((length, i) => new Variable(make(length), { name: `v${i}` }));
  return { variables, gradients: () => [5, 40].map(make) };
}

for (const [name, make] of makers())
  for (const type of types) {
    describe(`${name}, ${type.name}`, () => {
      it('update_step is the update of apply, variable by variable, and counts nothing', () => {
        const [whole, single] = [problem(type), problem(type)];
        const [applied, stepped] = [make(), make()];
        for (const [optimizer, { variables }] of [
          [applied, whole],
          [stepped, single],
        ] as const) {
          optimizer.build(variables);
          optimizer.exclude_from_weight_decay({ var_names: [''] }); // update_step does not decay
        }
        for (let t = 0; t < 3; t++) {
          const gradients = whole.gradients();
          const counters = stepped.variables.filter(({ shape }) => shape.length === 0);
          const before = valuesOf(counters);
          single.variables.forEach((v, i) => stepped.update_step(gradients[i] as FloatArray, v));
          assert.deepEqual(valuesOf(counters), before, 'iteration, learning_rate and product');
          applied.apply(gradients);
          assert.deepEqual(valuesOf(single.variables), valuesOf(whole.variables), `after ${t + 1}`);
          stepped.set_weights(applied.variables); // the counters
        }
      });

      it('stateless_apply is apply on other values, and leaves everything as it was', () => {
        const [real, pure] = [problem(type), problem(type)];
        const [applied, stateless] = [make(), make()];
        applied.build(real.variables);
        stateless.build(pure.variables);
        const before = valuesOf([...pure.variables, ...stateless.variables]);
        let values = {
          trainable: pure.variables.map(copied),
          state: stateless.variables.map(copied),
        };
        for (let t = 0; t < 4; t++) {
          const gradients = real.gradients();
          applied.apply(gradients);
          const [trainable, state] = stateless.stateless_apply(values.state, gradients, values.trainable);
          values = { trainable, state };
        }
        assert.deepEqual(values.trainable.map(wordsOf), real.variables.map(copied).map(wordsOf));
        assert.deepEqual(values.state.map(wordsOf), applied.variables.map(copied).map(wordsOf));
        assert.deepEqual(valuesOf([...pure.variables, ...stateless.variables]), before);
        assert.equal(stateless.gradient_norm, null);
      });
    });
  }

describe('update_step', () => {
  it('takes a learning rate, and neither clips nor decays', () => {
    const v = new Variable([1, 2]);
    const optimizer = new SGD({ learning_rate: 0.1, clipvalue: 0.5, weight_decay: 0.5, loss_scale_factor: 4 });
    optimizer.build([v]);
    optimizer.update_step([4, 4], v, 0.25);
    assert.deepEqual([...v.value], [0, 1]);
    assert.equal(optimizer.iterations, 0);
  });
  it('works on plain arrays and between steps of gradient accumulation', () => {
    const array = new Float64Array([1]);
    const optimizer = new SGD({ learning_rate: 1, gradient_accumulation_steps: 2 });
    optimizer.apply([[1]], [array]);
    optimizer.update_step([0.5], array);
    assert.equal(array[0], 0.5);
    optimizer.apply([[1]], [array]);
    assert.equal(array[0], -0.5);
  });
  it('needs an optimizer that is built and idle', async () => {
    const v = new Variable([1, 2]);
    const optimizer = new Nadam();
    const code = () => thrown(() => optimizer.update_step([1, 1], v))?.code;
    assert.equal(code(), 'ERR_OPT_NOT_BUILT');
    optimizer.build([v]);
    const running = optimizer.apply_async([[1, 1]]);
    assert.equal(code(), 'ERR_OPT_BUSY');
    await running;
    optimizer.dispose();
    assert.equal(code(), 'ERR_OPT_DISPOSED');
  });
});

describe('stateless_apply', () => {
  it('needs an optimizer that is built', () => {
    assert.equal(thrown(() => new Adam().stateless_apply([], [[1]], []))?.code, 'ERR_OPT_NOT_BUILT');
  });
  it('leaves a schedule where it is, and counts from the given iteration', () => {
    const v = new Variable([1]);
    const optimizer = new SGD({ learning_rate: (step) => step + 1 });
    optimizer.build([v]);
    const [values, state] = optimizer.stateless_apply([BigInt64Array.of(4n)], [[1]], [[10]]);
    assert.deepEqual([values.map((x) => x[0]), state], [[5], [BigInt64Array.of(5n)]]);
    assert.equal(optimizer.learning_rate, 1);
    assert.equal(v.value[0], 1);
  });
});

describe('pairs', () => {
  const v = new Variable([1, 2]);
  it('are aggregated to themselves on one replica', async () => {
    const g = Float32Array.of(1, 1);
    assert.deepEqual(new SGD().aggregate_gradients([[g, v]]), [[g, v]]);
    const pairs = await new SGD().aggregate_gradients([[g, v]]);
    assert.strictEqual(pairs[0]?.[1], v);
  });
  it('are aggregated by apply_gradients unless that is skipped', () => {
    class Summing extends SGD {
      calls = 0;
      override aggregate_gradients(pairs: Parameters<SGD['aggregate_gradients']>[0]) {
        this.calls++;
        return super.aggregate_gradients(pairs);
      }
    }
    const optimizer = new Summing();
    assert.equal(optimizer.apply_gradients([[[1, 1], v]]), 1);
    assert.equal(optimizer.apply_gradients([[[1, 1], v]], { skip_gradients_aggregation: true }), 2);
    assert.equal(optimizer.calls, 1);
  });
  it('are what minimize takes from compute_gradients, and apply_gradients from aggregate_gradients', async () => {
    class Halving extends SGD {
      override compute_gradients(...args: Parameters<SGD['compute_gradients']>) {
        return super.compute_gradients(...args).map(([gradient, variable]) => {
          return [(gradient as number[]).map((g) => g / 2), variable] as const;
        });
      }
    }
    const x = new Variable([3]);
    new Halving({ learning_rate: 1 }).minimize(0, [x], { gradient: () => [[2]] });
    assert.equal(x.value[0], 2);
    class Losing extends SGD {
      override aggregate_gradients(): never {
        return undefined as never;
      }
    }
    const optimizer = new Losing();
    const message = /Losing.apply_gradients expects an array of \[gradient, variable\], got undefined/;
    await refused(optimizer, [x], () => optimizer.apply_gradients([[[1], x]]), 'ERR_OPT_ARRAY_TYPE', message);
  });
  it('come from a tape, which minimize follows', () => {
    const x = new Variable([3], { name: 'x' });
    const tape = {
      gradient: (loss: (x: number) => number, variables: readonly Trainable[]) =>
        variables.map((variable) => {
          const at = (variable as Variable).value[0] as number;
          return [(loss(at + 1e-4) - loss(at - 1e-4)) / 2e-4];
        }),
    };
    const loss = (at: number) => (at - 1) ** 2;
    const optimizer = new SGD({ learning_rate: 0.25 });
    const [[gradient, variable] = []] = optimizer.compute_gradients(loss, [x], tape);
    assert.strictEqual(variable, x);
    assert.closeTo((gradient as number[])[0] as number, 4, 1e-3);
    for (let t = 1; t <= 20; t++) assert.equal(optimizer.minimize(loss, [x], tape), t);
    assert.closeTo(x.value[0] as number, 1, 1e-3);
  });
});

describe('update', () => {
  const data = () => ({ kernel: Float32Array.of(1, 2), bias: new Variable([3], { name: 'other' }) });
  const grads = { bias: [1], kernel: [1, 1] };
  for (const [what, wrap] of [
    ['an object', (x: object) => x],
    ['a Map', (x: object) => new Map(Object.entries(x))],
  ] as const)
    it(`steps on ${what} by names, whatever their order`, () => {
      const params = data();
      const optimizer = new SGD({ learning_rate: 0.5, weight_decay: 1 });
      optimizer.exclude_from_weight_decay({ var_names: ['^kernel$'] });
      for (let t = 1; t <= 2; t++) assert.equal(optimizer.update(wrap(params) as never, wrap(grads) as never), t);
      assert.deepEqual([...params.kernel], [0, 1]);
      assert.deepEqual([...params.bias.value], [0]);
    });
  it('finds variables that it was built with by their paths', () => {
    const v = new Variable([1], { name: 'a/b' });
    const optimizer = new SGD({ learning_rate: 1 });
    optimizer.build([v]);
    optimizer.update({ 'a/b': v }, { 'a/b': [1] });
    assert.equal(v.value[0], 0);
  });
  it('refuses names that are not unique, and Maps with entries of their own', async () => {
    const twins = [1, 2].map((x) => new Variable([x], { name: 'twin' })) as [Variable, Variable];
    const optimizer = new SGD();
    optimizer.build(twins);
    const step = (params: unknown) => () => optimizer.update(params as never, { twin: [1] });
    const two = /SGD.update expects variables of different names, two are named "twin"/;
    await refused(optimizer, twins, step({ twin: twins[0] }), 'ERR_OPT_ALIAS', two);
    const strange = new Map([['twin', twins[0]]]);
    strange[Symbol.iterator] = () => [3][Symbol.iterator]() as never;
    await refused(optimizer, twins, step(strange), 'ERR_OPT_ALIAS', two);
    await refused(
      optimizer,
      twins,
      step(new Proxy(strange, {})),
      'ERR_OPT_ARRAY_TYPE',
      /params to be a Map or an object/,
    );
  });
  it('leaves out what has null for a gradient', async () => {
    const params = data();
    const seen = await warnings(() => new SGD({ learning_rate: 1 }).update(params, { kernel: null, bias: [1] }));
    assert.match(seen.join(), /gradients do not exist for variables "kernel"/);
    assert.deepEqual([...params.kernel, ...params.bias.value], [1, 2, 2]);
  });
  it('that fails at first leaves no names behind', () => {
    const params = data();
    const optimizer = new SGD();
    assert.equal(thrown(() => optimizer.update(params, {}))?.code, 'ERR_OPT_NO_GRADIENT');
    assert.equal(thrown(() => optimizer.update(params, { kernel: [1], bias: [1] }))?.code, 'ERR_OPT_LENGTH');
    assert.equal(optimizer.update({ other: params.kernel }, { other: [1, 1] }), 1);
    const another = { other: params.kernel.slice() };
    assert.equal(thrown(() => optimizer.update(another, { other: [1, 1] }))?.code, 'ERR_OPT_UNKNOWN_VARIABLE');
  });
});

describe('assign, assign_add and assign_sub', () => {
  it('write into variables of the model and of the optimizer, and arrays it was built with', () => {
    const [v, array] = [new Variable([1, 2]), Float32Array.of(3)];
    const optimizer = new SGD({ momentum: 0.9 });
    optimizer.build([v, array]);
    const slot = optimizer.variables[2] as Variable;
    optimizer.assign(slot, [5, 6]);
    optimizer.assign_add(v, slot);
    optimizer.assign_sub(array, [0.5]);
    assert.deepEqual([...v.value, ...slot.value, ...array], [6, 8, 5, 6, 2.5]);
  });
});

describe('variables of an optimizer', () => {
  it("are added with Keras's names, after those it has", () => {
    const v = new Variable(new Float64Array([1, 2]), { name: 'dense/kernel', shape: [1, 2] });
    const optimizer = new SGD({ name: 'o' });
    const early = optimizer.add_variable();
    optimizer.build([v]);
    const added = [
      early,
      optimizer.add_variable({ shape: [2, 3], dtype: 'float64', initializer: 'ones', name: 'table' }),
      optimizer.add_variable_from_reference(v),
      optimizer.add_variable_from_reference(v, { name: 'first', initial_value: v }),
      optimizer.add_variable_from_reference(v, {
        name: 'other',
        shape: [3],
        initializer: (shape) => shape.map((n) => n).concat(1, 2),
      }),
      ...optimizer.add_optimizer_variables([v], 'slot', { initializer: 'ones' }),
      ...optimizer.add_optimizer_variables([v], ['a', 'b'], { initializer: ['zeros', 'ones'] }).flat(),
    ];
    assert.deepEqual(
      added.map(({ path, shape, dtype, value }) => [path, [...shape], dtype, [...value]]),
      [
        ['o/variable', [], 'float32', [0]],
        ['o/table', [2, 3], 'float64', [1, 1, 1, 1, 1, 1]],
        ['o/dense_kernel_var', [1, 2], 'float64', [0, 0]],
        ['o/dense_kernel_first', [1, 2], 'float64', [1, 2]],
        ['o/dense_kernel_other', [3], 'float64', [3, 1, 2]],
        ['o/dense_kernel_slot', [1, 2], 'float64', [1, 1]],
        ['o/dense_kernel_a', [1, 2], 'float64', [0, 0]],
        ['o/dense_kernel_b', [1, 2], 'float64', [1, 1]],
      ],
    );
    assert.deepEqual(optimizer.variables.slice(2), added);
  });
  it('are interleaved by variable, as Keras creates them', () => {
    const list = ['v', 'w'].map((name) => new Variable([1], { name }));
    const optimizer = new SGD({ name: 'o' });
    const [a, b] = optimizer.add_optimizer_variables(list, ['a', 'b']);
    assert.deepEqual(
      optimizer.variables.slice(2).map(({ name }) => name),
      ['v_a', 'v_b', 'w_a', 'w_b'],
    );
    assert.deepEqual(
      [a, b].map((row) => row?.map(({ name }) => name)),
      [
        ['v_a', 'w_a'],
        ['v_b', 'w_b'],
      ],
    );
  });
  it('of several names are added all or none', async () => {
    const [v, optimizer] = [new Variable([1]), new SGD()];
    optimizer.build([v]);
    const before = memory().cpu;
    const add = () => optimizer.add_optimizer_variables([v, 3 as never], ['a', 'b']);
    await refused(optimizer, [v], add, 'ERR_OPT_ARRAY_TYPE', /expects a Variable, or an array .* got 3/);
    assert.lengthOf(optimizer.variables, 2);
    await new Promise(setImmediate); // finalizers
    assert.isAtMost(memory().cpu, before);
  });
  it('are set, and disposed of, with the others', () => {
    const optimizer = new SGD();
    const added = optimizer.add_variable({ shape: [2] });
    optimizer.build([new Variable([1])]);
    optimizer.set_weights([3, 0.5, [7, 8]]);
    assert.deepEqual([...added.value], [7, 8]);
    optimizer.dispose();
    assert.throws(() => added.value, /disposed/);
    assert.throws(() => optimizer.add_variable(), /disposed/);
  });
});
