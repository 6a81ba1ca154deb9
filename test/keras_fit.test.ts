// Keras's own tests that call model.fit, with the gradients of their one layer written out.
import { assert } from 'chai';

import { Adam, ExponentialDecay, SGD, Variable } from '../lib/index.ts';
import { close, stateOf } from './steps.ts';

describe("Keras's own tests of training", () => {
  it('the average of a layer trained for two epochs is 0.891, and so are its weights at the end', () => {
    const optimizer = new SGD({ learning_rate: 0.1, use_ema: true, ema_momentum: 0.9 });
    const kernel = new Variable([1, 1]);
    // y = x kernel for x = 1, wanted 0: the mean of two squares has the gradient y
    for (let epoch = 0; epoch < 2; epoch++) optimizer.apply([[...kernel.value]], [kernel]);
    close(stateOf(optimizer, '_average'), [0.891, 0.891]);
    optimizer.finalize_variable_values([kernel]);
    close(kernel.value, [0.891, 0.891]);
  });

  // kernel and bias of ones, mean squared error, 16 rows of 2 in batches of 4, in order
  it("Adam with ExponentialDecay trains a dense layer to Keras's losses", () => {
    const [kernel, bias] = [new Variable([1, 1, 1, 1]), new Variable([1, 1])];
    const learning_rate = new ExponentialDecay({ initial_learning_rate: 0.05, decay_steps: 1, decay_rate: 0.9 });
    const optimizer = new Adam({ learning_rate });
    assert.deepEqual(
      optimizer.variables.map(({ value }) => Number(value[0])),
      [0],
    );
    const step = (batch: number): number => {
      let loss = 0;
      for (const g of [kernel.gradient, bias.gradient]) g.fill(0);
      for (let row = 4 * batch; row < 4 * batch + 4; row++)
        for (const j of [0, 1] as const) {
          const x = [2 * row, 2 * row + 1] as const;
          const [a = 0, b = 0] = [kernel.value[j], kernel.value[2 + j]];
          const error = x[0] * a + x[1] * b + (bias.value[j] ?? 0) - x[j];
          loss += error ** 2 / 8;
          for (const i of [0, 1] as const)
            kernel.gradient[2 * i + j] = (kernel.gradient[2 * i + j] ?? 0) + (error * x[i]) / 4;
          bias.gradient[j] = (bias.gradient[j] ?? 0) + error / 4;
        }
      optimizer.apply();
      return loss;
    };
    optimizer.build([kernel, bias]);
    const losses = [1, 2, 3].map(() => [0, 1, 2, 3].map(step).reduce((a, b) => a + b) / 4);
    assert.equal(optimizer.iterations, 12);
    [230.79457092285156, 128.30319213867188, 79.33648681640625].forEach((keras, epoch) =>
      assert.closeTo(losses[epoch] as number, keras, 5e-5 * keras),
    );
  });
});
