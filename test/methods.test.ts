// The methods of the Keras pages beyond apply: single updates, pairs, tapes, names, variables of one's own, steps without state.
import { assert } from 'chai';

import { Adam, memory, Nadam, SGD, Variable, type FloatArray, type Trainable } from '../lib/index.ts';
import { refused, thrown, warnings } from './errors.ts';
import { makers } from './optimizers.ts';
import { random, words } from './random.ts';

const types = [Float32Array, Float64Array];
const copied = ({ value }: Variable): FloatArray | BigInt64Array => (value as FloatArray | BigInt64Array).slice();
const wordsOf = (values: FloatArray | BigInt64Array) => words(Float64Array.from(values, Number));
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
  it('refuses what apply refuses', async () => {
    const v = new Variable([1, 2], { name: 'v' });
    const optimizer = new Nadam();
    assert.equal(thrown(() => new Nadam().update_step([1], v))?.code, 'ERR_OPT_NOT_BUILT');
    optimizer.build([v]);
    const rows = [
      [[[1], v], 'ERR_OPT_LENGTH', /has 1 elements, its variable has 2/],
      [[null, v], 'ERR_OPT_NO_GRADIENT', /at least one/],
      [['x', v], 'ERR_OPT_ARRAY_TYPE', /got "x"/],
      [[[1, 1], new Variable([1, 2])], 'ERR_OPT_UNKNOWN_VARIABLE', /built with/],
      [[[1, 1], 3], 'ERR_OPT_UNKNOWN_VARIABLE', /got 3/],
      [
        [[1, 1], v, '0.1'],
        'ERR_OPT_CONFIG_TYPE',
        /Nadam.update_step expects learning_rate to be a finite number, got "0.1"/,
      ],
      [[[1, 1], v, NaN], 'ERR_OPT_CONFIG_RANGE', /got NaN/],
    ] as const;
    for (const [args, code, message] of rows)
      await refused(optimizer, [v], () => optimizer.update_step(...(args as unknown as [[], Variable])), code, message);
    const running = optimizer.apply_async([[1, 1]]);
    assert.equal(thrown(() => optimizer.update_step([1, 1], v))?.code, 'ERR_OPT_BUSY');
    await running;
    optimizer.dispose();
    assert.equal(thrown(() => optimizer.update_step([1, 1], v))?.code, 'ERR_OPT_DISPOSED');
  });
});

describe('stateless_apply', () => {
  it('refuses what does not fit, and changes nothing', async () => {
    const v = new Variable([1, 2]);
    const optimizer = new Adam({ name: 'a', use_ema: true, clipnorm: 1 });
    assert.equal(thrown(() => optimizer.stateless_apply([], [[1]], []))?.code, 'ERR_OPT_NOT_BUILT');
    optimizer.apply([[1, 1]], [v]);
    const state = optimizer.variables;
    const rows = [
      [
        [state.slice(1), [[1, 1]], [v]],
        'ERR_OPT_LENGTH',
        /Adam.stateless_apply expects 5 arrays, one for each variable, got 4/,
      ],
      [[state, [[1, 1]], []], 'ERR_OPT_LENGTH', /expects 1 arrays, one for each variable, got 0/],
      [[state, [[1]], [v]], 'ERR_OPT_LENGTH', /gradients\[0\] .* has 1 elements/],
      [[state, [[1, 1]], [[1, 2, 3]]], 'ERR_OPT_LENGTH', /weights\[0\] .* expects 2 elements, got 3/],
      [[state, 3, [v]], 'ERR_OPT_ARRAY_TYPE', /expects an array of gradients, got 3/],
      [[3, [[1, 1]], [v]], 'ERR_OPT_ARRAY_TYPE', /expects an array of weights, got 3/],
    ] as const;
    for (const [args, code, message] of rows)
      await refused(
        optimizer,
        [v],
        () => optimizer.stateless_apply(...(args as unknown as [[], [], []])),
        code,
        message,
      );
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
  it('are aggregated to themselves on one replica', () => {
    const g = Float32Array.of(1, 1);
    assert.deepEqual(new SGD().aggregate_gradients([[g, v]]), [[g, v]]);
    assert.strictEqual(new SGD().aggregate_gradients([[g, v]])[0]?.[1], v);
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
  it('are refused where they are none, and so is what is no tape', async () => {
    const optimizer = new SGD();
    optimizer.build([v]);
    const compute = (loss: unknown, list: unknown, tape: unknown) => (method: 'compute_gradients' | 'minimize') => () =>
      optimizer[method](loss, list as [], tape as never);
    const gives = (gradients: unknown) => ({ gradient: () => gradients });
    const rows = [
      [
        compute(0, [v], undefined),
        'ERR_OPT_CONFIG_TYPE',
        /expects tape to be an object with a method gradient\(loss, variables\), got undefined; this package does not differentiate: pass/,
      ],
      [compute(0, [v], {}), 'ERR_OPT_CONFIG_TYPE', /got an object/],
      [compute(0, [v], { gradient: 3 }), 'ERR_OPT_CONFIG_TYPE', /expects tape/],
      [compute(0, 3, gives([])), 'ERR_OPT_ARRAY_TYPE', /expects variables to be an array/],
      [compute(0, [v], gives(3)), 'ERR_OPT_ARRAY_TYPE', /expects tape.gradient to return an array of gradients, got 3/],
      [compute(0, [v], gives(Promise.resolve([]))), 'ERR_OPT_ARRAY_TYPE', /got an object/],
      [
        compute(0, [v], gives([])),
        'ERR_OPT_LENGTH',
        /expects tape.gradient to return 1 gradients, one for each variable, got 0/,
      ],
    ] as const;
    for (const method of ['compute_gradients', 'minimize'] as const)
      for (const [call, code, message] of rows) await refused(optimizer, [v], call(method), code, message);
    const pairs = [
      [3, 'ERR_OPT_ARRAY_TYPE', /expects an array of \[gradient, variable\], got 3/],
      [[[1]], 'ERR_OPT_ARRAY_TYPE', /got an array/],
      [[], 'ERR_OPT_LENGTH', /expects a non-empty array, got none/],
    ] as const;
    for (const method of ['aggregate_gradients', 'apply_gradients'] as const)
      for (const [given, code, message] of pairs)
        await refused(optimizer, [v], () => optimizer[method](given as never), code, message);
    const options = [{ skip_gradients_aggregation: 1 }, { skip: true }, 3];
    for (const option of options)
      await refused(
        optimizer,
        [v],
        () => optimizer.apply_gradients([[[1, 1], v]], option as never),
        'ERR_OPT_CONFIG_TYPE',
        /SGD.apply_gradients expects/,
      );
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
  it('refuses missing and extra names, and other arrays than before', async () => {
    const params = data();
    const optimizer = new SGD();
    optimizer.update(params, grads);
    const { kernel, bias } = params;
    const rows = [
      [
        params,
        { kernel: [1, 1] },
        'ERR_OPT_NO_GRADIENT',
        /SGD.update expects grads for "kernel", "bias", "bias" is missing/,
      ],
      [
        params,
        { ...grads, more: [1] },
        'ERR_OPT_UNKNOWN_VARIABLE',
        /expects grads for "kernel", "bias", got "more" too/,
      ],
      [{ kernel }, grads, 'ERR_OPT_NO_GRADIENT', /expects params for .* "bias" is missing/],
      [{ ...params, x: kernel }, grads, 'ERR_OPT_UNKNOWN_VARIABLE', /expects params for .* got "x" too/],
      [{ bias, kernel: kernel.slice() }, grads, 'ERR_OPT_UNKNOWN_VARIABLE', /expects variables that it was built with/],
      [3, grads, 'ERR_OPT_ARRAY_TYPE', /expects params to be a Map or an object by names, got 3/],
      [params, [[1, 1], [1]], 'ERR_OPT_ARRAY_TYPE', /expects grads to be a Map or an object by names, got an array/],
      [params, new Map([[1, [1]]]), 'ERR_OPT_ARRAY_TYPE', /expects grads to be a Map/],
      [params, { kernel: [1], bias: [1] }, 'ERR_OPT_LENGTH', /\("kernel"\) has 1 elements, its variable has 2/],
    ] as const;
    for (const [p, g, code, message] of rows)
      await refused(optimizer, [bias], () => optimizer.update(p as never, g as never), code, message);
    const fresh = new SGD();
    assert.equal(thrown(() => fresh.update(params, {}))?.code, 'ERR_OPT_NO_GRADIENT');
    assert.equal(thrown(() => fresh.update(params, { kernel: [1], bias: [1] }))?.code, 'ERR_OPT_LENGTH');
    assert.equal(fresh.update({ other: kernel }, { other: [1, 1] }), 1); // the failed calls left no names behind
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
  it('refuse what does not fit', async () => {
    const v = new Variable([1, 2]);
    const optimizer = new SGD();
    optimizer.build([v]);
    for (const method of ['assign', 'assign_add', 'assign_sub'] as const) {
      const rows = [
        [v, [1], 'ERR_OPT_LENGTH', /expects 2 elements, got 1/],
        [v, 3, 'ERR_OPT_ARRAY_TYPE', /got 3/],
        [v, [1, 'x'], 'ERR_OPT_ARRAY_TYPE', /expects numbers, got "x" at index 1/],
        [3, [1], 'ERR_OPT_ARRAY_TYPE', new RegExp(`SGD.${method} expects a Variable`)],
        [new Float32Array(2), [1, 2], 'ERR_OPT_ARRAY_TYPE', /an array that the optimizer was built with/],
        [optimizer.variables[0], [1], 'ERR_OPT_READ_ONLY', /read-only/],
      ] as const;
      for (const [variable, value, code, message] of rows)
        await refused(optimizer, [v], () => optimizer[method](variable as Variable, value as never), code, message);
    }
  });
});

it('lr of an optimizer is refused, to read and to set', () => {
  const optimizer = new SGD() as { lr: number };
  assert.match(String(thrown(() => optimizer.lr)?.message), /SGD expects learning_rate to be read, got lr/);
  assert.match(String(thrown(() => (optimizer.lr = 1))?.message), /SGD expects learning_rate to be set, got lr/);
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
    const add = (list: unknown, options?: unknown) => () =>
      optimizer.add_optimizer_variables(list as [], ['a', 'b'], options as never);
    const before = memory().cpu;
    const rows = [
      [add([v, 3]), 'ERR_OPT_ARRAY_TYPE', /expects a Variable, or an array .* got 3/],
      [add([v], { initializer: ['ones', 'twos'] }), 'ERR_OPT_CONFIG_RANGE', /got "twos"/],
      [
        add([v], null),
        'ERR_OPT_CONFIG_TYPE',
        /one object of options, as in SGD.add_optimizer_variables\(\{ init.* got \(null\)/,
      ],
      [
        add([v], { initialiser: 'ones' }),
        'ERR_OPT_CONFIG_TYPE',
        /options that it knows \(initializer\), got "initialiser"/,
      ],
      [add([v], { initializer: 3 }), 'ERR_OPT_CONFIG_TYPE', /initializer to be .*, or an array of these, got 3/],
    ] as const;
    for (const [call, code, message] of rows) {
      await refused(optimizer, [v], call, code, message);
      assert.lengthOf(optimizer.variables, 2);
    }
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
  it('are refused where they make no sense', async () => {
    const v = new Variable([1, 2]);
    const optimizer = new SGD();
    optimizer.build([v]);
    const rows: readonly (readonly [() => unknown, string, RegExp])[] = [
      [
        () => optimizer.add_variable({ shape: 3 as never }),
        'ERR_OPT_CONFIG_TYPE',
        /SGD.add_variable expects shape to be an array of whole numbers >= 0, got 3/,
      ],
      [() => optimizer.add_variable({ shape: [-1] }), 'ERR_OPT_CONFIG_RANGE', /expects shape/],
      [() => optimizer.add_variable({ shape: [1.5] }), 'ERR_OPT_CONFIG_RANGE', /expects shape/],
      [() => optimizer.add_variable({ dtype: 'int8' as never }), 'ERR_OPT_CONFIG_RANGE', /dtype .* got "int8"/],
      [
        () => optimizer.add_variable({ initializer: 'random' as never }),
        'ERR_OPT_CONFIG_RANGE',
        /"zeros", "ones" or a function .* got "random"/,
      ],
      [() => optimizer.add_variable({ initializer: 3 as never }), 'ERR_OPT_CONFIG_TYPE', /got 3/],
      [
        () => optimizer.add_variable({ shape: [2], initializer: () => [1] }),
        'ERR_OPT_LENGTH',
        /for ".*variable" expects 2 elements, got 1/,
      ],
      [
        () => optimizer.add_variable({ initializer: () => ['x' as never] }),
        'ERR_OPT_ARRAY_TYPE',
        /expects numbers, got "x"/,
      ],
      [() => optimizer.add_variable({ name: 3 as never }), 'ERR_OPT_CONFIG_TYPE', /name to be a string, got 3/],
      [
        () => optimizer.add_variable({ size: 3 } as never),
        'ERR_OPT_CONFIG_TYPE',
        /only options that it knows \(shape, dtype, initializer, name\)/,
      ],
      [() => optimizer.add_variable('x'), 'ERR_OPT_CONFIG_TYPE', /one object of options/],
      [
        () => optimizer.add_variable_from_reference(3 as never),
        'ERR_OPT_ARRAY_TYPE',
        /expects a Variable, or an array that the optimizer was built with, got 3/,
      ],
      [() => optimizer.add_variable_from_reference(new Float32Array(1)), 'ERR_OPT_ARRAY_TYPE', /got a Float32Array/],
      [
        () => optimizer.add_variable_from_reference(optimizer.variables[0] as Variable),
        'ERR_OPT_ARRAY_TYPE',
        /float32 or float64 variable, got int64/,
      ],
      [
        () => optimizer.add_variable_from_reference(v, { initial_value: [1] }),
        'ERR_OPT_LENGTH',
        /expects 2 elements, got 1/,
      ],
      [
        () => optimizer.add_variable_from_reference(v, { initial_value: 3 as never }),
        'ERR_OPT_CONFIG_TYPE',
        /numbers, a variable or null, got 3/,
      ],
      [
        () => optimizer.add_variable_from_reference(v, { initial_value: [1, 2], initializer: 'ones' }),
        'ERR_OPT_CONFIG_RANGE',
        /an initializer or an initial_value, got both/,
      ],
      [
        () => optimizer.add_optimizer_variables([v], 3 as never),
        'ERR_OPT_CONFIG_TYPE',
        /expects name to be a string or strings, got 3/,
      ],
      [() => optimizer.add_optimizer_variables([v], []), 'ERR_OPT_CONFIG_TYPE', /got an array/],
      [
        () => optimizer.add_optimizer_variables([v], ['a', 'b'], { initializer: ['ones'] }),
        'ERR_OPT_LENGTH',
        /expects 2 initializers, one for each name, got 1/,
      ],
      [() => optimizer.add_optimizer_variables([3 as never], 'a'), 'ERR_OPT_ARRAY_TYPE', /got 3/],
      [
        () => optimizer.add_optimizer_variables(3 as never, 'a'),
        'ERR_OPT_ARRAY_TYPE',
        /expects variables to be an array/,
      ],
    ];
    for (const [call, code, message] of rows) await refused(optimizer, [v], call, code, message);
  });
});
