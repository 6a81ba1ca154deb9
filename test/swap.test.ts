// swap_ema_weights: bits, storages, and what it refuses; and the callback that calls it around evaluations.
import { assert } from 'chai';

import { Adam, AdamW, Nadam, SGD, Variable, type Optimizer, type Trainable } from '../lib/index.ts';
import { SwapEMAWeights } from '../lib/callbacks/index.ts';
import { refused } from './errors.ts';

const length = 16_384 + 5; // elements: more than a block of 65,536 bytes, and not a multiple
const kinds: Readonly<Record<string, () => Trainable>> = {
  'a float32 variable': () => new Variable(new Float32Array(length)),
  'a float64 variable': () => new Variable(new Float64Array(length)),
  'a plain Float32Array': () => new Float32Array(length),
  'a plain Float64Array in the middle of a buffer': () => new Float64Array(new ArrayBuffer(8 * length + 16), 8, length),
  'a shared array': () => new Float32Array(new SharedArrayBuffer(4 * length)),
  'an array of a subclass with its own ideas': () =>
    new (class Mine extends Float32Array {
      override subarray(): never {
        throw new Error('never asked');
      }
      override set(list: ArrayLike<number>): void {
        for (let i = 0; i < list.length; i++) this[i] = list[i] as number;
      }
    })(length),
  'no elements': () => new Variable([]),
};
const valueOf = (trainable: Trainable) => (trainable instanceof Variable ? trainable.value : trainable);
const bytesOf = (trainable: Trainable): Buffer => {
  const { buffer, byteOffset, byteLength } = valueOf(trainable);
  return Buffer.from(Buffer.from(buffer, byteOffset, byteLength));
};
const averagesOf = (optimizer: Optimizer): Variable[] =>
  optimizer.variables.filter(({ name }) => name.endsWith('_average'));

/** An optimizer of two steps with averages, and some values that arithmetic would change. */
function trained(make: (options: { use_ema: true }) => Optimizer, variables: readonly Trainable[]): Optimizer {
  const optimizer = make({ use_ema: true });
  for (let step = 0; step < 2; step++)
    optimizer.apply(
      variables.map((v) => valueOf(v).map((_, i) => Math.sin(i + step))),
      variables,
    );
  for (const v of variables) valueOf(v).set([NaN, -0, Infinity, 1e-310, 1e-40].slice(0, valueOf(v).length));
  return optimizer;
}

describe('swap_ema_weights', () => {
  for (const [name, make] of Object.entries(kinds))
    it(`exchanges every bit of ${name} with its average, and back`, () => {
      const variables = [make(), new Variable([1, 2]), make()];
      const optimizer = trained((options) => new Nadam(options), variables);
      const state = () => [variables, averagesOf(optimizer)].map((list) => list.map(bytesOf));
      const [before = [], averages = []] = state();
      assert.lengthOf(averages, 3);
      assert.notDeepEqual(before[1], averages[1]);
      optimizer.swap_ema_weights();
      assert.deepEqual(state(), [averages, before]);
      optimizer.swap_ema_weights();
      assert.deepEqual(state(), [before, averages]);
    });

  for (const cls of [SGD, Adam, AdamW, Nadam])
    it(`between two steps of ${cls.className}, and back, changes no later bit`, () => {
      const [a, b] = [new Variable(new Float32Array(40).fill(1)), new Variable(new Float32Array(40).fill(1))];
      const [swapped, straight] = [new cls({ use_ema: true }), new cls({ use_ema: true })];
      for (let step = 0; step < 5; step++) {
        for (const [optimizer, v] of [[swapped, a] as const, [straight, b] as const])
          optimizer.apply([new Float32Array(40).map((_, i) => Math.cos(i * step))], [v]);
        swapped.swap_ema_weights();
        swapped.swap_ema_weights();
      }
      assert.deepEqual(bytesOf(a), bytesOf(b));
      assert.deepEqual(averagesOf(swapped).map(bytesOf), averagesOf(straight).map(bytesOf));
    });

  it('leaves slots, accumulators and the averages of bfloat16 states in place', () => {
    const v = new Variable([1, 2]);
    const optimizer = new Adam({ use_ema: true, gradient_accumulation_steps: 2, state_dtype: 'bfloat16' });
    for (const gradient of [1, 2, 3]) optimizer.apply([[gradient, 1]], [v]);
    const others = () => optimizer.variables.filter(({ name }) => !name.endsWith('_average')).map(({ value }) => value);
    const before = others();
    const [average] = averagesOf(optimizer).map(({ value }) => [...value]);
    optimizer.swap_ema_weights();
    assert.deepEqual(others(), before);
    assert.deepEqual([...v.value], average);
  });

  it('refuses what it cannot do whole, and leaves everything as it was', async () => {
    const [a, b] = [new Variable([1, 2]), new Variable([3])];
    const message = (text: string) => new RegExp(`Nadam.swap_ema_weights expects ${text}`);
    const without = new Nadam();
    const swap = (optimizer: Optimizer) => () => optimizer.swap_ema_weights();
    await refused(without, [a], swap(without), 'ERR_OPT_CONFIG_RANGE', message('use_ema to be true, got false'));
    const fresh = new Nadam({ use_ema: true });
    await refused(fresh, [a], swap(fresh), 'ERR_OPT_NOT_BUILT', message('build'));
    const optimizer = trained((options) => new Nadam(options), [a, b]);
    b.dispose();
    const before = bytesOf(a);
    assert.throws(swap(optimizer), Error, /has been disposed of/);
    assert.deepEqual(bytesOf(a), before);
    optimizer.dispose();
    assert.throws(swap(optimizer), Error, /has been disposed of/);
  });

  const losses: Readonly<Record<string, (variable: Float32Array, average: Variable) => void>> = {
    'variable whose memory was transferred away': ({ buffer }) =>
      void structuredClone(buffer, { transfer: [buffer as ArrayBuffer] }),
    'average that was disposed of': (_, average) => average.dispose(),
  };
  for (const [name, lose] of Object.entries(losses))
    it(`refuses a last ${name}, before the first write`, () => {
      const [kept, lost] = [new Float32Array([1, 2]), new Float32Array([3])];
      const optimizer = trained((options) => new Nadam(options), [kept, lost]);
      const [first, second] = averagesOf(optimizer) as [Variable, Variable];
      const before = [kept, first].map(bytesOf);
      lose(lost, second);
      assert.throws(() => optimizer.swap_ema_weights(), Error, /has been (detached|disposed of)/);
      assert.deepEqual([kept, first].map(bytesOf), before);
    });
});

/** A linear model of one weight, trained for an epoch on y = 3 x, with its loss of that weight alone. */
function setUp(options: ConstructorParameters<typeof SwapEMAWeights>[0] = {}, epochs?: number) {
  const weight = new Variable([0]);
  const optimizer = new SGD({ learning_rate: 0.1, use_ema: true, ema_momentum: 0.9 });
  const callback = new SwapEMAWeights(options);
  callback.set_model({ optimizer });
  if (epochs !== undefined) callback.set_params({ epochs });
  const now = () => weight.value[0] as number;
  const average = () => averagesOf(optimizer)[0]?.value[0];
  const train = (epoch: number) => {
    callback.on_epoch_begin(epoch);
    for (let step = 0; step < 3; step++) optimizer.apply([[now() - 3]], [weight]);
  };
  return { callback, optimizer, now, average, train };
}

describe('SwapEMAWeights', () => {
  for (const [begin, end] of [
    ['on_test_begin', 'on_test_end'],
    ['on_predict_begin', 'on_predict_end'],
  ] as const)
    it(`puts the averages in at ${begin}, once, and takes them out at ${end}, once`, () => {
      const { callback, now, average, train } = setUp();
      train(0);
      const before = [now(), average()];
      assert.notEqual(before[0], before[1]);
      for (const hook of [begin, begin]) callback[hook]();
      assert.deepEqual([now(), average()], before.toReversed());
      for (const hook of [end, end]) callback[hook]();
      assert.deepEqual([now(), average()], before);
      callback.on_epoch_end(0);
      assert.deepEqual([now(), average()], before, 'without swap_on_epoch');
    });

  it("evaluates during training what is left after it, as in Keras's test", () => {
    const { callback, optimizer, now, train } = setUp({}, 2);
    const evaluated = [0, 1].map((epoch) => {
      train(epoch);
      callback.on_test_begin();
      const value = now();
      callback.on_test_end();
      callback.on_epoch_end(epoch);
      return value;
    });
    assert.notEqual(now(), evaluated[1]);
    optimizer.finalize_variable_values();
    assert.equal(now(), evaluated[1]);
  });

  it('with swap_on_epoch, shows the averages between epochs, and keeps them after the last', () => {
    const [swapping, plain] = [setUp({ swap_on_epoch: true }, 3), setUp()];
    for (const epoch of [0, 1, 2]) {
      for (const { train } of [swapping, plain]) train(epoch);
      assert.equal(swapping.now(), plain.now(), 'training sees no average');
      swapping.callback.on_test_begin();
      swapping.callback.on_test_end();
      swapping.callback.on_epoch_end(epoch);
      assert.equal(swapping.now(), plain.average(), 'a checkpoint does');
    }
    swapping.optimizer.finalize_variable_values();
    swapping.callback.on_test_begin();
    assert.equal(swapping.now(), plain.average());
    swapping.callback.on_test_end();
    assert.equal(swapping.now(), plain.average());
  });

  it('with swap_on_epoch and no number of epochs, keeps the variables for one more epoch', () => {
    const { callback, now, average, train } = setUp({ swap_on_epoch: true });
    train(0);
    const before = [now(), average()];
    callback.on_epoch_end(0);
    callback.on_epoch_end(0);
    assert.deepEqual([now(), average()], before.toReversed());
    callback.on_test_begin(); // the averages are in already
    assert.equal(now(), before[1]);
    callback.on_epoch_begin(1);
    assert.deepEqual([now(), average()], before);
  });

  it('takes the averages out of the optimizer that it put them into', () => {
    const { callback, now, train } = setUp();
    train(0);
    const before = now();
    callback.on_test_begin();
    callback.set_model({ optimizer: new SGD({ use_ema: true }) });
    callback.on_test_end();
    assert.equal(now(), before);
  });

  it('stays as it was where the optimizer is busy or not built', async () => {
    const { callback, optimizer, now, average, train } = setUp();
    assert.throws(() => callback.on_test_begin(), Error, /swap_ema_weights expects build/);
    train(0);
    const step = optimizer.apply_async([[1]]);
    assert.throws(() => callback.on_test_begin(), Error, /SGD.swap_ema_weights/);
    await step;
    const before = [now(), average()];
    callback.on_test_end(); // nothing to take out
    assert.deepEqual([now(), average()], before);
    callback.on_test_begin();
    assert.deepEqual([now(), average()], before.toReversed());
  });
});
