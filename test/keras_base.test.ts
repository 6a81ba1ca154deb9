// Keras's own tests of what all optimizers share (optimizer_test.py), with its numbers, as far as no other file has them:
// docs/keras-tests.md says where the rest is.
import { assert } from 'chai';

import { Nadam, SGD, Variable } from '../lib/index.ts';
import { close, path, stateOf } from './steps.ts';

const square = [1, 2, 3, 4];
const ones = [1, 1, 1, 1];

describe("Keras's own tests of the base class", () => {
  it('SGD has a counter and a rate before the first step, and nothing more after it', () => {
    const optimizer = new SGD({ learning_rate: 0.5 });
    assert.lengthOf(optimizer.variables, 2);
    optimizer.apply([[1, 6, 7, 2]], [new Variable(square)]);
    assert.deepEqual(
      optimizer.variables.map(({ value }) => Number(value[0])),
      [1, 0.5],
    );
  });

  it('clip arguments are kept as they are given', () => {
    for (const name of ['clipnorm', 'clipvalue', 'global_clipnorm'] as const)
      assert.equal(new SGD({ [name]: 0.1 })[name], 0.1);
  });

  it('global_clipnorm makes [50, 100] a vector of length 1', () => {
    const v = new Variable([0, 0]);
    new SGD({ learning_rate: 1, global_clipnorm: 1 }).apply([[50, 100]], [v]);
    close(v.value, [-50 / Math.hypot(50, 100), -100 / Math.hypot(50, 100)]);
  });

  it('a static loss scale of 1024 scales the loss and unscales the gradients', () => {
    const optimizer = new SGD({ learning_rate: 1, loss_scale_factor: 1024 });
    assert.equal(optimizer.scale_loss(1), 1024);
    assert.deepEqual(path(optimizer, square, [square.map((x) => x * 1024)]), [[0, 0, 0, 0]]);
  });

  it('gradients are accumulated for three calls, and divided by three', () => {
    const optimizer = new SGD({ learning_rate: 1, gradient_accumulation_steps: 3 });
    const v = new Variable(square);
    const rows = [1, 2, 3, 4].map((raw) => {
      assert.equal(optimizer.apply([ones], [v]), raw);
      return [v.value[0], stateOf(optimizer, '_gradient_accumulator')[3], optimizer.iterations];
    });
    assert.deepEqual(rows, [
      [1, 1, 0],
      [1, 2, 0],
      [0, 0, 1],
      [0, 1, 1],
    ]);
  });

  it('the average starts as the variable, follows it, and overwrites it every third step', () => {
    const optimizer = new SGD({ learning_rate: 1, use_ema: true, ema_momentum: 0.9, ema_overwrite_frequency: 3 });
    const v = new Variable([3, 4, 5, 6]);
    for (const [values, averages] of [
      [2, 2],
      [1, 1.9],
      [1.71, 1.71],
    ] as const) {
      optimizer.apply([ones], [v]);
      const square = (first: number) => [0, 1, 2, 3].map((x) => first + x);
      close(v.value, square(values));
      close(stateOf(optimizer, '_average'), square(averages));
    }
  });

  it('Nadam keeps a product of momenta for each dtype: variables of two dtypes train as if they were alone', () => {
    const train = (types: readonly (typeof Float32Array | typeof Float64Array)[]) => {
      const optimizer = new Nadam({ learning_rate: 0.1 });
      const variables = types.map((type) => new Variable(type.of(1, 2)));
      for (let t = 1; t <= 20; t++)
        optimizer.apply(
          types.map((type) => type.of(Math.sin(t), 1 / t)),
          variables,
        );
      return variables.map(({ value }) => value);
    };
    const alone = [...train([Float32Array]), ...train([Float64Array])];
    assert.deepEqual(train([Float32Array, Float64Array]), alone);
    assert.deepEqual(train([Float64Array, Float32Array]), alone.toReversed());
  });
});
