// The optimizer as Keras's base class: the order of calls, what counts, what a failing call leaves behind. The flags'
// numbers are in goldens.test.ts.
import { inspect } from 'node:util';

import { assert } from 'chai';

import { Adam, AdamW, ExponentialDecay, get, Nadam, Optimizer, serialize, SGD, Variable } from '../lib/index.ts';
import { dtypes } from '../lib/native.ts';
import { refused, thrown, warnings } from './errors.ts';

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
    variable.assign([7]);
    optimizer.finalize_variable_values();
    assert.deepEqual(variable.value, optimizer.variables[4]?.value);
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
    assert.equal(optimizer.apply([], [new Variable([1])]), 0);
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

  it("makes a schedule of Keras 1's decay, which Python reads too", () => {
    const optimizer = new SGD({ learning_rate: 0.5, decay: 0.25, name: 'sgd' });
    const v = new Variable([10]);
    const rates = [0, 1, 2, 3].map((t) => {
      const { learning_rate } = optimizer;
      optimizer.apply([[1]], [v]);
      return [learning_rate, 0.5 / (1 + 0.25 * t)];
    });
    for (const [ours, formula] of rates) assert.equal(ours, formula);
    const config = optimizer.get_config();
    assert.notProperty(config, 'decay');
    assert.deepInclude(config.learning_rate as object, {
      class_name: 'InverseTimeDecay',
      module: 'keras.optimizers.schedules',
      config: {
        initial_learning_rate: 0.5,
        decay_steps: 1,
        decay_rate: 0.25,
        staircase: false,
        name: 'InverseTimeDecay',
      },
    });
    assert.deepEqual(SGD.from_config(config).get_config(), config);
    for (const nothing of [0, null]) assert.equal(new SGD({ decay: nothing }).get_config().learning_rate, 0.01);
  });

  it("has Keras's automatic names", () => {
    const names = [AdamW, AdamW].map((cls) => new cls().name);
    assert.match(names[0] as string, /^adam_w(_\d+)?$/);
    assert.match(names[1] as string, /^adam_w_\d+$/);
    assert.notEqual(names[0], names[1]);
    assert.equal(new SGD({ name: '' }).name, '');
  });

  it('calls functions for betas at every step, and checks what they return', async () => {
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
    await refused(
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

  it('shows its class, counters and options', () => {
    const shown = inspect(new Nadam({ name: 'n', learning_rate: 0.5 }));
    assert.match(shown, /^Nadam \{\s+name: 'n',\s+iterations: 0,\s+learning_rate: 0.5,/);
    assert.include(shown, 'beta_1: 0.9');
  });

  it('unscales once where it accumulates: (8 / 4 + 4 / 4) / 2', () => {
    const v = new Variable([0]);
    const optimizer = new SGD({ learning_rate: 1, loss_scale_factor: 4, gradient_accumulation_steps: 2 });
    optimizer.apply([[8]], [v]);
    optimizer.apply([[4]]);
    assert.equal(v.value[0], -1.5);
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

  it('checks every value before it writes the first', async () => {
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
      [good.slice(1), 'ERR_OPT_LENGTH', /expects 4 arrays, one for each variable, got 3/],
      ['weights', 'ERR_OPT_ARRAY_TYPE', /set_weights expects an array of weights, got "weights"/],
      [[3, 0.5, [1, 2], [3]], 'ERR_OPT_LENGTH', /weights\[3\] \("a\/variable_\d*_velocity"\)|weights\[3\]/],
      [[3, 0.5, [1, 2], ['x', 4]], 'ERR_OPT_ARRAY_TYPE', /expects numbers, got "x" at index 0/],
      [
        [-1, 0.5, [1, 2], [3, 4]],
        'ERR_OPT_CONFIG_RANGE',
        /weights\[0\] \("a\/iteration"\) expects a whole number >= 0, got -1/,
      ],
      [[0.5, 0.5, [1, 2], [3, 4]], 'ERR_OPT_CONFIG_RANGE', /got 0.5/],
      [
        [5, NaN, [1, 2], [3, 4]],
        'ERR_OPT_CONFIG_RANGE',
        /weights\[1\] \("a\/learning_rate"\) expects a finite number, got NaN/,
      ],
      [[3, 0.5, new Int32Array(2), [3, 4]], 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
    ];
    for (const [weights, code, message] of bad)
      await refused(optimizer, [v], () => optimizer.set_weights(weights as never), code, message);
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
      [{ var_list: ['kernel'] }, /variables in var_list, got "kernel"/],
      [{ variables: [] }, /expects \{ var_list, var_names \}, got an object/],
      [[new Variable([1])], /expects \{ var_list, var_names \}, got an array/],
      [null as never, /got null/],
    ];
    for (const [options, message] of bad)
      assert.throws(() => optimizer.exclude_from_weight_decay(options), TypeError, message);
  });
});
