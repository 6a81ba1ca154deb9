// Input that means harm, or only a mistake: each is refused with its class, code and message, by every optimizer, in apply and
// in apply_async, and leaves every variable, state and counter as it was.
import { runInNewContext } from 'node:vm';

import { assert } from 'chai';

import { Adam, AdamW, Nadam, SGD, Variable, type Optimizer, type Gradient } from '../lib/index.ts';
import { refused, rejection, thrown } from './errors.ts';
import { classes } from './optimizers.ts';

const optimizers: readonly [string, () => Optimizer][] = [
  ['SGD', () => new SGD()],
  ['SGD with momentum', () => new SGD({ momentum: 0.9, nesterov: true, gradient_accumulation_steps: 2 })],
  ['Adam', () => new Adam({ clipnorm: 1, loss_scale_factor: 2 })],
  ['Adam with amsgrad', () => new Adam({ amsgrad: true, weight_decay: 0.1 })],
  ['AdamW', () => new AdamW({ use_ema: true, ema_overwrite_frequency: 1 })],
  ['Nadam', () => new Nadam({ use_ema: true, global_clipnorm: 1 })],
];

interface Scene {
  readonly optimizer: Optimizer;
  /** A float32 `kernel` of two elements and a float64 `bias` of one. */
  readonly kernel: Variable;
  readonly bias: Variable;
}
const good = new Float64Array([1]);

function setUp(make: () => Optimizer): Scene {
  const kernel = new Variable([1, 2], { name: 'kernel' });
  const bias = new Variable(new Float64Array([3]), { name: 'bias' });
  const optimizer = make();
  optimizer.apply([[1, 1], [1]], [kernel, bias]);
  return { optimizer, kernel, bias };
}

function detached(): Float32Array {
  const array = new Float32Array(2);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}
const resizable = (bytes: number) =>
  new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(bytes, { maxByteLength: 64 });
const shadowed = (property: string, value: unknown): Float32Array =>
  Object.defineProperty(new Float32Array(3), property, { value });
const integerArrays = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array];

type Arguments = readonly [gradients?: unknown, variables?: unknown];
/** Name; the arguments of apply; code and message of the error. */
type Row = readonly [string, (scene: Scene) => Arguments, string, RegExp];

const kernelGradient = (name: string, gradient: (scene: Scene) => unknown, code: string, message: RegExp): Row => [
  name,
  (scene) => [[gradient(scene), good]],
  code,
  message,
];
const wrongKind = (name: string, value: unknown, got: RegExp): Row =>
  kernelGradient(
    name,
    () => value,
    'ERR_OPT_ARRAY_TYPE',
    new RegExp(`gradients\\[0\\] \\("kernel"\\) is expected .* float32, .* got ${got.source}`),
  );

const rows: readonly Row[] = [
  ['too few gradients', () => [[[1, 1]]], 'ERR_OPT_LENGTH', /expects 2 gradients, one for each variable, got 1/],
  ['too many gradients', () => [[[1, 1], [1], [1]]], 'ERR_OPT_LENGTH', /expects 2 gradients, .* got 3/],
  ['a number for the gradients', () => [3], 'ERR_OPT_ARRAY_TYPE', /expects an array of gradients, got 3/],
  ['null for the gradients', () => [null], 'ERR_OPT_ARRAY_TYPE', /got null/],
  ['an object for the gradients', () => [{ length: 2 }], 'ERR_OPT_ARRAY_TYPE', /got an object/],
  ['a typed array for the gradients', () => [new Float32Array(2)], 'ERR_OPT_ARRAY_TYPE', /got a Float32Array/],
  kernelGradient(
    'a short gradient',
    () => new Float32Array(1),
    'ERR_OPT_LENGTH',
    /gradients\[0\] \("kernel"\) has 1 elements, its variable has 2/,
  ),
  kernelGradient('a long gradient', () => new Float32Array(3), 'ERR_OPT_LENGTH', /has 3 elements, its variable has 2/),
  kernelGradient('an empty gradient', () => new Float32Array(0), 'ERR_OPT_LENGTH', /has 0 elements/),
  kernelGradient('an empty list', () => [], 'ERR_OPT_LENGTH', /has 0 elements/),
  kernelGradient('a huge gradient', () => new Float32Array(2 ** 31 + 8), 'ERR_OPT_LENGTH', /has 2147483656 elements/),
  kernelGradient('a hidden length', () => shadowed('length', 2), 'ERR_OPT_LENGTH', /has 3 elements/),
  kernelGradient(
    'a gradient whose buffer has been transferred',
    detached,
    'ERR_OPT_DETACHED',
    /gradients\[0\] \("kernel"\) expects an array with memory, .* detached/,
  ),
  kernelGradient(
    'a gradient in a resizable buffer',
    () => new Float32Array(resizable(8)),
    'ERR_OPT_RESIZABLE',
    /fixed length/,
  ),
  kernelGradient(
    'the variable as its own gradient',
    ({ kernel }) => kernel.value,
    'ERR_OPT_ALIAS',
    /gradients\[0\] overlaps a variable or its state/,
  ),
  kernelGradient('the variable object as its own gradient', ({ kernel }) => kernel, 'ERR_OPT_ALIAS', /overlaps/),
  kernelGradient('a list with a text', () => ['1', 1], 'ERR_OPT_ARRAY_TYPE', /expects numbers, got "1" at index 0/),
  kernelGradient('a list with null', () => [1, null], 'ERR_OPT_ARRAY_TYPE', /got null at index 1/),
  kernelGradient('a list with a hole', () => [1, , 2].slice(0, 2), 'ERR_OPT_ARRAY_TYPE', /got undefined at index 1/), // eslint-disable-line no-sparse-arrays
  kernelGradient('a list with a bigint', () => [1, 2n], 'ERR_OPT_ARRAY_TYPE', /got 2n at index 1/),
  kernelGradient('a variable of another dtype', ({ bias }) => bias, 'ERR_OPT_ARRAY_TYPE', /float32/),
  ...integerArrays.map((type) => wrongKind(`a ${type.name}`, new type(2), new RegExp(`a ${type.name}`))),
  wrongKind('a Float64Array', new Float64Array(2), /a Float64Array/),
  wrongKind('a BigInt64Array', new BigInt64Array(2), /a BigInt64Array/),
  wrongKind('a BigUint64Array', new BigUint64Array(2), /a BigUint64Array/),
  wrongKind('a DataView', new DataView(new ArrayBuffer(8)), /a DataView/),
  wrongKind('an ArrayBuffer', new ArrayBuffer(8), /an object/),
  wrongKind('a proxy of a typed array', new Proxy(new Float32Array(2), {}), /an object/),
  wrongKind('a proxy of a variable', new Proxy(new Variable([1, 2]), {}), /an object/),
  wrongKind('an object that claims to be a variable', Object.create(Variable.prototype), /an object/),
  wrongKind('an object that claims to be one', Object.create(Float32Array.prototype), /an object/),
  wrongKind('a typed array of another realm and dtype', runInNewContext('new Int32Array(2)'), /a Int32Array/),
  wrongKind('undefined in place of null', undefined, /undefined/),
  wrongKind('a number', 1, /1/),
  wrongKind('a text', '11', /"11"/),
  wrongKind('a function', () => 1, /a function/),
  wrongKind('a symbol', Symbol('g'), /a symbol/),
  wrongKind('a promise', Promise.resolve(1), /an object/),
  ['no gradient at all', () => [[null, null]], 'ERR_OPT_NO_GRADIENT', /a gradient for at least one variable, got none/],
  ['an unknown variable', () => [[[1]], [new Variable([1])]], 'ERR_OPT_UNKNOWN_VARIABLE', /built with, got "variable/],
  ['an unknown array', () => [[[1]], [new Float32Array(1)]], 'ERR_OPT_UNKNOWN_VARIABLE', /got a Float32Array/],
  ['a number for a variable', () => [[[1]], [5]], 'ERR_OPT_UNKNOWN_VARIABLE', /got 5/],
  ['null for a variable', () => [[[1]], [null]], 'ERR_OPT_UNKNOWN_VARIABLE', /got null/],
  [
    'the live values in place of the variable',
    ({ kernel }) => [[[1, 1]], [kernel.value]],
    'ERR_OPT_UNKNOWN_VARIABLE',
    /Float32Array/,
  ],
  ['a state variable', ({ optimizer }) => [[[1]], [optimizer.variables[0]]], 'ERR_OPT_UNKNOWN_VARIABLE', /iteration/],
  [
    'a variable twice',
    ({ kernel }) => [
      [
        [1, 1],
        [1, 1],
      ],
      [kernel, kernel],
    ],
    'ERR_OPT_ALIAS',
    /each variable once/,
  ],
  ['a text for the variables', () => [[[1]], 'kernel'], 'ERR_OPT_ARRAY_TYPE', /an array of variables, got "kernel"/],
  ['an object for the variables', () => [[[1]], {}], 'ERR_OPT_ARRAY_TYPE', /got an object/],
];

const calls = {
  apply: ({ optimizer }: Scene, [gradients, variables]: Arguments) =>
    optimizer.apply(gradients as Gradient[], variables as Variable[]),
  apply_async: ({ optimizer }: Scene, [gradients, variables]: Arguments) =>
    optimizer.apply_async(gradients as Gradient[], variables as Variable[]),
};

const flat = new Float32Array(8);
const v = new Variable([1]);
const growable = new (SharedArrayBuffer as unknown as new (n: number, o: object) => SharedArrayBuffer)(8, {
  maxByteLength: 16,
});
const lists: readonly [string, () => unknown, string, RegExp][] = [
  [
    'overlapping arrays',
    () => [flat.subarray(0, 4), flat.subarray(3)],
    'ERR_OPT_ALIAS',
    /variables\[0\] and variables\[1\] overlap in memory/,
  ],
  [
    'an array inside another',
    () => [flat.subarray(2, 3), flat],
    'ERR_OPT_ALIAS',
    /variables\[1\] and variables\[0\] overlap/,
  ],
  ['a variable twice', () => [v, v], 'ERR_OPT_ALIAS', /overlap/],
  ['a variable and its values', () => [v, v.value], 'ERR_OPT_ALIAS', /overlap/],
  ['two dtypes on one buffer', () => [flat, new Float64Array(flat.buffer)], 'ERR_OPT_ALIAS', /overlap/],
  [
    'a number',
    () => [v, 3],
    'ERR_OPT_ARRAY_TYPE',
    /expects variables\[1\] to be a Variable, a Float32Array or a Float64Array, got 3/,
  ],
  ['a list of numbers', () => [[1, 2]], 'ERR_OPT_ARRAY_TYPE', /variables\[0\] .* got an array/],
  ['an Int32Array', () => [new Int32Array(2)], 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
  ['a proxy', () => [new Proxy(new Float32Array(2), {})], 'ERR_OPT_ARRAY_TYPE', /got an object/],
  ['state of an optimizer that is a number', () => new SGD().variables, 'ERR_OPT_ARRAY_TYPE', /variables\[0\]/],
  ['no list', () => 7, 'ERR_OPT_ARRAY_TYPE', /an array of variables, got 7/],
  ['null', () => null, 'ERR_OPT_ARRAY_TYPE', /got null/],
  ['a transferred buffer', () => [detached()], 'ERR_OPT_DETACHED', /variables\[0\] expects an array with memory/],
  [
    'a resizable buffer',
    () => [new Float32Array(resizable(8))],
    'ERR_OPT_RESIZABLE',
    /variables\[0\] expects an array of fixed length/,
  ],
  ['a growable shared buffer', () => [new Float32Array(growable)], 'ERR_OPT_RESIZABLE', /fixed length/],
];

const shared = new Variable([1, 2]);
const others: readonly [string, (o: Optimizer) => unknown, string, RegExp][] = [
  [
    'pairs that are none',
    (o) => o.apply_gradients([[[1, 1]]] as never),
    'ERR_OPT_ARRAY_TYPE',
    /\[gradient, variable\]/,
  ],
  ['pairs that are no array', (o) => o.apply_gradients(null as never), 'ERR_OPT_ARRAY_TYPE', /got null/],
  ['no pairs', (o) => o.apply_gradients([]), 'ERR_OPT_LENGTH', /a non-empty array/],
  [
    'finalize of unknown variables',
    (o) => o.finalize_variable_values([shared]),
    'ERR_OPT_UNKNOWN_VARIABLE',
    /built with/,
  ],
  [
    'finalize of no array',
    (o) => o.finalize_variable_values(3 as never),
    'ERR_OPT_ARRAY_TYPE',
    /an array of variables, got 3/,
  ],
  ['weights that are too few', (o) => o.set_weights([1]), 'ERR_OPT_LENGTH', /expects \d+ arrays, .* got 1/],
];

const numbers = [
  'learning_rate',
  'weight_decay',
  'clipnorm',
  'clipvalue',
  'global_clipnorm',
  'ema_momentum',
  'loss_scale_factor',
];
const flags = ['use_ema'];
const kinds: readonly [unknown, RegExp][] = [
  ['1', /got "1"/],
  [[1], /got an array/],
  [{}, /got an object/],
  [1n, /got 1n/],
  [Symbol('x'), /got a symbol/],
  [new Float32Array(1), /got a Float32Array/],
];
/** Options of every optimizer that are refused: name, value, code, message. */
const badOptions: readonly (readonly [string, unknown, string, RegExp])[] = [
  ...numbers.flatMap((name) => [
    ...kinds.map(([value, got]) => [name, value, 'ERR_OPT_CONFIG_TYPE', got] as const),
    [name, true, 'ERR_OPT_CONFIG_TYPE', /got true/] as const,
    ...[NaN, Infinity, -Infinity].map((x) => [name, x, 'ERR_OPT_CONFIG_RANGE', new RegExp(`got ${x}`)] as const),
  ]),
  ...flags.flatMap((name) => kinds.map(([value, got]) => [name, value, 'ERR_OPT_CONFIG_TYPE', got] as const)),
  ['use_ema', 1, 'ERR_OPT_CONFIG_TYPE', /true or false, got 1/],
  ['name', 3, 'ERR_OPT_CONFIG_TYPE', /a string, got 3/],
  ['gradient_accumulation_steps', 1, 'ERR_OPT_CONFIG_RANGE', /a number >= 2, 0 or null, got 1/],
  ['gradient_accumulation_steps', -3, 'ERR_OPT_CONFIG_RANGE', /got -3/],
  ['gradient_accumulation_steps', NaN, 'ERR_OPT_CONFIG_RANGE', /got NaN/],
  ['momemtum', 0.9, 'ERR_OPT_CONFIG_TYPE', /only options that it knows .* got "momemtum"/],
  ['lr', 0.1, 'ERR_OPT_CONFIG_TYPE', /expects lr to be left out: its name is learning_rate, got 0.1/],
  ['__proto__', {}, 'ERR_OPT_CONFIG_TYPE', /got "__proto__"/],
];

describe('apply and apply_async refuse, and leave everything as it was:', () => {
  it('a table of at least 150 bad inputs', () => {
    // distinct ones: every row runs with every optimizer, in apply and in apply_async
    assert.isAtLeast(rows.length + lists.length + others.length + badOptions.length, 150);
  });
  for (const [what, make] of optimizers)
    for (const [method, call] of Object.entries(calls))
      for (const [name, given, code, message] of rows)
        it(`${what}.${method}: ${name}`, async () => {
          const scene = setUp(make);
          const input = given(scene);
          await refused(scene.optimizer, [scene.kernel, scene.bias], () => call(scene, input), code, message);
          await call(scene, [[[1, 1], [1]]]); // and the next step is fine
        });
});

describe('a gradient that is a state of the optimizer', () => {
  for (const [what, make] of optimizers.filter(([name]) => name !== 'SGD'))
    it(`is refused by ${what}`, async () => {
      const scene = setUp(make);
      const slots = scene.optimizer.variables.filter(({ path }) => /kernel/.test(path));
      assert.isNotEmpty(slots);
      for (const slot of slots)
        for (const call of Object.values(calls))
          await refused(
            scene.optimizer,
            [scene.kernel, scene.bias],
            () => call(scene, [[slot, good]]),
            'ERR_OPT_ALIAS',
            /its state in memory/,
          );
    });
});

describe('constructors refuse', () => {
  for (const cls of classes)
    for (const [name, value, code, message] of badOptions)
      it(`${cls.className}: ${name} that is ${message.source}`, () => {
        const options = Object.defineProperty({}, name, { value, enumerable: true });
        const error = thrown(() => new cls(options));
        assert.equal(error?.code, code);
        assert.match(String(error?.message), message);
        assert.include(error?.message, cls.className);
      });
});

describe('what is accepted though it looks strange:', () => {
  const accepted: readonly [string, () => unknown][] = [
    ['a typed array of another realm', () => runInNewContext('new Float32Array([1, 1])') as unknown],
    ['a list of another realm', () => runInNewContext('[1, 1]') as unknown],
    ['a shared buffer', () => new Float32Array(new SharedArrayBuffer(8)).fill(1)],
    [
      'a growable shared buffer of the right length',
      () =>
        new Float32Array(
          new (SharedArrayBuffer as unknown as new (n: number, o: object) => SharedArrayBuffer)(8, {
            maxByteLength: 16,
          }),
          0,
          2,
        ).fill(1),
    ],
    ['an odd offset', () => new Float32Array(new ArrayBuffer(28), 20, 2).fill(1)],
    ['a subclass', () => new (class Mine extends Float32Array {})([1, 1])],
    ['a hidden buffer', () => Object.defineProperty(new Float32Array([1, 1]), 'buffer', { value: null })],
    ['a frozen list', () => Object.freeze([1, 1])],
    ['not-a-number and infinity, as in Keras', () => [NaN, Infinity]],
  ];
  for (const [name, gradient] of accepted)
    for (const [method, call] of Object.entries(calls))
      it(`${name}, by ${method}`, async () => {
        const scene = setUp(() => new SGD({ learning_rate: 1 }));
        assert.isUndefined(await rejection(() => call(scene, [[gradient(), good]])));
        const expected = name.startsWith('not-a-number') ? [NaN, -Infinity] : [-1, 0];
        assert.deepEqual([...scene.kernel.value], expected);
      });
});

describe('build refuses, and leaves nothing half-built:', () => {
  for (const [what, make] of optimizers)
    for (const [name, list, code, message] of lists)
      it(`${what}: ${name}`, async () => {
        const optimizer = make();
        await refused(optimizer, [v], () => optimizer.build(list() as Variable[]), code, message);
        optimizer.build([v]);
      });

  it('but takes neighbours on one buffer', () => {
    const optimizer = new SGD({ learning_rate: 1 });
    const ones = new Float32Array(4).fill(1);
    optimizer.apply([ones, ones], [flat.subarray(0, 4), flat.subarray(4)]);
    assert.deepEqual([...flat], Array<number>(8).fill(-1));
  });
});

describe('other calls refuse, and leave everything as it was:', () => {
  for (const [name, call, code, message] of others)
    it(name, async () => {
      const { optimizer, kernel, bias } = setUp(() => new Nadam({ use_ema: true }));
      await refused(optimizer, [kernel, bias], () => call(optimizer), code, message);
    });

  it('a first apply: the optimizer is not even built', async () => {
    const v = new Variable([1]);
    const optimizer = new Nadam();
    for (const method of ['apply', 'apply_async'] as const) {
      await refused(optimizer, [v], () => optimizer[method]([[1, 2]], [v]), 'ERR_OPT_LENGTH', /has 2 elements/);
      await refused(
        optimizer,
        [v],
        () => optimizer[method]([[1]]),
        'ERR_OPT_NOT_BUILT',
        new RegExp(`Nadam.${method} expects build`),
      );
    }
    assert.equal(optimizer.apply([[1]], [v]), 1);
  });

  it('a step on a variable that has been disposed of', async () => {
    const v = new Variable([1]);
    const optimizer = new SGD();
    optimizer.build([v]);
    v.dispose();
    for (const method of ['apply', 'apply_async'] as const)
      assert.equal((await rejection(() => optimizer[method]([[1]])))?.code, 'ERR_OPT_DISPOSED');
    assert.equal(optimizer.iterations, 0);
  });
});

describe('user code in the middle of a step', () => {
  it('cannot take memory away that is written or read: a schedule that transfers the gradient', async () => {
    for (const method of ['apply', 'apply_async'] as const) {
      const gradient = new Float32Array(2);
      const scene = setUp(() => {
        let steps = 0;
        return new SGD({
          learning_rate: () => {
            if (steps++ === 1) structuredClone(gradient.buffer, { transfer: [gradient.buffer] });
            return 1;
          },
        });
      });
      const error = await rejection(() => calls[method](scene, [[gradient, good]]));
      // an asynchronous step has its copy already
      assert.equal(error?.code, method === 'apply' ? 'ERR_OPT_DETACHED' : undefined);
    }
  });
  it('cannot take a plain variable away', () => {
    const plain = new Float32Array(2);
    const optimizer = new SGD({
      learning_rate: () => (structuredClone(plain.buffer, { transfer: [plain.buffer] }), 1),
    });
    optimizer.build([plain]);
    assert.throws(() => optimizer.apply([[1, 1]]), TypeError, /detached/);
  });
  it('throws its own error, and the step has not happened', async () => {
    class Mine extends Error {}
    for (const options of [{ learning_rate: fail }, { beta_1: fail }]) {
      const v = new Variable([1]);
      const optimizer = new Adam(options);
      optimizer.build([v]);
      for (const call of [() => optimizer.apply([[1]]), () => optimizer.apply_async([[1]])])
        assert.instanceOf(await rejection(call), Mine);
      assert.deepEqual([optimizer.iterations, v.value[0], Number(optimizer.variables[2]?.value[0])], [0, 1, 0]);
    }
    function fail(): never {
      throw new Mine();
    }
  });
});
