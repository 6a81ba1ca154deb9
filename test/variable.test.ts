// Variables: what they hold, show and refuse.
import { runInNewContext } from 'node:vm';

import { assert } from 'chai';

import { Adam, SGD, Variable } from '../lib/index.ts';
import { thrown } from './errors.ts';

describe('a variable', () => {
  it('copies its data, and has the shape, dtype and name it is given or the default', () => {
    const data = new Float64Array([1, 2]);
    const v = new Variable(data);
    data[0] = 5;
    assert.deepEqual([...v.value], [1, 2]);
    assert.deepEqual([v.dtype, v.shape], ['float64', [2]]);
    assert.match(v.name, /^variable(_\d+)?$/);
    const w = new Variable([1, 2, 3, 4, 5, 6], { shape: [2, 3], name: 'dense/kernel', dtype: 'float64' });
    assert.deepEqual([w.dtype, w.shape, w.name, w.path], ['float64', [2, 3], 'kernel', 'dense/kernel']);
    assert.equal(new Variable([1]).dtype, 'float32');
    assert.equal(new Variable(new Float64Array([0.1]), { dtype: 'float32' }).value[0], Math.fround(0.1));
    assert.deepEqual(new Variable([3], { shape: [] }).shape, []);
    assert.lengthOf(new Variable([], { shape: [0, 4] }).value, 0);
    assert.throws(() => (w.shape as number[]).push(1), TypeError);
  });

  it('shows live memory', () => {
    const v = new Variable([1, 2]);
    const { value } = v;
    new SGD({ learning_rate: 1 }).apply([[1, 1]], [v]);
    assert.deepEqual([...value], [0, 1]);
    assert.strictEqual(v.value, value);
    assert.strictEqual(v.gradient, v.gradient);
    assert.deepEqual([v.gradient.length, v.gradient.constructor], [2, Float32Array]);
  });

  it('is assigned arrays, typed arrays and variables of its length', () => {
    const v = new Variable([1, 2]);
    v.assign([3, 4]);
    v.assign(new Float64Array([5, 6]));
    v.assign(new Variable([7, 8]));
    assert.deepEqual([...v.value], [7, 8]);
  });

  it('accepts arrays of another realm', () => {
    const foreign = runInNewContext('[new Float32Array([1, 2]), [3, 4]]') as [Float32Array, number[]];
    assert.isFalse(foreign[0] instanceof Float32Array);
    const v = new Variable(foreign[0]);
    v.assign(foreign[1]);
    const plain = runInNewContext('new Float32Array([1, 2])') as Float32Array;
    new SGD({ learning_rate: 1 }).apply([foreign[0], [1, 1]], [v, plain]);
    assert.deepEqual([...v.value, ...plain], [2, 2, 0, 1]);
  });

  it('refuses other data, shapes, names and dtypes', () => {
    const bad: [() => unknown, string, RegExp][] = [
      [
        () => new Variable('12' as never),
        'ERR_OPT_ARRAY_TYPE',
        /Variable expects a Float32Array, a Float64Array or an array of numbers, got "12"/,
      ],
      [() => new Variable(new Int32Array(2) as never), 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
      [() => new Variable([1, null] as never), 'ERR_OPT_ARRAY_TYPE', /expects numbers, got null at index 1/],
      [() => new Variable(new Proxy(new Float32Array(2), {})), 'ERR_OPT_ARRAY_TYPE', /got an object/],
      [
        () => new Variable(Object.create(Float32Array.prototype) as Float32Array),
        'ERR_OPT_ARRAY_TYPE',
        /got an object/,
      ],
      [() => new Variable([1, 2], { shape: [3] }), 'ERR_OPT_LENGTH', /a shape of 2 elements in all, got \[3\]/],
      [() => new Variable([1, 2], { shape: [-1, -2] }), 'ERR_OPT_LENGTH', /got \[-1,-2\]/],
      [() => new Variable([1, 2], { shape: [0.5, 4] }), 'ERR_OPT_LENGTH', /got \[0.5,4\]/],
      [() => new Variable([1, 2], { shape: 2 as never }), 'ERR_OPT_LENGTH', /got 2/],
      [() => new Variable([1], { name: 3 as never }), 'ERR_OPT_CONFIG_TYPE', /name to be a string, got 3/],
      [
        () => new Variable([1], { dtype: 'float16' as never }),
        'ERR_OPT_CONFIG_RANGE',
        /dtype to be float32 or float64, got "float16"/,
      ],
      [() => new Variable([1], { dtype: '__proto__' as never }), 'ERR_OPT_CONFIG_RANGE', /got "__proto__"/],
      [() => new Variable([1]).assign([1, 2]), 'ERR_OPT_LENGTH', /expects 1 elements, got 2/],
      [() => new Variable([1]).assign(1 as never), 'ERR_OPT_ARRAY_TYPE', /got 1/],
    ];
    for (const [action, code, message] of bad) {
      const error = thrown(action);
      assert.equal(error?.code, code, String(error));
      assert.match(String(error?.message), message);
    }
  });

  it('is empty after dispose, which may be called twice', () => {
    const v = new Variable([1, 2]);
    const { value, gradient } = v;
    v.dispose();
    v[Symbol.dispose]();
    assert.deepEqual([value.length, gradient.length], [0, 0]);
    for (const action of [() => v.value, () => v.gradient, () => v.assign([1, 2]), () => new SGD().build([v])])
      assert.propertyVal(thrown(action), 'code', 'ERR_OPT_DISPOSED');
  });

  it('of an optimizer is read-only where it counts, and has no gradient', () => {
    const optimizer = new Adam();
    optimizer.apply([[1]], [new Variable([1])]);
    const [iteration, rate] = optimizer.variables as [Variable, Variable];
    assert.propertyVal(
      thrown(() => iteration.assign([3])),
      'code',
      'ERR_OPT_READ_ONLY',
    );
    assert.propertyVal(
      thrown(() => rate.gradient),
      'code',
      'ERR_OPT_READ_ONLY',
    );
    (iteration.value as unknown as BigInt64Array)[0] = 9n;
    assert.equal(optimizer.iterations, 1, 'a copy');
  });
});
