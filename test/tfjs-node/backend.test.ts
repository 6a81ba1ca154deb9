// What the other files here stand on: tfjs-node beside the project's own TensorFlow.js.
import { assert } from 'chai';
import * as core from '@tensorflow/tfjs-core';

import { loadTfjsNode } from '../../bench/tfjs/node.ts';

const tf = loadTfjsNode();

describe('tfjs-node', () => {
  before(() => tf.setBackend('tensorflow'));

  it('is the backend of the copy that imports give', () => {
    assert.equal(core.getBackend(), 'tensorflow');
    assert.strictEqual<unknown>(tf.engine(), core.engine());
    assert.strictEqual<unknown>(tf.Optimizer, core.Optimizer);
  });

  it('trains with tf.train.adam', async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [4] })] });
    model.compile({ optimizer: tf.train.adam(0.1), loss: 'meanSquaredError' });
    const x = tf.randomNormal([64, 4], 0, 1, 'float32', 1);
    const { history } = await model.fit(x, x.sum(1, true), { epochs: 80, batchSize: 16, verbose: 0 });
    assert.isBelow(history['loss']?.at(-1) as number, 1e-3);
    tf.disposeVariables();
  });
});
