// Files of Keras that are damaged, odd or hostile: a coded error, and nothing loaded.
import { assert } from 'chai';
import { spawnSync } from 'node:child_process';
import { crc32 } from 'node:zlib';

import type * as H5 from 'h5wasm';

import { Nadam, SGD, type Optimizer } from '../lib/index.ts';
import { loadKerasOptimizer, type LoadKerasOptions } from '../lib/keras/index.ts';
import { contentOfH5 } from '../lib/keras/h5.ts';
import { bytesSource } from '../lib/keras/source.ts';
import { random } from './random.ts';
import { archiveOf, bytesOf, fileOf, Folder, membersOf, stateOf, trainedOf } from './keras/files.ts';

const folder = new Folder();
after(() => folder.remove());

const archive = bytesOf('model-nadam-constant.keras');
const weights = bytesOf('model-nadam-constant.weights.h5');
const given = (): LoadKerasOptions => ({ optimizer: new Nadam({ name: 'nadam' }) });

async function refused(
  bytes: Uint8Array,
  code: string | RegExp,
  options: LoadKerasOptions = {},
  message = /./,
): Promise<void> {
  const path = folder.file(bytes);
  const error = await loadKerasOptimizer(path, options).then(
    () => assert.fail('it was loaded'),
    (error: unknown) => error as Error & { code: string },
  );
  assert.match(error.code, typeof code === 'string' ? new RegExp(`^${code}$`) : code, error.message);
  assert.match(error.message, message);
  assert.include(error.message, path);
}

const changedAt = (bytes: Uint8Array, place: number, value: number): Uint8Array => {
  const changed = bytes.slice();
  changed[place] = value;
  return changed;
};
/** Where the entry of a member begins in the directory. */
const entryOf = (bytes: Uint8Array, name: string): number => Buffer.from(bytes).lastIndexOf(name) - 46;
const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const configOf = (change: (config: Record<string, Record<string, unknown>>) => void): Uint8Array => {
  const config = JSON.parse(new TextDecoder().decode(membersOf(archive)['config.json'])) as never;
  change(config);
  return text(JSON.stringify(config));
};

/** An HDF5 file as h5wasm makes it. */
async function h5(make: (file: H5.File, module: typeof H5) => void): Promise<Uint8Array> {
  const module = await import('h5wasm');
  const { FS } = await module.ready;
  const file = new module.File('made.h5', 'w');
  make(file, module);
  file.close();
  return (FS as unknown as { readFile(name: string): Uint8Array }).readFile('made.h5').slice();
}

/** The state of an SGD with momentum for one variable, all as it should be but for what is `given`. */
const sgd = (given: Readonly<Record<string, object | null>> = {}, more: (file: H5.File) => void = () => {}) =>
  h5((file) => {
    file.create_group('optimizer').create_group('vars');
    const arrays: Readonly<Record<string, object | null>> = {
      0: { data: BigInt64Array.of(3n), shape: [] },
      1: { data: Float32Array.of(0.5), shape: [] },
      2: { data: Float32Array.of(1, 2), shape: [2] },
      ...given,
    };
    const group = file.get('optimizer/vars') as H5.Group;
    for (const [name, array] of Object.entries(arrays))
      if (array !== null) group.create_dataset({ name, ...array } as never);
    more(file);
  });
const asSgd = (): LoadKerasOptions => ({ optimizer: new SGD({ momentum: 0.9 }) });

describe('a damaged file of Keras', () => {
  it('is refused with the reason', async () => {
    const members = membersOf(archive);
    const less = (name: string) => Object.fromEntries(Object.entries(members).filter(([key]) => key !== name));
    await refused(new Uint8Array(), 'ERR_CKPT_FORMAT');
    await refused(text('PK'), 'ERR_CKPT_FORMAT');
    await refused(text('neither of them'), 'ERR_CKPT_FORMAT');
    await refused(archiveOf(less('model.weights.h5')), 'ERR_CKPT_FORMAT', {}, /model\.weights\.h5/);
    await refused(archiveOf(less('config.json')), 'ERR_CKPT_FORMAT', {}, /config\.json/);
    await refused(archiveOf({ ...members, 'config.json': text('{') }), 'ERR_CKPT_FORMAT');
    await refused(archiveOf({ ...members, 'config.json': text('[]') }), 'ERR_CKPT_FORMAT');
    await refused(archiveOf({ ...members, 'config.json': Uint8Array.of(0xff) }), 'ERR_CKPT_FORMAT');
    await refused(archiveOf({ ...members, 'model.weights.h5': text('none') }), 'ERR_CKPT_FORMAT');
    const compiled = (optimizer: unknown) =>
      archiveOf({ ...members, 'config.json': configOf((config) => void (config.compile_config = { optimizer })) });
    await refused(compiled(null), 'ERR_CKPT_CLASS');
    await refused(compiled('adamant'), 'ERR_CKPT_CONFIG');
    await refused(compiled({ class_name: 'Unheard', config: {} }), 'ERR_CKPT_CONFIG');
    await refused(compiled({ class_name: 'Nadam', config: { beta_1: 7 } }), 'ERR_CKPT_CONFIG');
    await refused(
      compiled({ class_name: 'ExponentialDecay', config: { initial_learning_rate: 1, decay_steps: 1, decay_rate: 1 } }),
      'ERR_CKPT_CLASS',
    );
    await refused(
      compiled({ class_name: 'Adam', config: { use_ema: true } }),
      'ERR_CKPT_LAYOUT',
      {},
      /optimizer\/vars\/|arrays/,
    );
    await refused(weights, 'ERR_CKPT_CLASS', {}, /option optimizer/);
    const missing = await loadKerasOptimizer(folder.name()).catch((error: unknown) => error as { code: string });
    assert.propertyVal(missing, 'code', 'ERR_CKPT_IO');
    const isFolder = await loadKerasOptimizer(folder.path).catch((error: unknown) => error as { code: string });
    assert.propertyVal(isFolder, 'code', 'ERR_CKPT_FORMAT');
  });

  it('may be deflated, name its class only, and have members of other kinds', async () => {
    const members = membersOf(archive);
    const path = folder.file(archiveOf({ ...members, '../evil': text('x'), __proto__: text('y') }, 9));
    const { optimizer, variables } = await loadKerasOptimizer(path);
    optimizer.build(trainedOf(variables));
    const own = await loadKerasOptimizer(fileOf('model-nadam-constant.keras'));
    own.optimizer.build(trainedOf(own.variables));
    assert.deepEqual(stateOf(optimizer), stateOf(own.optimizer));
    const named = {
      ...members,
      'config.json': configOf((config) => void (config.compile_config = { optimizer: 'nadam' })),
    };
    assert.instanceOf((await loadKerasOptimizer(folder.file(archiveOf(named)))).optimizer, Nadam);
  });

  it('is no archive that lies about its members', async () => {
    const end = archive.length - 22;
    const view = new DataView(archive.buffer, archive.byteOffset);
    const directory = view.getUint32(end + 16, true);
    const write = (place: number, value: number, bytes = 4): Uint8Array => {
      const changed = archive.slice();
      const to = new DataView(changed.buffer);
      if (bytes === 4) to.setUint32(place, value, true);
      else to.setUint16(place, value, true);
      return changed;
    };
    await refused(write(end + 16, 0xffffffff), 'ERR_CKPT_LAYOUT', {}, /ZIP64/);
    await refused(write(end + 16, directory + 1), 'ERR_CKPT_LAYOUT');
    await refused(write(end + 10, 60000, 2), 'ERR_CKPT_LAYOUT');
    await refused(write(directory + 24, 2 ** 31), 'ERR_CKPT_LAYOUT'); // more bytes than are stored
    await refused(write(directory + 16, 1), 'ERR_CKPT_HASH'); // the CRC
    await refused(write(directory + 8, 1, 2), 'ERR_CKPT_LAYOUT'); // encrypted
    await refused(write(directory + 10, 99, 2), 'ERR_CKPT_LAYOUT'); // a method
    await refused(write(directory + 42, 7), 'ERR_CKPT_LAYOUT'); // begins elsewhere
    for (const length of [1, 100, archive.length >> 1, archive.length - 1])
      await refused(archive.subarray(0, length), /ERR_CKPT_(FORMAT|LAYOUT)/);
  });

  it('has each member once', async () => {
    const members = membersOf(archive);
    const bytes = archiveOf({ ...members, 'config.jsoo': members['config.json'] as Uint8Array });
    const renamed = Buffer.from(
      Buffer.from(bytes).toString('latin1').replaceAll('config.jsoo', 'config.json'),
      'latin1',
    );
    await refused(renamed, 'ERR_CKPT_LAYOUT', {}, /"config.json" again/);
  });

  it('is no bomb', async () => {
    const before = process.memoryUsage().rss;
    const members = membersOf(archive);
    const packed = archiveOf({ ...members, 'model.weights.h5': new Uint8Array(1 << 20) }, 9);
    const bomb = packed.slice();
    new DataView(bomb.buffer).setUint32(entryOf(packed, 'model.weights.h5') + 24, 2 ** 31, true);
    await refused(bomb, 'ERR_CKPT_LAYOUT', {}, /at most/);
    // Of a member that inflates to more than it says, no more than that is inflated.
    const small = archiveOf({ ...members, 'config.json': new Uint8Array(1 << 20) }, 9);
    const at = entryOf(small, 'config.json');
    const lying = small.slice();
    new DataView(lying.buffer).setUint32(at + 24, 1000, true);
    new DataView(lying.buffer).setUint32(at + 16, crc32(new Uint8Array(1000)), true);
    await refused(lying, 'ERR_CKPT_HASH', {}, /inflate to 1000 bytes/);
    assert.isBelow(process.memoryUsage().rss - before, 300 << 20);
  });

  it('has an optimizer whose arrays are what they should be', async () => {
    const one = await loadKerasOptimizer(folder.file(await sgd()), asSgd());
    assert.equal(one.optimizer.iterations, 3);
    assert.equal(one.optimizer.learning_rate, 0.5);
    const wrong = async (given: Readonly<Record<string, object | null>>, message: RegExp) =>
      refused(await sgd(given), 'ERR_CKPT_LAYOUT', asSgd(), message);
    await wrong({ 1: null }, /optimizer\/vars\/1/);
    await wrong({ 0: { data: Float32Array.of(3), shape: [] } }, /iteration/);
    await wrong({ 0: { data: BigInt64Array.of(3n), shape: [1] } }, /iteration.*shape \[1\]/);
    await wrong({ 0: { data: BigInt64Array.of(-1n), shape: [] } }, /iteration.*-1/);
    await wrong({ 0: { data: BigInt64Array.of(2n ** 60n), shape: [] } }, /iteration/);
    await wrong({ 1: { data: Float32Array.of(1, 2), shape: [2] } }, /learning_rate/);
    await wrong({ 1: { data: Float32Array.of(NaN), shape: [] } }, /finite/);
    await wrong(
      { 2: { data: Float32Array.of(1, Infinity), shape: [2] } },
      /vars\/2" to have finite numbers, got Infinity at index 1/,
    );
    await wrong({ 2: { data: ['a', 'b'], shape: [2] } }, /vars\/2/);
    await wrong({ 2: { data: new Float32Array(4), shape: [4], chunks: [2], maxshape: [4] } }, /in one piece/);
    await wrong({ 2: { data: new Float32Array(4), shape: [4], chunks: [2], compression: 4 } }, /in one piece/);
    await refused(await h5((file) => void file.create_group('layers')), 'ERR_CKPT_CLASS', asSgd(), /compiled/);
  });

  it('has no links that lead elsewhere', async () => {
    await refused(
      await sgd({ 2: null }, (file) => void file.create_external_link('/etc/passwd', 'x', 'optimizer/vars/2')),
      'ERR_CKPT_LAYOUT',
      asSgd(),
      /link/,
    );
    await refused(
      await sgd({}, (file) => void file.create_soft_link('/optimizer', 'layers')),
      'ERR_CKPT_LAYOUT',
      asSgd(),
      /link/,
    );
    await refused(
      await sgd({}, (file) => void file.create_hard_link('/optimizer', 'optimizer/vars/loop')),
      'ERR_CKPT_LAYOUT',
      asSgd(),
      /groups in one another|objects/,
    );
  });

  it('does not fit other variables', async () => {
    const { optimizer, variables } = await loadKerasOptimizer(fileOf('model-nadam-constant.keras'));
    const trained = trainedOf(variables);
    for (const others of [trained.slice(1), [...trained].reverse(), [trained[0], trained[1], trained[2]]]) {
      assert.throws(() => optimizer.build(others as never), /model-nadam-constant/);
      assert.isFalse(optimizer.built);
    }
    optimizer.build(trained);
  });

  describe('with bits that are flipped', () => {
    const next = random('flipped bits');
    const places = (length: number, count: number) => Array.from({ length: count }, () => Math.floor(next() * length));
    const flipped = (bytes: Uint8Array, place: number) =>
      changedAt(bytes, place, (bytes[place] as number) ^ (1 << Math.floor(next() * 8)));
    const numbersIn = ({
      optimizer,
      variables,
    }: {
      optimizer: Optimizer;
      variables: Parameters<typeof trainedOf>[0];
    }) => {
      optimizer.build(trainedOf(variables));
      return JSON.stringify([stateOf(optimizer), variables, optimizer.get_config()]);
    };
    const tried = async (bytes: Uint8Array, options: LoadKerasOptions) => {
      try {
        return await loadKerasOptimizer(folder.file(bytes), options);
      } catch (error) {
        assert.match((error as { code: string }).code, /^ERR_CKPT_/, (error as Error).stack);
        return undefined;
      }
    };

    it('is never loaded as something else, if it is a .keras', async () => {
      const truth = numbersIn(await loadKerasOptimizer(fileOf('model-nadam-constant.keras')));
      for (const place of places(archive.length, 150)) {
        const loaded = await tried(flipped(archive, place), {});
        if (loaded !== undefined) assert.equal(numbersIn(loaded), truth, `byte ${place}`);
      }
    });

    it('is loaded or refused, if it is a bare .weights.h5', async () => {
      let count = 0;
      for (const place of places(weights.length, 120))
        count += Number((await tried(flipped(weights, place), given())) === undefined);
      assert.isAbove(count, 10);
    });

    it('leaves the reader as it was', async () => {
      const { arrays } = await contentOfH5('weights', bytesSource(weights));
      assert.lengthOf([...arrays], 15);
    });
  });

  it('does not keep the library turning in circles, nor from the next file', async () => {
    const circle = bytesOf('keras-circle.weights.h5');
    await refused(circle, 'ERR_CKPT_FORMAT', given(), /timed out|does not come to its end/);
    assert.equal((await loadKerasOptimizer(fileOf('model-nadam-constant.keras'))).optimizer.iterations, 4);
  });

  it('needs h5wasm, and says so', () => {
    const hook = `export const resolve = (name, context, next) => { if (name === 'h5wasm') throw new Error('not there'); return next(name, context); };`;
    const script = `
      import { register } from 'node:module';
      register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
      const { loadKerasOptimizer } = await import(${JSON.stringify(new URL('../lib/keras/index.ts', import.meta.url).href)});
      await loadKerasOptimizer(${JSON.stringify(fileOf('model-nadam-constant.keras'))}).catch((error) => console.log(error.code, error.message));`;
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', script],
      { encoding: 'utf8' },
    );
    assert.match(stdout, /^ERR_CKPT_PEER .*npm install h5wasm/, stderr);
  });
});
