// Files of our own: every optimizer goes on from one as if it had not been interrupted; nobody steps while one is written; and what is
// no such file, or has been altered, or does not fit, is refused.
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, symlink, writeFile, chmod, readdir, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { assert } from 'chai';

import { kHashAt, kHashDigits } from '../lib/checkpoint/header.ts';
import {
  Adam,
  CheckpointError,
  fields,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  Optimizer,
  register_keras_serializable,
  SGD,
  Variable,
} from '../lib/index.ts';
import { rejection, warnings } from './errors.ts';
import { all, copies, everything, mapped, Own, selector, shapes, train, variablesOf } from './interrupted.ts';
import { flags, makers } from './optimizers.ts';

let folder = '';
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'checkpoint-'))));
after(() => rm(folder, { recursive: true }));
let files = 0;
const newPath = () => join(folder, `run-${files++}.safetensors`);

type Custom = () => Readonly<Record<string, unknown>>;

/** Saves after three steps, goes on both ways, and compares. */
async function goesOn(optimizer: Optimizer, custom: Custom = () => ({}), variables = variablesOf()): Promise<void> {
  const path = newPath();
  train(optimizer, variables, 0, 3);
  await optimizer.save(path, { variables: true });
  const { iterations } = optimizer;
  train(optimizer, variables, 3, 6);
  const [empty, before] = [variablesOf(), variablesOf()].map((list) =>
    list.map(
      (v, i) => new Variable(v.value, { shape: v.shape, name: v.path, dtype: variables[i]?.dtype as 'float32' }),
    ),
  ) as [Variable[], Variable[]];
  const loaded = await Optimizer.load(path, { variables: empty, custom_objects: custom() });
  assert.isTrue(loaded.built);
  assert.equal(loaded.iterations, iterations);
  assert.deepEqual(loaded.get_config(), { ...optimizer.get_config() });
  train(loaded, empty, 3, 6);
  assert.deepEqual(all(loaded, empty), all(optimizer, variables));
  const waiting = await Optimizer.load(path, { custom_objects: custom() });
  assert.isFalse(waiting.built);
  assert.equal(waiting.iterations, iterations);
  waiting.build(before);
  assert.equal(waiting.iterations, iterations);
}

describe('a checkpoint', () => {
  for (const options of [...flags, everything])
    it(`lets every optimizer go on with ${JSON.stringify(options)}`, async () => {
      for (const [, make] of makers(options)) await goesOn(make());
    });

  it('lets optimizers go on with state in bfloat16, and with variables of float64 and of both', async () => {
    for (const [, make] of makers({ state_dtype: 'bfloat16', seed: 7 })) await goesOn(make());
    const mixed = variablesOf().map((v, i) => (i === 1 ? (variablesOf('float64')[i] as Variable) : v));
    for (const [, make] of makers()) await goesOn(make(), undefined, variablesOf('float64'));
    for (const [, make] of makers(everything)) await goesOn(make(), undefined, copies(mixed));
  });

  it('lets wrappers go on, wrappers of wrappers, and classes of the own', async () => {
    const scaled = (inner_optimizer: Optimizer) =>
      new LossScaleOptimizer({ inner_optimizer, initial_scale: 4, dynamic_growth_steps: 2 });
    for (const make of [() => new Nadam(everything), mapped, () => new Own()]) {
      await goesOn(make(), () => ({ Own }));
      await goesOn(scaled(make()), () => ({ Own }));
    }
    await goesOn(new MultiOptimizer({ optimizer_map: selector() }), () => ({ select: selector() }));
  });

  it('is read by the class itself, by its heirs only where they are known, and by no other', async () => {
    const path = newPath();
    class Mine extends Nadam {
      static override readonly className = 'Mine';
    }
    await new Mine().save(path);
    assert.instanceOf(await Mine.load(path), Mine);
    assert.equal((await rejection(() => Nadam.load(path)))?.code, 'ERR_CKPT_CLASS');
    register_keras_serializable(Mine, 'checkpoint.test');
    await new Mine().save(path);
    assert.instanceOf(await Nadam.load(path), Mine);
    const error = await rejection(() => Adam.load(path));
    assert.equal(error?.code, 'ERR_CKPT_CLASS');
    assert.match(String(error?.message), /has "Mine", Adam.load expects Adam/);
    assert.instanceOf(error, CheckpointError);
  });

  it('keeps numbers of float64: learning rate, product of Nadam, loss scale', async () => {
    const path = newPath();
    const optimizer = new Nadam({ learning_rate: 0.1 + 0.2 });
    train(optimizer, variablesOf('float64'), 0, 3);
    optimizer.learning_rate = 1 / 3;
    await optimizer.save(path);
    const loaded = await Nadam.load(path, { variables: variablesOf('float64') });
    assert.equal(loaded.learning_rate, 1 / 3);
    assert.equal(loaded.variables.at(-1)?.value[0], optimizer.variables.at(-1)?.value[0]);
  });

  it('is converted to variables of another dtype', async () => {
    const path = newPath();
    const optimizer = new Nadam();
    train(optimizer, variablesOf(), 0, 3);
    await optimizer.save(path, { variables: true });
    const wide = variablesOf('float64');
    const loaded = await Nadam.load(path, { variables: wide });
    const slots = ({ variables }: Optimizer) => variables.slice(2).map(({ value }) => Array.from(value, Number));
    assert.deepEqual(slots(loaded), slots(optimizer));
    const back = newPath();
    await loaded.save(back);
    assert.deepEqual(slots(await Nadam.load(back, { variables: variablesOf() })), slots(optimizer));
  });

  it('is saved again of an optimizer that waits, bit by bit', async () => {
    for (const make of [() => new Nadam({ state_dtype: 'bfloat16' }), mapped, () => new Own()]) {
      const [path, again] = [newPath(), newPath()];
      const optimizer = make();
      train(optimizer, variablesOf(), 0, 3);
      await optimizer.save(path);
      await (await Optimizer.load(path, { custom_objects: { Own } })).save(again);
      assert.deepEqual(await readFile(again), await readFile(path));
    }
  });

  it('is made before anything is built', async () => {
    const path = newPath();
    const optimizer = new LossScaleOptimizer({ inner_optimizer: new SGD({ learning_rate: 0.125 }), initial_scale: 2 });
    await optimizer.save(pathToFileURL(path));
    const loaded = await LossScaleOptimizer.load(pathToFileURL(path));
    assert.deepEqual([loaded.built, loaded.dynamic_scale, loaded.learning_rate], [false, 2, 0.125]);
    train(loaded, variablesOf(), 0, 1);
    assert.equal((await rejection(() => new SGD().save(path, { variables: true })))?.code, 'ERR_OPT_NOT_BUILT');
  });

  it('has arrays of the caller in it, and the same names as often as they occur', async () => {
    const path = newPath();
    const arrays = () => [new Float32Array([1, 2]), new Float64Array([3])];
    const [trained, loaded] = [arrays(), arrays()];
    const optimizer = new Adam();
    for (let i = 0; i < 2; i++) optimizer.apply([new Float32Array([1, -1]), new Float64Array([1])], trained);
    await optimizer.save(path, { variables: true });
    await Adam.load(path, { variables: loaded });
    assert.deepEqual(loaded, trained);
    const same = () => [new Variable([1], { name: 'w' }), new Variable([2], { name: 'w' })];
    const [a, b] = [same(), same()];
    const twice = new Adam();
    train(twice, a, 0, 2);
    await twice.save(path, { variables: true });
    assert.deepEqual(all(await Adam.load(path, { variables: b }), b), all(twice, a));
  });

  it('has its data at a multiple of 64, and the hash of all but itself', async () => {
    const path = newPath();
    const optimizer = new Adam();
    train(optimizer, variablesOf(), 0, 1);
    await optimizer.save(path);
    const bytes = await readFile(path);
    const length = Number(bytes.readBigUInt64LE(0));
    assert.equal((8 + length) % 64, 0);
    const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as { __metadata__: Record<string, string> };
    bytes.fill('0', kHashAt, kHashAt + kHashDigits);
    assert.equal(header.__metadata__.sha256, createHash('sha256').update(bytes).digest('hex'));
    assert.equal(header.__metadata__.iteration, '1');
  });

  it('lets variables of another shape wait, with nothing written into them', async () => {
    const path = newPath();
    const optimizer = new Adam();
    train(optimizer, variablesOf(), 0, 2);
    await optimizer.save(path, { variables: true });
    const wrong = variablesOf().slice(1);
    const before = wrong.map(({ value }) => [...value]);
    const error = await rejection(() => Adam.load(path, { variables: wrong }));
    assert.equal(error?.code, 'ERR_CKPT_MISMATCH');
    assert.deepEqual(
      wrong.map(({ value }) => [...value]),
      before,
    );
  });

  it('says what of a config its class does not take, and which functions nobody knows', async () => {
    const path = newPath();
    class Picky extends Own {
      static override readonly className = 'Picky' as never;
    }
    await new Picky().save(path);
    class Other extends Own {
      static override readonly fields = { ...Own.fields, ema_momentum: fields.positive(5) } as never;
      constructor(options: object) {
        super({ ...options, weight_decay: 'no' } as never);
      }
    }
    assert.equal((await rejection(() => Optimizer.load(path)))?.code, 'ERR_CKPT_CLASS');
    const error = await rejection(() => Optimizer.load(path, { custom_objects: { Picky: Other } }));
    assert.equal(error?.code, 'ERR_CKPT_CONFIG');
    assert.equal((error?.cause as { code?: string }).code, 'ERR_OPT_CONFIG_TYPE');
    assert.equal((await rejection(() => new Adam({ learning_rate: () => 1 }).save(path)))?.code, 'ERR_OPT_CONFIG_TYPE');
    const named = function rate() {
      return 0.5;
    };
    await new Adam({ learning_rate: named }).save(path);
    assert.equal((await rejection(() => Adam.load(path)))?.code, 'ERR_CKPT_CLASS');
    assert.equal((await Adam.load(path, { custom_objects: { rate: named } })).learning_rate, 0.5);
  });

  it('refuses other arguments', async () => {
    for (const path of ['', 'a\0b', 5, null, new URL('http://x/y')]) {
      assert.equal((await rejection(() => new Adam().save(path as string)))?.code, 'ERR_OPT_CONFIG_TYPE');
      assert.equal((await rejection(() => Adam.load(path as string)))?.code, 'ERR_OPT_CONFIG_TYPE');
    }
    const wrong = { variables: 1 } as never;
    assert.equal((await rejection(() => new Adam().save(newPath(), wrong)))?.code, 'ERR_OPT_CONFIG_TYPE');
    assert.equal((await rejection(() => Adam.load(newPath(), wrong)))?.code, 'ERR_OPT_CONFIG_TYPE');
  });
});

describe('while a checkpoint is written', () => {
  const makes = [() => new Nadam(), () => new LossScaleOptimizer({ inner_optimizer: new Nadam() }), mapped];
  const gradientsOf = (variables: readonly Variable[]) =>
    variables.map(({ value }) => new Float32Array(value.length).fill(0.5));

  for (const make of makes)
    it(`${make().constructor.name} refuses steps but one that waits, and is saved as it was`, async () => {
      const path = newPath();
      const optimizer = make();
      const variables = variablesOf();
      train(optimizer, variables, 0, 2);
      const before = all(optimizer, variables);
      const saved = optimizer.save(path, { variables: true });
      const members = optimizer instanceof MultiOptimizer ? [optimizer.optimizers[0] as Optimizer] : [];
      for (const refused of [
        () => optimizer.apply(gradientsOf(variables), variables),
        () => optimizer.set_weights([]),
        () => optimizer.dispose(),
        () => optimizer.load_own_variables({}),
        () => optimizer.save_own_variables({}),
        () => variables[0]?.assign(variables[0].value),
        () => optimizer.variables.at(-2)?.dispose(),
        ...members.map((member) => () => member.apply()),
        ...members.map((member) => () => member.save(newPath())),
      ])
        assert.equal((await rejection(refused))?.code, 'ERR_OPT_BUSY', String(refused));
      const step = optimizer.apply_async(gradientsOf(variables), variables);
      assert.equal((await rejection(() => optimizer.apply_async(gradientsOf(variables))))?.code, 'ERR_OPT_BUSY');
      assert.equal((await rejection(() => optimizer.save(newPath())))?.code, 'ERR_OPT_BUSY');
      await saved;
      await step;
      assert.notDeepEqual(all(optimizer, variables), before);
      const loaded = variablesOf();
      assert.deepEqual(all(await Optimizer.load(path, { variables: loaded }), loaded), before);
      optimizer.apply(gradientsOf(variables), variables);
    });

  for (const make of makes)
    it(`${make().constructor.name} saves behind a step that runs`, async () => {
      const path = newPath();
      const optimizer = make();
      const variables = variablesOf();
      train(optimizer, variables, 0, 1);
      const step = optimizer.apply_async(gradientsOf(variables), variables);
      const saved = optimizer.save(path, { variables: true });
      await step;
      const after = all(optimizer, variables);
      await saved;
      const loaded = variablesOf();
      assert.deepEqual(all(await Optimizer.load(path, { variables: loaded }), loaded), after);
    });

  it('a function in a step cannot save', async () => {
    let error: Promise<unknown> = Promise.resolve();
    const optimizer: Adam = new Adam({
      learning_rate: () => ((error = rejection(() => optimizer.save(newPath()))), 0.1),
    });
    train(optimizer, variablesOf(), 0, 1);
    assert.equal(((await error) as { code?: string }).code, 'ERR_OPT_BUSY');
  });

  it('another optimizer that steps on the same variables is waited for by the caller', async () => {
    const [one, two] = [new Adam(), new Adam()];
    const variables = [new Variable(new Float32Array(300_000), { name: 'w' })];
    one.build(variables);
    two.build(variables);
    const step = one.apply_async([new Float32Array(300_000)]);
    assert.equal((await rejection(() => two.save(newPath(), { variables: true })))?.code, 'ERR_OPT_BUSY');
    await step;
    await two.save(newPath(), { variables: true });
  });

  it('memory that is taken away is an error, and no file', async () => {
    const path = newPath();
    const array = new Float32Array(1_000_000);
    const optimizer = new SGD();
    optimizer.apply([new Float32Array(1_000_000)], [array]);
    const saved = optimizer.save(path, { variables: true });
    structuredClone(array.buffer, { transfer: [array.buffer] });
    assert.equal((await rejection(() => saved))?.code, 'ERR_OPT_DETACHED');
    assert.equal((await rejection(() => stat(path)))?.code, 'ENOENT');
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.tmp')),
      [],
    );
  });
});

describe('the file of a checkpoint', () => {
  const saved = async (): Promise<string> => {
    const path = newPath();
    await new Adam().save(path);
    return path;
  };

  it('keeps its mode, and links to it stay links', async () => {
    const path = await saved();
    await chmod(path, 0o640);
    const link = join(folder, 'link');
    await symlink(path, link);
    await new Nadam().save(link);
    assert.equal((await stat(path)).mode & 0o777, 0o640);
    assert.instanceOf(await Optimizer.load(path), Nadam);
    const dangling = join(folder, 'dangling');
    await symlink('not-yet.safetensors', dangling);
    await new Adam().save(dangling);
    assert.instanceOf(await Optimizer.load(join(folder, 'not-yet.safetensors')), Adam);
  });

  it('is not put in the place of a folder, or where there is none', async () => {
    const sub = join(folder, 'sub');
    await mkdir(sub);
    for (const path of [sub, join(folder, 'nowhere', 'x'), join(await saved(), 'x')]) {
      assert.equal((await rejection(() => new Adam().save(path)))?.code, 'ERR_CKPT_IO', path);
      assert.include(['ERR_CKPT_IO', 'ERR_CKPT_FORMAT'], (await rejection(() => Adam.load(path)))?.code);
    }
  });

  it('has left-overs of dead processes removed, and those of others kept', async () => {
    const path = await saved();
    const { temporaryFor } = await import('../lib/checkpoint/temporary.ts');
    const own = temporaryFor(path);
    const ofDead = own.replace(`.${process.pid}.`, '.4194305.');
    const ofOtherHost = own.replace(/\.[0-9a-f]{8}\.\d+\./, '.00000000.4194305.');
    const ofOtherFile = ofDead.replace('.run-', '.other-');
    for (const file of [own, ofDead, ofOtherHost, ofOtherFile]) await writeFile(file, 'x');
    await new Adam().save(path);
    const left = (await readdir(folder)).filter((name) => name.endsWith('.tmp')).map((name) => join(folder, name));
    assert.sameMembers(left, [own, ofOtherHost, ofOtherFile]);
    for (const file of left) await rm(file);
  });
});

describe('save_own_variables and load_own_variables', () => {
  it('are Keras’s: values by number, in an object or a Map', () => {
    for (const store of [{}, new Map()]) {
      const [optimizer, other] = [new Nadam(), new Nadam()];
      const variables = variablesOf();
      train(optimizer, variables, 0, 3);
      optimizer.save_own_variables(store);
      const size = store instanceof Map ? store.size : Object.keys(store).length;
      assert.equal(size, optimizer.variables.length);
      const resumed = copies(variables);
      other.build(resumed);
      other.load_own_variables(store);
      assert.deepEqual(all(other, []), all(optimizer, []));
      train(optimizer, variables, 3, 4);
      assert.notDeepEqual(all(other, []), all(optimizer, [])); // they were copies
    }
  });

  it('warn of another number as Keras does, and load nothing', async () => {
    const optimizer = new Adam({ name: 'mine' });
    const seen = await warnings(() => optimizer.load_own_variables({ '0': 5 }));
    assert.deepEqual(seen, [
      "Skipping variable loading for optimizer 'mine', because it has 2 variables whereas the saved optimizer has 1 variables. This is likely because the optimizer has not been called/built yet.",
    ]);
    assert.equal(optimizer.iterations, 0);
  });

  it('expect build where a state waits for it, which variables do not show', async () => {
    const optimizer = new Nadam();
    optimizer.apply([[1]], [new Variable([1])]);
    const path = newPath();
    await optimizer.save(path);
    const loaded = await Nadam.load(path);
    for (const act of [() => loaded.save_own_variables({}), () => loaded.load_own_variables({ '0': 5, '1': 0.5 })])
      assert.propertyVal(await rejection(act), 'code', 'ERR_OPT_NOT_BUILT');
    assert.equal(loaded.iterations, 1);
    loaded.build([new Variable([1])]);
    const store = {};
    loaded.save_own_variables(store);
    assert.lengthOf(Object.keys(store), 5);
  });

  it('refuse other stores, and numbers that do not fit', () => {
    const optimizer = new Adam();
    optimizer.build([new Variable([1, 2])]);
    for (const store of [null, 5, [], 'x'])
      for (const act of [
        () => optimizer.save_own_variables(store as never),
        () => optimizer.load_own_variables(store as never),
      ])
        assert.throws(act, TypeError, 'expects a store');
    const store: Record<string, never> = {};
    optimizer.save_own_variables(store);
    store['2'] = new Float32Array(3) as never;
    assert.throws(() => optimizer.load_own_variables(store), RangeError);
    assert.equal(shapes.length, 4);
  });
});

describe('a path', () => {
  it('is that of a file here', async () => {
    for (const url of ['file://elsewhere/run', 'file:///run%00', 'file:///a%2Fb', 'https://localhost/run'])
      for (const act of [() => new SGD().save(new URL(url)), () => SGD.load(new URL(url))])
        assert.propertyVal(await rejection(act), 'code', 'ERR_OPT_CONFIG_TYPE');
  });
});
