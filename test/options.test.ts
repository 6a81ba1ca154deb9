// What docs/keras.md says of PyTorch's and TensorFlow.js's options: translated, they give the same numbers.
import '@tensorflow/tfjs-backend-cpu';
import * as tf from '@tensorflow/tfjs-core';
import { assert } from 'chai';

import { deserialize, Variable, type Optimizer } from '../lib/index.ts';
import { readGolden } from './golden.ts';

type Rows = readonly (readonly number[])[];
type Options = Readonly<Record<string, unknown>>;
interface TorchCase {
  readonly class: string;
  readonly args: Options;
  readonly ours: Options;
  readonly rows: Rows;
}
const { gradients, cases } = readGolden<{ readonly gradients: Rows; readonly cases: readonly TorchCase[] }>(
  'torch-options',
);

function compare(class_name: string, config: Options, dtype: 'float32' | 'float64', theirs: Rows): void {
  const optimizer = deserialize({ class_name, config }) as Optimizer;
  const type = dtype === 'float32' ? Float32Array : Float64Array;
  const v = new Variable(new type(4).fill(1));
  const tolerance = dtype === 'float32' ? 2e-6 : 1e-14; // some roundings of numbers near 1
  gradients.forEach((gradient, t) => {
    optimizer.apply([type.from(gradient)], [v]);
    v.value.forEach((x, i) => assert.closeTo(x, theirs[t]?.[i] as number, tolerance, `${i} after ${t + 1}`));
  });
}

describe("PyTorch's options translated", () => {
  for (const { class: name, args, ours, rows } of cases)
    it(`${name} ${JSON.stringify(args)}`, () => compare(name, ours, 'float64', rows));
});

describe("TensorFlow.js's options translated", () => {
  before(() => {
    tf.enableProdMode(); // no advice on the console
    return tf.setBackend('cpu');
  });

  function run(optimizer: tf.Optimizer): Rows {
    const v = tf.variable(tf.ones([4]));
    return gradients.map((gradient) => {
      optimizer.applyGradients([{ name: v.name, tensor: tf.tensor1d([...gradient]) }]);
      return [...v.dataSync()];
    });
  }
  const rate = { learning_rate: 0.0625 };
  const decayed = {
    class_name: 'InverseTimeDecay',
    config: { initial_learning_rate: 0.0625, decay_steps: 1, decay_rate: 0.25 },
  };
  const translations: readonly [string, () => tf.Optimizer, string, Options][] = [
    ['sgd', () => tf.train.sgd(0.0625), 'SGD', rate],
    ['momentum', () => tf.train.momentum(0.0625, 0.75), 'SGD', { ...rate, momentum: 0.75 }],
    [
      'momentum with useNesterov',
      () => tf.train.momentum(0.0625, 0.75, true),
      'SGD',
      { ...rate, momentum: 0.75, nesterov: true },
    ],
    ['rmsprop', () => tf.train.rmsprop(0.0625), 'RMSprop', rate],
    ['rmsprop with momentum', () => tf.train.rmsprop(0.0625, 0.9, 0.5), 'RMSprop', { ...rate, momentum: 0.5 }],
    ['adagrad', () => tf.train.adagrad(0.0625), 'Adagrad', rate],
    ['adamax', () => tf.train.adamax(), 'Adamax', { learning_rate: 0.002 }],
    ['adamax with decay', () => tf.train.adamax(0.0625, 0.9, 0.999, 1e-7, 0.25), 'Adamax', { learning_rate: decayed }],
    ['adam, but for epsilon', () => tf.train.adam(0.001, 0.9, 0.999, 1e-30), 'Adam', { epsilon: 1e-30 }],
    ['adadelta, which is plain gradient descent there', () => tf.train.adadelta(0.0625), 'SGD', rate],
  ];
  for (const [name, make, ours, options] of translations)
    it(name, () => compare(ours, options, 'float32', run(make())));

  it('rmsprop, centered, subtracts its epsilon: NaN where ours goes on', () => {
    const v = tf.variable(tf.ones([1]));
    const [theirs, ours] = [tf.train.rmsprop(0.0625, 0.9, 0, 0.5, true), { ...rate, centered: true, epsilon: 0.5 }];
    theirs.applyGradients([{ name: v.name, tensor: tf.tensor1d([1]) }]);
    assert.isNaN(v.dataSync()[0]);
    const plain = new Float32Array([1]);
    (deserialize({ class_name: 'RMSprop', config: ours }) as Optimizer).apply([[1]], [plain]);
    assert.isBelow(plain[0] as number, 1);
  });
});
