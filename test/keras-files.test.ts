// Keras's files: what is loaded from them goes on as Keras did, and what is written into them is there.
import { assert } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import {
  Adam,
  deserialize,
  LossScaleOptimizer,
  Nadam,
  OneCycle,
  Optimizer,
  SGD,
  stringify,
  Variable,
} from '../lib/index.ts';
import { loadKerasOptimizer, saveKerasOptimizer } from '../lib/keras/index.ts';
import { rejection } from './errors.ts';
import { bits, distance, readGolden, ulp32 } from './golden.ts';
import {
  archiveOf,
  bytesOf,
  fileOf,
  Folder,
  goldens,
  membersOf,
  stateOf,
  trainedOf,
  truthOf,
  type Golden,
} from './keras/files.ts';

const folder = new Folder();
after(() => folder.remove());

const endings = ['.keras', '.weights.h5'] as const;
const files = goldens.flatMap((golden) => endings.map((ending) => [golden, ending] as const));

/** An optimizer of a file and the variables that it trains, not built. */
async function opened(golden: Golden, ending: string, path = fileOf(`${golden}${ending}`)) {
  const { optimizerConfig } = truthOf(golden);
  const { variables } = await loadKerasOptimizer(fileOf(`${golden}.keras`));
  const options = ending === '.keras' ? {} : { optimizer: optimizerConfig };
  const loaded = await loadKerasOptimizer(path, options);
  const place = new Map(variables.map((variable) => [variable.path, variable.place]));
  const trained = trainedOf(loaded.variables.map((one) => ({ ...one, place: place.get(one.path) })));
  return { ...loaded, trained };
}

/** A schedule is float64 here and float32 in Keras. */
const isScheduled = (golden: Golden): boolean => golden.includes('decay');

describe('keras-optimizers/keras', () => {
  describe('loads', () => {
    for (const [golden, ending] of files)
      it(`${golden}${ending} and goes on with Keras's numbers`, async () => {
        const { atSave, uninterrupted } = truthOf(golden);
        const { optimizer, trained } = await opened(golden, ending);
        assert.isFalse(optimizer.built);
        assert.equal(optimizer.iterations, atSave.optimizerVariables[0]?.value[0]);
        optimizer.build(trained);
        const ours = new Map(
          optimizer.variables.map(({ path, value }, i) => [
            `${i}/${path}`,
            bits(Array.from(value as Float32Array, Number)),
          ]),
        );
        const theirs = golden.includes('3.9') ? [] : atSave.optimizerVariables; // in another order
        theirs.forEach(({ value }, i) => assert.deepEqual([...ours.values()][i], bits(value), `number ${i}`));
        trained.forEach(({ value }, i) => assert.deepEqual(bits(value), bits(atSave.weights[i] ?? [])));
        for (const { gradients, weights, learningRate, iterations } of uninterrupted.nextSteps) {
          assert.closeTo(optimizer.learning_rate, learningRate, 1e-9);
          optimizer.apply(gradients.map((gradient) => Float32Array.from(gradient)));
          assert.equal(optimizer.iterations, iterations);
          trained.forEach(({ value }, i) => {
            const expected = Array.from(weights[i] ?? [], Math.fround);
            if (!isScheduled(golden)) return assert.deepEqual(bits(value), bits(expected));
            const way = distance(expected, Array.from(atSave.weights[i] ?? []));
            expected.forEach((x, j) => assert.closeTo(value[j] as number, x, 1e-5 * way + 4 * ulp32(x)));
          });
        }
      });

    it('the same numbers from both kinds of files', async () => {
      for (const golden of goldens) {
        const [one, other] = await Promise.all(endings.map((ending) => opened(golden, ending)));
        for (const { optimizer, trained } of [one, other] as NonNullable<typeof one>[]) optimizer.build(trained);
        assert.deepEqual(stateOf(one?.optimizer as Optimizer), stateOf(other?.optimizer as Optimizer));
      }
    });

    it('weights by path, layer and shape, and says which are trained in which order', async () => {
      const { variables, keras_version } = await loadKerasOptimizer(fileOf('model-nadam-constant.keras'));
      assert.equal(keras_version, '3.15.1');
      assert.deepEqual(
        variables.map(({ path, layer, shape, dtype, place }) => [path, layer, shape, dtype, place]),
        [
          ['layers/dense/vars/0', 'hidden', [3, 4], 'float32', 0],
          ['layers/dense/vars/1', 'hidden', [4], 'float32', 1],
          ['layers/dense_1/vars/0', 'out', [4, 1], 'float32', 2],
          ['layers/dense_1/vars/1', 'out', [1], 'float32', 3],
        ],
      );
      const bare = await loadKerasOptimizer(fileOf('model-nadam-constant.weights.h5'), { optimizer: new Nadam() });
      assert.deepEqual(
        bare.variables.map(({ path, place }) => [path, place]),
        variables.map(({ path }) => [path, undefined]), // it does not say
      );
    });

    it('variables at once, with their values', async () => {
      const golden = 'model-sgd-momentum';
      const variables = truthOf(golden).trainableVariables.map(({ shape }) => Variable.zeros(shape));
      const { optimizer } = await loadKerasOptimizer(fileOf(`${golden}.keras`), { variables });
      assert.isTrue(optimizer.built);
      variables.forEach(({ value }, i) => assert.deepEqual(bits(value), bits(truthOf(golden).atSave.weights[i] ?? [])));
    });

    it('an optimizer that is given, in place of that of the config', async () => {
      const given = new Nadam({ beta_1: 0.5 });
      const { optimizer } = await loadKerasOptimizer(fileOf('model-nadam-constant.keras'), { optimizer: given });
      assert.equal(optimizer, given);
      assert.equal(given.iterations, 4);
      assert.equal(given.learning_rate, Math.fround(0.01));
    });
  });

  it('loads and writes a model of bfloat16', async () => {
    const from = fileOf('keras-bfloat16.keras');
    const truth = readGolden<{ weights: number[][]; optimizerVariables: number[][] }>('keras-bfloat16');
    const { optimizer, variables } = await loadKerasOptimizer(from);
    assert.deepEqual([...new Set(variables.map(({ dtype }) => dtype))], ['bfloat16']);
    const trained = trainedOf(variables);
    optimizer.build(trained);
    assert.deepEqual(
      trained.map(({ value }) => [...value]),
      truth.weights,
    );
    assert.deepEqual(stateOf(optimizer), truth.optimizerVariables);
    const to = folder.name();
    await saveKerasOptimizer(optimizer, { from, to, variables: trained });
    assert.deepEqual(membersOf(readFileSync(to)), membersOf(readFileSync(from)));
  });

  describe('writes', () => {
    for (const [golden, ending] of files)
      it(`${golden}${ending}, so that the same is loaded`, async () => {
        const from = fileOf(`${golden}${ending}`);
        const { optimizer, trained, variables } = await opened(golden, ending);
        for (const { gradients } of truthOf(golden).uninterrupted.nextSteps)
          optimizer.apply(
            gradients.map((gradient) => Float32Array.from(gradient)),
            trained,
          );
        const to = folder.name(ending);
        const places = variables.map(({ path }, i) => [path, trained[i] as Variable] as const);
        await saveKerasOptimizer(optimizer, { from, to, variables: new Map(places) });
        const again = await opened(golden, ending, to);
        again.optimizer.build(again.trained);
        assert.deepEqual(stateOf(again.optimizer), stateOf(optimizer));
        assert.deepEqual(
          again.trained.map(({ value }) => [...value]),
          trained.map(({ value }) => [...value]),
        );
        assert.deepEqual(readFileSync(from), Buffer.from(bytesOf(`${golden}${ending}`)));
        assert.isEmpty(readdirSync(folder.path).filter((name) => name.includes('tmp')));
      });

    it('nothing else: what is the same stays byte by byte', async () => {
      const { optimizer, trained } = await opened('model-nadam-constant', '.keras');
      const [from, to] = [fileOf('model-nadam-constant.keras'), folder.name()];
      optimizer.build(trained);
      await saveKerasOptimizer(optimizer, { from, to });
      assert.deepEqual(membersOf(readFileSync(to)), membersOf(readFileSync(from)));
    });

    it('a state that still waits for build', async () => {
      const { optimizer } = await opened('model-nadam-keras3.9', '.keras');
      const to = folder.name();
      await saveKerasOptimizer(optimizer, { from: fileOf('model-nadam-keras3.9.keras'), to });
      const [one, other] = await Promise.all([
        opened('model-nadam-keras3.9', '.keras'),
        opened('model-nadam-keras3.9', '.keras', to),
      ]);
      for (const { optimizer, trained } of [one, other]) optimizer.build(trained);
      assert.deepEqual(stateOf(other.optimizer), stateOf(one.optimizer));
    });

    it('over the file itself, and the learning rate into the config, whose other text stays', async () => {
      const path = folder.file(bytesOf('model-nadam-constant.keras'));
      const before = new TextDecoder().decode(membersOf(readFileSync(path))['config.json']);
      const { optimizer, trained } = await opened('model-nadam-constant', '.keras');
      optimizer.learning_rate = 0.25;
      await saveKerasOptimizer(optimizer, { from: path, to: path, variables: trained });
      const after = new TextDecoder().decode(membersOf(readFileSync(path))['config.json']);
      const { optimizer: written } = (JSON.parse(after) as { compile_config: { optimizer: unknown } }).compile_config;
      assert.deepEqual(written, JSON.parse(stringify(optimizer)));
      const begin = before.indexOf('{"module": "keras.optimizers"');
      assert.equal(after.slice(0, begin), before.slice(0, begin));
      assert.isTrue(after.endsWith(before.slice(before.indexOf('"loss":'))));
      assert.equal((await loadKerasOptimizer(path)).optimizer.learning_rate, 0.25);
    });

    it('an optimizer of another class, with another state', async () => {
      const from = fileOf('model-nadam-constant.keras');
      const to = folder.name();
      const { trained } = await opened('model-nadam-constant', '.keras');
      const optimizer = new LossScaleOptimizer({ inner_optimizer: new Adam({ use_ema: true }) });
      optimizer.apply(
        trained.map(({ value }) => value.map((x) => x / 2)),
        trained,
      );
      await saveKerasOptimizer(optimizer, { from, to });
      const again = (await loadKerasOptimizer(to)).optimizer;
      assert.instanceOf(again, LossScaleOptimizer);
      again.build(trained);
      assert.deepEqual(stateOf(again), stateOf(optimizer));
    });
  });

  describe('refuses to write', () => {
    const from = fileOf('model-nadam-constant.keras');
    const refused = async (optimizer: Optimizer, code: string, options: object = {}) => {
      const to = folder.file('as it was');
      const error = await saveKerasOptimizer(optimizer, { from, to, ...options }).then(
        () => assert.fail('it was written'),
        (error: unknown) => error as Error & { code: string },
      );
      assert.equal(error.code, code, error.message);
      assert.equal(readFileSync(to, 'utf8'), 'as it was');
    };
    const built = async <O extends Optimizer>(optimizer: O): Promise<O> => {
      const { trained } = await opened('model-nadam-constant', '.keras');
      optimizer.build(trained);
      return optimizer;
    };

    it('what is not built', () => refused(new Nadam(), 'ERR_OPT_NOT_BUILT'));
    it('an option that Keras does not have', async () =>
      refused(await built(new Nadam({ momentum_decay: 0.004 })), 'ERR_CKPT_CONFIG'));
    it('a schedule that Keras does not have', async () => {
      const learning_rate = new OneCycle({ maximal_learning_rate: 0.1, total_steps: 10 });
      await refused(await built(new SGD({ learning_rate })), 'ERR_CKPT_CONFIG');
    });
    it('but not how the state is kept', async () => {
      const optimizer = await built(new Adam({ state_dtype: 'bfloat16' }));
      const to = folder.name();
      await saveKerasOptimizer(optimizer, { from, to });
      assert.deepEqual((await loadKerasOptimizer(to)).optimizer.get_config(), {
        ...new Adam({ name: optimizer.name }).get_config(),
        learning_rate: Math.fround(0.001),
      });
    });
    it('weights that do not fit', async () => {
      const optimizer = await built(new Nadam());
      for (const variables of [
        { 'layers/dense/vars/0': [1, 2] },
        { 'layers/dense/vars/7': [1, 2] },
        { 'optimizer/vars/0': [1] },
        [Variable.zeros([3, 4])],
        { 'layers/dense/vars/0': Variable.zeros([4, 3]) },
      ])
        await refused(optimizer, 'ERR_CKPT_MISMATCH', { variables });
      await refused(optimizer, 'ERR_CKPT_LAYOUT', {
        from: fileOf('model-nadam-constant.weights.h5'),
        variables: [Variable.zeros([3, 4])],
      });
    });
    it('what is no optimizer, and options that it does not know', async () => {
      await refused({} as Optimizer, 'ERR_OPT_CONFIG_TYPE');
      await refused(await built(new Nadam()), 'ERR_OPT_CONFIG_TYPE', { model: 1 });
      await refused(await built(new Nadam()), 'ERR_OPT_CONFIG_TYPE', { from: 3 });
    });
    it('over a file that is none of Keras', async () =>
      refused(await built(new Nadam()), 'ERR_CKPT_FORMAT', { from: folder.file('text') }));
  });

  it('keeps steps away while it writes', async () => {
    const { optimizer, trained } = await opened('model-sgd-momentum', '.keras');
    const gradients = trained.map(({ value }) => value.map(() => 1));
    optimizer.apply(gradients, trained);
    const writing = saveKerasOptimizer(optimizer, { from: fileOf('model-sgd-momentum.keras'), to: folder.name() });
    assert.throws(() => optimizer.apply(gradients), /running|busy|idle/i);
    await writing;
    optimizer.apply(gradients);
  });

  it("reads the config's custom classes", async () => {
    class Own extends Nadam {
      static override readonly className = 'Own';
    }
    const members = membersOf(bytesOf('model-nadam-constant.keras'));
    const config = new TextDecoder().decode(members['config.json']).replaceAll('"Nadam"', '"Own"');
    const path = folder.name();
    writeFileSync(path, archiveOf({ ...members, 'config.json': new TextEncoder().encode(config) }));
    const { optimizer } = await loadKerasOptimizer(path, { custom_objects: { Own } });
    assert.instanceOf(optimizer, Own);
    assert.instanceOf(deserialize({ class_name: 'Nadam', config: {} }), Nadam);
  });

  it('writes no weights that are no numbers', async () => {
    const from = fileOf('model-nadam-constant.keras');
    const { optimizer } = await loadKerasOptimizer(from);
    const to = folder.name();
    for (const weight of [null, undefined, 5, ['x'], [[1]], [1n], new BigInt64Array(1)]) {
      const variables = { 'layers/dense_1/vars/1': weight as never };
      const error = await rejection(() => saveKerasOptimizer(optimizer, { from, to, variables }));
      assert.propertyVal(error, 'code', 'ERR_OPT_ARRAY_TYPE');
      assert.isFalse(existsSync(to));
    }
  });

  it('writes no state into the file of another model', async () => {
    const optimizer = new Nadam();
    optimizer.apply([[1, 2, 3]], [new Variable([1, 2, 3])]);
    for (const ending of endings) {
      const to = folder.name();
      const from = fileOf(`model-nadam-constant${ending}`);
      const error = await rejection(() => saveKerasOptimizer(optimizer, { from, to }));
      assert.propertyVal(error, 'code', 'ERR_CKPT_MISMATCH');
      assert.include(error?.message, 'variable 0 has shape [3]');
      assert.isFalse(existsSync(to));
    }
  });

  it('reads no folder, and does not wait for a pipe', async function () {
    if (process.platform === 'win32') return this.skip();
    const pipe = folder.name();
    execFileSync('mkfifo', [pipe]);
    for (const path of [pipe, dirname(pipe)])
      assert.propertyVal(await rejection(() => loadKerasOptimizer(path)), 'code', 'ERR_CKPT_FORMAT');
  });
});
