// A model and its optimizer through the files of tfjs-node, which are those of this package's fileSystem.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { io, LayersModel } from '@tensorflow/tfjs';
import { assert } from 'chai';

import { loadTfjsNode } from '../../bench/tfjs/node.ts';
import { CosineDecay } from '../../lib/index.ts';
import { fileSystem, optimizers } from '../../lib/tfjs/index.ts';
import { on } from '../tfjs.ts';

const tf = loadTfjsNode();
const { nadam } = optimizers(tf);

type Place = string | io.IOHandler;
const handlers: Readonly<Record<string, { to: (folder: string) => Place; from: (folder: string) => Place }>> = {
  "tfjs-node's file://": {
    to: (folder) => pathToFileURL(folder).href,
    from: (folder) => `${pathToFileURL(folder).href}/model.json`,
  },
  fileSystem: { to: fileSystem, from: fileSystem },
};

function fresh(): LayersModel {
  const initializer = (seed: number) => tf.initializers.glorotUniform({ seed });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 8, inputShape: [4], activation: 'tanh', kernelInitializer: initializer(1) }),
      tf.layers.dense({ units: 1, kernelInitializer: initializer(2) }),
    ],
  });
  const learning_rate = new CosineDecay({ initial_learning_rate: 0.02, decay_steps: 40 });
  model.compile({ optimizer: nadam({ learning_rate, clipnorm: 1, use_ema: true }), loss: 'meanSquaredError' });
  return model;
}

async function losses(model: LayersModel, epochs: number): Promise<number[]> {
  const x = tf.randomNormal([32, 4], 0, 1, 'float32', 3);
  const y = tf.tidy(() => x.prod(1, true));
  const { history } = await model.fit(x, y, { epochs, batchSize: 8, shuffle: false, verbose: 0 });
  tf.dispose([x, y]);
  return history['loss'] as number[];
}

function done(model: LayersModel): void {
  model.optimizer.dispose();
  model.dispose();
}

describe('a model on libtensorflow', () => {
  on('tensorflow');
  let folder = '';
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'tfjs-node-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  for (const [writer, { to }] of Object.entries(handlers))
    for (const [reader, { from }] of Object.entries(handlers))
      it(`is written by ${writer}, read by ${reader}, and goes on as if nothing had been`, async () => {
        const [model, straight] = [fresh(), fresh()];
        const expected = await losses(straight, 4);
        const before = await losses(model, 2);
        await model.save(to(folder), { includeOptimizer: true });
        const again = await tf.loadLayersModel(from(folder));
        assert.deepEqual([...before, ...(await losses(again, 2))], expected);
        assert.isBelow(expected[3] as number, expected[0] as number);
        for (const one of [model, again, straight]) done(one);
      });
});
