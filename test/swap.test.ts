// swap_ema_weights: bits, storages, and what it refuses.
import { assert } from 'chai';

import { Adam, AdamW, Nadam, SGD, Variable, type Optimizer, type Trainable } from '../lib/index.ts';
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
