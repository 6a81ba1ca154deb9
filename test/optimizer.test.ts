// The optimizer as Keras's base class: the order of calls, what counts, what a failing call leaves behind. The flags'
// numbers are in goldens.test.ts.
import { assert } from 'chai';

import { Adam, AdamW, ExponentialDecay, get, Nadam, Optimizer, serialize, SGD, Variable } from '../lib/index.ts';
import { dtypes } from '../lib/native.ts';
import { thrown, warnings } from './errors.ts';

const ones = (n: number) => new Float32Array(n).fill(1);

/** Asserts class, code and message of an error, and that variables and state are as before. */
function refused(
  optimizer: Optimizer,
  variables: readonly Variable[],
  action: () => unknown,
  code: string,
  message: RegExp,
): void {
  const values = () => [...variables, ...optimizer.variables].map(({ value }) => [...value].map(String));
  const before = { values: values(), iterations: optimizer.iterations, norm: optimizer.gradient_norm };
  const error = thrown(action);
  assert.equal(error?.code, code, String(error));
  assert.match(String(error?.message), message);
  assert.deepEqual({ values: values(), iterations: optimizer.iterations, norm: optimizer.gradient_norm }, before);
}

describe('an optimizer', () => {
  it('takes one object of options: a positional call shows the object form', () => {
    const Positional = Nadam as unknown as new (...args: unknown[]) => unknown;
    const message =
      /Nadam expects one object of options, as in new Nadam\(\{ learning_rate: 0.1, ... \}\), got \(0.1, 0.9\)/;
    assert.throws(() => new Positional(0.1, 0.9), TypeError, message);
    assert.throws(() => new Positional('nadam'), TypeError, /got \("nadam"\)/);
  });

  it('counts the calls of apply and returns the raw counter', () => {
    const v = new Variable([1, 2]);
    const optimizer = new SGD({ gradient_accumulation_steps: 2 });
    assert.equal(optimizer.apply([[1, 1]], [v]), 1);
    assert.equal(optimizer.iterations, 0);
    assert.equal(optimizer.apply([[1, 1]]), 2);
    assert.equal(optimizer.iterations, 1);
    assert.equal(optimizer.apply_gradients([[[1, 1], v]]), 3);
    assert.throws(() => ((optimizer as { iterations: number }).iterations = 0), TypeError);
  });

  it('takes gradients from v.gradient when apply is called without arguments', () => {
    const [a, b] = [new Variable([1, 2]), new Variable(new Float64Array([3]))];
    const optimizer = new SGD({ learning_rate: 1 });
    optimizer.build([a, b]);
    a.gradient.set([1, 2]);
    b.gradient[0] = 0.5;
    optimizer.apply();
    assert.deepEqual([...a.value, ...b.value], [0, 0, 2.5]);
  });

  it('trains plain arrays in place, beside variables, of both dtypes', () => {
    const plain = [new Float32Array([1, 2]), new Float64Array([3])];
    const variable = new Variable([4]);
    const optimizer = new SGD({ learning_rate: 1, use_ema: true });
    optimizer.apply([[1, 1], new Float64Array([1]), [1]], [...plain, variable]);
    assert.deepEqual([...(plain[0] ?? []), ...(plain[1] ?? []), ...variable.value], [0, 1, 2, 3]);
    const names = optimizer.variables.map(({ path, dtype }) => `${path.split('_').at(-1)} ${dtype}`).slice(2, 5);
    assert.deepEqual(names, ['average float32', 'average float64', 'average float32']);
    optimizer.finalize_variable_values([...plain, variable]);
    assert.deepEqual([...(plain[0] ?? [])], [...(optimizer.variables[2]?.value ?? [])]);
  });

  it('accepts a subset of its variables in any order, and a variable as a gradient', () => {
    const [a, b, c] = [1, 2, 3].map((x) => new Variable([x]));
    const optimizer = new SGD({ learning_rate: 1 });
    optimizer.build([a as Variable, b as Variable, c as Variable]);
    optimizer.apply([[1], new Variable([10])], [c as Variable, a as Variable]);
    assert.deepEqual(
      [a, b, c].map((v) => v?.value[0]),
      [-9, 2, 2],
    );
  });

  it('does nothing for empty lists, and throws for an empty apply_gradients, as Keras', () => {
    const optimizer = new SGD();
    assert.equal(optimizer.apply([], []), 0);
    assert.equal(optimizer.apply([]), 0);
    assert.propertyVal(
      thrown(() => optimizer.apply_gradients([])),
      'code',
      'ERR_OPT_LENGTH',
    );
    assert.lengthOf(optimizer.variables, 2);
  });

  it('is built once: a second build changes nothing, an empty one is fine', () => {
    const optimizer = new Nadam({ name: 'n' });
    assert.deepEqual(
      optimizer.variables.map(({ path }) => path),
      ['n/iteration', 'n/learning_rate'],
    );
    optimizer.build([]);
    optimizer.build([new Variable([1])]);
    assert.deepEqual(
      optimizer.variables.map(({ path }) => path),
      ['n/iteration', 'n/learning_rate', 'n/variable'],
    );
    assert.equal(optimizer.variables[2]?.dtype, 'float32');
    assert.equal(optimizer.variables[2]?.value[0], 1);
  });

  it('warns once of missing gradients, and skips those variables', async () => {
    const variables = [new Variable([1]), new Variable([2], { name: 'dense/kernel' })];
    const optimizer = new SGD({ learning_rate: 1 });
    const seen = await warnings(() => {
      optimizer.apply([[1], null], variables);
      optimizer.apply([[1], null]);
    });
    assert.deepEqual(seen, ['SGD: gradients do not exist for variables "dense/kernel"; they stay as they are']);
    assert.deepEqual(
      variables.map(({ value }) => value[0]),
      [-1, 2],
    );
  });

  it('warns of decay=, which Keras ignores', async () => {
    const seen = await warnings(() => new SGD({ decay: 0.1 }));
    assert.match(seen.join(), /SGD: "decay" is deprecated and has no effect/);
    assert.notProperty(new SGD().get_config(), 'decay');
  });

  it("has Keras's automatic names", () => {
    const names = [AdamW, AdamW].map((cls) => new cls().name);
    assert.match(names[0] as string, /^adam_w(_\d+)?$/);
    assert.match(names[1] as string, /^adam_w_\d+$/);
    assert.notEqual(names[0], names[1]);
    assert.equal(new SGD({ name: '' }).name, '');
  });

  it('calls functions for betas at every step, and checks what they return', () => {
    let beta = 0.5;
    const [dynamic, fixed] = [() => beta, 0.5].map((beta_1) => new Adam({ beta_1 }));
    const [a, b] = [new Variable([1]), new Variable([1])];
    (dynamic as Adam).apply([[1]], [a]);
    (fixed as Adam).apply([[1]], [b]);
    assert.deepEqual(a.value, b.value);
    beta = 0.25;
    (dynamic as Adam).apply([[2]]);
    (fixed as Adam).apply([[2]]);
    assert.notDeepEqual(a.value, b.value);
    beta = 3;
    refused(
      dynamic as Adam,
      [a],
      () => (dynamic as Adam).apply([[1]]),
      'ERR_OPT_CONFIG_RANGE',
      /Adam expects beta_1 .* got 3/,
    );
  });

  it('applies constraints after the step to variables that had a gradient', () => {
    const [a, b] = [new Variable([1, -1]), new Variable([-5])];
    a.constraint = (value) => value.map((x) => Math.max(x, 0));
    b.constraint = (value) => void value.fill(7);
    const optimizer = new SGD({ learning_rate: 1 });
    optimizer.apply([[0, 0], null], [a, b]);
    assert.deepEqual([...a.value, ...b.value], [1, 0, -5]);
    optimizer.apply([null, [0]]);
    assert.deepEqual([...b.value], [7]);
  });

  it('counts the step even if a constraint throws', () => {
    const v = new Variable([1]);
    v.constraint = () => {
      throw new Error('mine');
    };
    const optimizer = new SGD({ learning_rate: 1 });
    assert.throws(() => optimizer.apply([[1]], [v]), /mine/);
    assert.deepEqual([optimizer.iterations, v.value[0]], [1, 0]);
    v.constraint = null;
    assert.equal(optimizer.apply([[1]]), 2);
  });

  it('scales a loss', () => {
    assert.equal(new SGD({ loss_scale_factor: 1024 }).scale_loss(2), 2048);
    assert.equal(new SGD().scale_loss(2), 2);
  });

  it('gives its memory back on dispose, twice without harm', () => {
    const v = new Variable([1]);
    const optimizer = new Adam();
    optimizer.apply([[1]], [v]);
    const slot = optimizer.variables[2] as Variable;
    optimizer.dispose();
    optimizer[Symbol.dispose]();
    assert.propertyVal(
      thrown(() => slot.value),
      'code',
      'ERR_OPT_DISPOSED',
    );
    for (const action of [() => optimizer.apply([[1]]), () => optimizer.build([v]), () => optimizer.set_weights([])])
      assert.propertyVal(thrown(action), 'code', 'ERR_OPT_DISPOSED');
  });
});

describe('the learning rate', () => {
  const schedule = new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 1, decay_rate: 0.5 });

  it('is a number, a schedule or a function of the raw counter, for the next update', () => {
    const v = new Variable([0]);
    const optimizer = new SGD({ learning_rate: (step) => step + 1 });
    assert.equal(optimizer.learning_rate, 1);
    optimizer.apply([[1]], [v]);
    optimizer.apply([[1]]);
    assert.equal(v.value[0], -3);
    assert.equal(optimizer.learning_rate, 3);
    const counted = new SGD({ learning_rate: schedule, gradient_accumulation_steps: 2 });
    counted.apply([[1]], [v]);
    assert.equal(counted.learning_rate, 0.5, 'the raw counter, not the updates');
  });

  it('is replaced: a number by anything, a schedule or function not by a number', () => {
    const optimizer = new SGD({ learning_rate: 0.5 });
    assert.lengthOf(optimizer.variables, 2);
    optimizer.learning_rate = schedule as never;
    assert.lengthOf(optimizer.variables, 1, 'a schedule has no variable');
    assert.equal(optimizer.learning_rate, 1);
    assert.throws(() => (optimizer.learning_rate = 0.1), TypeError, /SGD expects a schedule .* got 0.1/);
    optimizer.learning_rate = (() => 0.25) as never;
    assert.throws(() => (optimizer.learning_rate = 0.1), TypeError, /SGD expects a function .* got 0.1/);
    assert.equal(optimizer.learning_rate, 0.25);
  });

  it('that is not a finite number is refused before anything is written', () => {
    const v = new Variable([1]);
    for (const [rate, code] of [
      [() => NaN, 'ERR_OPT_CONFIG_RANGE'],
      [() => '1', 'ERR_OPT_CONFIG_TYPE'],
    ] as const) {
      const optimizer = new Nadam({ learning_rate: rate as () => number, name: 'n' });
      optimizer.build([v]);
      const values = () => [...v.value, ...optimizer.variables.flatMap(({ value }) => [...value].map(Number))];
      const before = values();
      assert.propertyVal(
        thrown(() => optimizer.apply([[1]])),
        'code',
        code,
      );
      assert.deepEqual(values(), before);
    }
    const optimizer = new SGD();
    for (const rate of ['0.1', null, undefined, [1], ExponentialDecay])
      assert.throws(() => (optimizer.learning_rate = rate as never), TypeError, /SGD expects learning_rate/);
    assert.equal(optimizer.learning_rate, 0.01);
  });

  it('is kept in float64, and shown in float32 where Keras has a variable of it', () => {
    const optimizer = new SGD({ learning_rate: 0.1 });
    assert.equal(optimizer.learning_rate, 0.1);
    assert.equal(optimizer.variables[1]?.value[0], Math.fround(0.1));
    optimizer.variables[1]?.assign([0.3]);
    assert.equal(optimizer.learning_rate, 0.3);
  });
});

describe('set_weights', () => {
  for (const dtype of dtypes)
    it(`makes another ${dtype} optimizer go on with the same numbers`, () => {
      const type = dtype === 'float32' ? Float32Array : Float64Array;
      const train = (optimizer: Optimizer, v: Variable, from: number, to: number) => {
        for (let t = from; t < to; t++) optimizer.apply([type.of(Math.sin(t), 1 / t)], [v]);
      };
      const config = serialize(new Nadam({ learning_rate: 0.05, use_ema: true, ema_overwrite_frequency: 3 }));
      const [whole, first, second] = [1, 2, 3].map(() => get(config) as Optimizer);
      const [v, w] = [new Variable(type.of(1, 2)), new Variable(type.of(1, 2))];
      train(whole as Optimizer, v, 1, 11);
      train(first as Optimizer, w, 1, 6);
      second?.build([w]);
      second?.set_weights(first?.variables ?? []);
      train(second as Optimizer, w, 6, 11);
      assert.deepEqual(w.value, v.value);
      assert.deepEqual(
        second?.variables.map(({ value }) => value),
        whole?.variables.map(({ value }) => value),
      );
    });

  it('checks every value before it writes the first', () => {
    const v = new Variable([1, 2]);
    const optimizer = new Adam({ name: 'a' });
    assert.propertyVal(
      thrown(() => optimizer.set_weights([])),
      'code',
      'ERR_OPT_NOT_BUILT',
    );
    optimizer.apply([[1, 1]], [v]);
    const good = [3, 0.5, [1, 2], [3, 4]];
    const bad: [unknown, string, RegExp][] = [
      [good.slice(1), 'ERR_OPT_LENGTH', /expects 4 arrays, one for each of its variables, got 3/],
      ['weights', 'ERR_OPT_LENGTH', /got "weights"/],
      [[3, 0.5, [1, 2], [3]], 'ERR_OPT_LENGTH', /weights\[3\] \("a\/variable_\d*_velocity"\)|weights\[3\]/],
      [[3, 0.5, [1, 2], ['x', 4]], 'ERR_OPT_ARRAY_TYPE', /expects numbers, got "x" at index 0/],
      [
        [-1, 0.5, [1, 2], [3, 4]],
        'ERR_OPT_CONFIG_RANGE',
        /weights\[0\] \("a\/iteration"\) expects a whole number >= 0, got -1/,
      ],
      [[0.5, 0.5, [1, 2], [3, 4]], 'ERR_OPT_CONFIG_RANGE', /got 0.5/],
      [[3, 0.5, new Int32Array(2), [3, 4]], 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
    ];
    for (const [weights, code, message] of bad)
      refused(optimizer, [v], () => optimizer.set_weights(weights as never), code, message);
    optimizer.set_weights(good);
    assert.deepEqual(
      optimizer.variables.map(({ value }) => [...value].map(Number)),
      [[3], [0.5], [1, 2], [3, 4]],
    );
    optimizer.set_weights([BigInt64Array.of(9n), 0.25, new Float64Array([1, 2]), v]);
    assert.equal(optimizer.iterations, 9);
  });
});

describe('exclude_from_weight_decay', () => {
  const make = () => [new Variable([1], { name: 'dense/kernel' }), new Variable([1], { name: 'dense/bias' })];
  const decayed = (optimizer: SGD, variables: Variable[]) => {
    optimizer.apply([[0], [0]], variables);
    return variables.map(({ value }) => (value[0] as number) < 1);
  };
  it('works by identity and by regular expressions in the path, before and after build, and replaces what was said', () => {
    const options = { learning_rate: 1, weight_decay: 0.5 };
    const [kernel, bias] = make() as [Variable, Variable];
    const optimizer = new SGD(options);
    optimizer.exclude_from_weight_decay({ var_names: ['^dense/b', 'nothing'] });
    assert.deepEqual(decayed(optimizer, [kernel, bias]), [true, false]);
    optimizer.exclude_from_weight_decay({ var_list: [kernel] });
    kernel.assign([1]);
    assert.deepEqual(decayed(optimizer, [kernel, bias]), [false, true]);
    const plain = new Float32Array([1]);
    const inPlace = new SGD(options);
    inPlace.exclude_from_weight_decay({ var_list: [plain] });
    inPlace.apply([[0]], [plain]);
    assert.equal(plain[0], 1);
  });
  it('refuses what is no list and no regular expression', () => {
    const optimizer = new SGD();
    const bad: [object, RegExp][] = [
      [{ var_names: 'bias' }, /var_names to be an array or null, got "bias"/],
      [{ var_list: 3 }, /var_list to be an array or null, got 3/],
      [{ var_names: ['('] }, /regular expressions, got "\("/],
      [{ var_names: [3] }, /regular expressions, got 3/],
    ];
    for (const [options, message] of bad)
      assert.throws(() => optimizer.exclude_from_weight_decay(options), TypeError, message);
  });
});

describe('a refused call leaves variables, state and counter as they were', () => {
  const setUp = () => {
    const variables = [new Variable([1, 2], { name: 'kernel' }), new Variable(new Float64Array([3]), { name: 'bias' })];
    const optimizer = new Nadam({ use_ema: true, global_clipnorm: 1, name: 'n' });
    optimizer.apply([[1, 1], [1]], variables);
    return { optimizer, variables };
  };
  const shared = new Variable([1, 2]);
  const bad: [string, (o: Nadam, v: Variable[]) => unknown, string, RegExp][] = [
    [
      'too few gradients',
      (o) => o.apply([[1, 1]]),
      'ERR_OPT_LENGTH',
      /Nadam expects 2 gradients, one for each variable, got 1/,
    ],
    ['gradients that are no array', (o) => o.apply(3 as never), 'ERR_OPT_LENGTH', /got 3/],
    [
      'a short gradient',
      (o) => o.apply([[1], [1]]),
      'ERR_OPT_LENGTH',
      /gradients\[0\] \("kernel"\) has 1 elements, its variable has 2/,
    ],
    [
      'a long gradient',
      (o) =>
        o.apply([
          [1, 1],
          [1, 1],
        ]),
      'ERR_OPT_LENGTH',
      /gradients\[1\] \("bias"\) has 2 elements, its variable has 1/,
    ],
    [
      'another dtype',
      (o) => o.apply([new Float64Array(2), [1]]),
      'ERR_OPT_ARRAY_TYPE',
      /gradients\[0\] \("kernel"\) is expected to have .* float32.* got a Float64Array/,
    ],
    ['an integer array', (o) => o.apply([new Int32Array(2) as never, [1]]), 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
    [
      'a DataView',
      (o) => o.apply([new DataView(new ArrayBuffer(8)) as never, [1]]),
      'ERR_OPT_ARRAY_TYPE',
      /got a DataView/,
    ],
    ['a string', (o) => o.apply(['11' as never, [1]]), 'ERR_OPT_ARRAY_TYPE', /got "11"/],
    ['undefined in place of null', (o) => o.apply([undefined as never, [1]]), 'ERR_OPT_ARRAY_TYPE', /got undefined/],
    [
      'an array of strings',
      (o) => o.apply([['1', '1'] as never, [1]]),
      'ERR_OPT_ARRAY_TYPE',
      /expects numbers, got "1" at index 0/,
    ],
    ['a variable of another dtype', (o, [, b]) => o.apply([b as Variable, [1]]), 'ERR_OPT_ARRAY_TYPE', /float32/],
    [
      'no gradient at all',
      (o) => o.apply([null, null]),
      'ERR_OPT_NO_GRADIENT',
      /a gradient for at least one variable, got none/,
    ],
    [
      'a gradient that overlaps its variable',
      (o, [a]) => o.apply([a?.value as Float32Array, [1]]),
      'ERR_OPT_ALIAS',
      /overlap/,
    ],
    [
      'an unknown variable',
      (o) => o.apply([[1, 1]], [shared]),
      'ERR_OPT_UNKNOWN_VARIABLE',
      /expects variables that it was built with, got "variable/,
    ],
    ['something that is no variable', (o) => o.apply([[1]], [5 as never]), 'ERR_OPT_UNKNOWN_VARIABLE', /got 5/],
    [
      'the same variable twice',
      (o, [a]) =>
        o.apply(
          [
            [1, 1],
            [1, 1],
          ],
          [a, a] as Variable[],
        ),
      'ERR_OPT_ALIAS',
      /each variable once/,
    ],
    ['pairs that are none', (o) => o.apply_gradients([[[1, 1]]] as never), 'ERR_OPT_LENGTH', /\[gradient, variable\]/],
    ['pairs that are no array', (o) => o.apply_gradients(null as never), 'ERR_OPT_LENGTH', /got null/],
    [
      'finalize with unknown variables',
      (o) => o.finalize_variable_values([shared]),
      'ERR_OPT_UNKNOWN_VARIABLE',
      /built with/,
    ],
    [
      'finalize with no array',
      (o) => o.finalize_variable_values(3 as never),
      'ERR_OPT_ARRAY_TYPE',
      /an array of variables, got 3/,
    ],
  ];
  for (const [name, action, code, message] of bad)
    it(name, () => {
      const { optimizer, variables } = setUp();
      refused(optimizer, variables, () => action(optimizer, variables), code, message);
      optimizer.apply([[1, 1], [1]]);
      assert.equal(optimizer.iterations, 2, 'and the next step is fine');
    });

  it('of a first apply: it is not even built', () => {
    const v = new Variable([1]);
    const optimizer = new Nadam({ name: 'n' });
    refused(optimizer, [v], () => optimizer.apply([[1, 2]], [v]), 'ERR_OPT_LENGTH', /has 2 elements/);
    refused(
      optimizer,
      [v],
      () => optimizer.apply([[1]]),
      'ERR_OPT_NOT_BUILT',
      /Nadam.apply expects build\(variables\)/,
    );
    assert.equal(optimizer.apply([[1]], [v]), 1);
  });

  it('of build: with what is no variable, or overlaps', () => {
    const flat = new Float32Array(8);
    const v = new Variable([1]);
    const lists: [unknown, string, RegExp][] = [
      [[flat.subarray(0, 4), flat.subarray(3)], 'ERR_OPT_ALIAS', /variables\[0\] and variables\[1\] overlap in memory/],
      [[v, v], 'ERR_OPT_ALIAS', /overlap/],
      [[v, v.value], 'ERR_OPT_ALIAS', /overlap/],
      [
        [v, 3],
        'ERR_OPT_ARRAY_TYPE',
        /SGD expects variables\[1\] to be a Variable, a Float32Array or a Float64Array, got 3/,
      ],
      [[new Int32Array(2)], 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
      [new SGD().variables, 'ERR_OPT_ARRAY_TYPE', /variables\[0\]/],
      [7, 'ERR_OPT_ARRAY_TYPE', /an array of variables, got 7/],
    ];
    for (const [list, code, message] of lists) {
      const optimizer = new SGD();
      refused(optimizer, [], () => optimizer.build(list as never), code, message);
    }
    const apart = new SGD({ learning_rate: 1 });
    apart.apply([ones(4), ones(4)], [flat.subarray(0, 4), flat.subarray(4)]);
    assert.deepEqual([...flat], Array<number>(8).fill(-1));
  });

  it('of a disposed variable', () => {
    const v = new Variable([1]);
    const optimizer = new SGD();
    optimizer.build([v]);
    v.dispose();
    assert.propertyVal(
      thrown(() => optimizer.apply([[1]])),
      'code',
      'ERR_OPT_DISPOSED',
    );
    assert.equal(optimizer.iterations, 0);
  });
});
