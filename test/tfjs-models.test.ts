// model.compile, model.fit, model.save and tf.loadLayersModel with the optimizers of the adapter.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { io, LayersModel, NamedTensorMap, Variable } from '@tensorflow/tfjs';
import { assert } from 'chai';

import * as library from '../lib/index.ts';
import { camelCase, fromTensorFlow, toTensorFlow } from '../lib/tfjs/config.ts';
import { fileSystem, optimizers, type TfOptimizer } from '../lib/tfjs/index.ts';
import { bits } from './golden.ts';
import { classes, flags, makers } from './optimizers.ts';
import { backends, on, read, refused, tf } from './tfjs.ts';

const own = optimizers(tf);
const { wrap } = own;
const {
  CosineDecay,
  ExponentialDecay,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  OneCycle,
  PiecewiseConstantDecay,
  SGD,
} = library;

/** A small network; the same weights every time. */
function network(optimizer: TfOptimizer): LayersModel {
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 3 });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 5, inputShape: [3], activation: 'tanh', kernelInitializer }),
      tf.layers.dense({ units: 2, kernelInitializer }),
    ],
  });
  model.compile({ optimizer, loss: 'meanSquaredError' });
  return model;
}
const numbers = (rows: number, columns: number, of: (i: number) => number) =>
  tf.tensor2d(
    Array.from({ length: rows * columns }, (_, i) => of(i)),
    [rows, columns],
  );
async function fit(model: LayersModel, epochs: number): Promise<unknown> {
  const [x, y] = [numbers(8, 3, Math.sin), numbers(8, 2, Math.cos)];
  const { history } = await model.fit(x, y, { epochs, batchSize: 4, shuffle: false, verbose: 0, yieldEvery: 'never' });
  tf.dispose([x, y]);
  return history.loss;
}
const weightsOf = (model: LayersModel): string[][] => model.getWeights().map((weight) => bits(read(weight)));

/** Saves in memory, and loads. */
async function reloaded(model: LayersModel): Promise<LayersModel> {
  let artifacts: io.ModelArtifacts | undefined;
  const save = (given: io.ModelArtifacts) => {
    artifacts = JSON.parse(JSON.stringify({ ...given, weightData: undefined })) as io.ModelArtifacts;
    artifacts.weightData = given.weightData;
    return Promise.resolve({ modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' as const } });
  };
  await model.save(tf.io.withSaveHandler(save), { includeOptimizer: true });
  return tf.loadLayersModel(tf.io.fromMemory(artifacts as io.ModelArtifacts));
}

const schedules = [
  new ExponentialDecay({ initial_learning_rate: 0.1, decay_steps: 3, decay_rate: 0.5, staircase: true }),
  new PiecewiseConstantDecay({ boundaries: [2, 5], values: [0.1, 0.01, 0.001] }),
  new CosineDecay({ initial_learning_rate: 0.1, decay_steps: 10, alpha: 0.1, name: 'my_decay' }),
  new OneCycle({ maximal_learning_rate: 0.1, total_steps: 12 }),
];

describe('configs for TensorFlow.js', () => {
  /** What loading a model does to a config. */
  const throughModel = (config: object): object => {
    const mangled = (value: unknown, key = ''): unknown => {
      if (typeof value === 'string') return key === 'name' ? value : camelCase(value);
      if (Array.isArray(value)) return value.map((one) => mangled(one, key));
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [camelCase(name), mangled(one, name)]));
    };
    return mangled(JSON.parse(JSON.stringify(config))) as object;
  };
  const check = (optimizer: TfOptimizer): void => {
    const cls = optimizer.constructor as (typeof own)['Nadam'];
    const again = cls.fromConfig(cls, { ...throughModel(optimizer.getConfig()), customObjects: {} });
    assert.equal(again.getClassName(), cls.className);
    assert.deepEqual(library.serialize(again.keras), library.serialize(optimizer.keras));
  };

  for (const options of flags)
    it(`of every class come back, with ${JSON.stringify(options)}`, () => {
      for (const [, make] of makers(options)) check(wrap(make()));
    });
  it('of schedules come back', () => {
    for (const learning_rate of schedules) check(own.nadam({ learning_rate }));
  });
  it('of patterns with underscores and per cents come back', () => {
    for (const pattern of ['my_layer', '_a__b_', '100%', '%5f', '^out_\\d+$'])
      check(own.muon({ exclude_layers: [pattern], name: 'my_muon' }));
  });
  it('of wrappers come back', () => {
    check(wrap(new LossScaleOptimizer({ inner_optimizer: new Nadam({ learning_rate: 0.5 }), initial_scale: 64 })));
    check(
      wrap(
        new MultiOptimizer({
          optimizer_map: new library.OptimizerMap({
            default_optimizer: new SGD(),
            optimizer_map: { my_layer: new Nadam() },
          }),
        }),
      ),
    );
  });
  it('have the names of TensorFlow.js, and take these and those of Keras', () => {
    assert.include(own.adam({ beta_1: 0.5 }).getConfig(), { learningRate: 0.001, beta1: 0.5, globalClipnorm: null });
    for (const config of [
      { learningRate: 0.5, beta1: 0.25 },
      { learning_rate: 0.5, beta_1: 0.25 },
    ])
      assert.include(own.Adam.fromConfig(own.Adam, config).keras.get_config(), { learning_rate: 0.5, beta_1: 0.25 });
  });
  it('refuse names that nobody knows', () =>
    refused(() => own.Adam.fromConfig(own.Adam, { beta3: 1 }), 'ERR_OPT_CONFIG_TYPE', /"beta3"/));
  it('agree with the names that the fields of all classes have', () => {
    for (const cls of classes) {
      const config = Object.fromEntries(Object.keys(cls.fields).map((name, i) => [name, i]));
      assert.deepEqual(fromTensorFlow(toTensorFlow(config) as never, cls as never), config);
    }
  });
});

for (const backend of backends)
  describe(`models of TensorFlow.js on ${backend}`, () => {
    on(backend);

    it('are fitted as the optimizer is on the same gradients, natively with its bits', async () => {
      const learning_rate = new ExponentialDecay({ initial_learning_rate: 0.1, decay_steps: 4, decay_rate: 0.5 });
      const options = { learning_rate, global_clipnorm: 0.5, weight_decay: 0.01, use_ema: true };
      for (const { className } of classes) {
        const cls = (library as never as Record<string, typeof Nadam>)[className] as typeof Nadam;
        const optimizer = wrap(new cls(options));
        const model = network(optimizer);
        const arrays = model.trainableWeights.map((weight) => ({
          name: weight.originalName,
          variable: new library.Variable(read(weight.read()), {
            shape: weight.shape as number[],
            name: weight.originalName,
          }),
        }));
        const keras = new cls(options);
        const apply = optimizer.applyGradients.bind(optimizer);
        optimizer.applyGradients = (gradients) => {
          const list = (gradients as { tensor: NamedTensorMap[string] }[]).map(({ tensor }) =>
            Float32Array.from(read(tensor)),
          );
          keras.apply(
            list,
            arrays.map(({ variable }) => variable),
          );
          apply(gradients);
        };
        await fit(model, 3);
        const expected = arrays.map(({ variable }) => [...variable.value]);
        if (backend !== 'elsewhere') assert.deepEqual(weightsOf(model), expected.map(bits), className);
        else
          // its sums have an order of their own
          weightsOf(model).forEach((list, i) =>
            list.forEach((x, k) => assert.closeTo(Number(x), expected[i]?.[k] as number, 1e-6, className)),
          );
        assert.equal(keras.iterations, 6);
        optimizer.dispose();
        model.dispose();
      }
    });

    it('come back from a file with their optimizers, and go on as if nothing had been', async () => {
      const all = [
        ...makers().map(([, make]) => make()),
        ...schedules.map((learning_rate) => new Nadam({ learning_rate })),
      ];
      const wrapped = new LossScaleOptimizer({ inner_optimizer: new Nadam({ use_ema: true }), initial_scale: 64 });
      const accumulating = new Nadam({ gradient_accumulation_steps: 3, clipnorm: 1, use_ema: true, name: 'my_nadam' });
      for (const keras of [...all, wrapped, accumulating]) {
        const optimizer = wrap(keras);
        const model = network(optimizer);
        await fit(model, 2);
        const again = await reloaded(model);
        const loaded = again.optimizer as TfOptimizer;
        assert.equal(loaded.getClassName(), optimizer.getClassName());
        assert.equal(loaded.iterations, optimizer.iterations);
        const title = JSON.stringify(library.serialize(keras));
        assert.deepEqual(await fit(again, 2), await fit(model, 2), title);
        assert.deepEqual(weightsOf(again), weightsOf(model), title);
        for (const one of [optimizer, loaded]) one.dispose();
        for (const one of [model, again]) one.dispose();
      }
    });

    it('come back where a layer was frozen on the way, if build is told of all variables', async () => {
      const model = network(own.adam(0.1));
      await fit(model, 1);
      (model.layers[0] as (typeof model.layers)[number]).trainable = false;
      model.compile({ optimizer: model.optimizer, loss: 'meanSquaredError' });
      await fit(model, 1);
      const [bare, built] = [await reloaded(model), await reloaded(model)];
      const build = ({ optimizer }: LayersModel, weights: LayersModel['weights']) =>
        (optimizer as TfOptimizer).build(weights.map((weight) => weight.read() as Variable));
      refused(
        () => build(bare, bare.trainableWeights), // as the first step does
        'ERR_OPT_LENGTH',
        /expects 4 tensors after iter, got 8: .* call build with those, in their order, first/,
      );
      build(
        built,
        built.layers.flatMap(({ weights }) => weights),
      );
      assert.deepEqual(await fit(built, 1), await fit(model, 1));
      for (const one of [model, bare, built]) {
        (one.optimizer as TfOptimizer).dispose();
        one.dispose();
      }
    });

    it('lie in a folder, and are replaced there', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
      const path = join(folder, 'deep', 'model');
      const model = network(own.adamW(0.1));
      for (let i = 0; i < 2; i++) {
        await fit(model, 1);
        const { modelArtifactsInfo } = await model.save(fileSystem(path), { includeOptimizer: true });
        assert.equal(modelArtifactsInfo.weightDataBytes, readFileSync(join(path, 'weights.bin')).length);
      }
      assert.deepEqual(readdirSync(path).sort(), ['model.json', 'weights.bin']);
      const again = await tf.loadLayersModel(fileSystem(path));
      assert.deepEqual(await fit(again, 1), await fit(model, 1));
      for (const one of [model, again]) {
        (one.optimizer as TfOptimizer).dispose();
        one.dispose();
      }
      writeFileSync(join(path, 'model.json'), '{');
      const error: unknown = await tf.loadLayersModel(fileSystem(path)).catch((e: unknown) => e);
      assert.instanceOf(error, SyntaxError);
      rmSync(folder, { recursive: true });
      assert.isFalse(existsSync(folder));
    });

    it("that Python saved have their optimizers by Keras's name", () => {
      const { classNameMap } = tf.serialization.SerializationMap.getMap();
      assert.strictEqual(classNameMap.Nadam?.[0], own.Nadam);
      assert.notStrictEqual(classNameMap.Adam?.[0], own.Adam);
    });
  });

describe('fileSystem', () => {
  it('expects the path of a folder', () => {
    for (const bad of ['', 3, undefined])
      refused(() => fileSystem(bad as string), 'ERR_OPT_CONFIG_TYPE', /path of a folder/);
  });
});
