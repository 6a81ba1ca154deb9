// The program keras-optimizers, in this process; two child processes show that it is one.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { bytesOf, variantNamed } from '../bench/variants.ts';
import { check, trafficOf, type Outcome } from '../lib/bench/contest.ts';
import { ruleNamed, ruleNames } from '../lib/bench/rules.ts';
import { commands } from '../lib/cli/commands.ts';
import type { Description } from '../lib/cli/description.ts';
import { hostOf } from '../lib/cli/info.ts';
import { main } from '../lib/cli/main.ts';
import { normOf } from '../lib/cli/norm.ts';
import { printable } from '../lib/cli/text.ts';
import { headers } from '../lib/cli/toolchain.ts';
import {
  Adam,
  devices,
  getNumThreads,
  info,
  LossScaleOptimizer,
  Nadam,
  Optimizer,
  setNumThreads,
  Variable,
} from '../lib/index.ts';
import { loadKerasOptimizer } from '../lib/keras/index.ts';

const golden = (name: string): string => fileURLToPath(new URL(`golden/model-${name}`, import.meta.url));
const program = fileURLToPath(new URL('../lib/cli/index.ts', import.meta.url));
let folder = '';
const at = (name: string): string => join(folder, name);
before(() => void (folder = mkdtempSync(join(tmpdir(), 'cli-'))));
after(() => rmSync(folder, { recursive: true }));

/** The exit code, and what was written. */
async function run(...args: string[]) {
  const [out, error]: [string[], string[]] = [[], []];
  const code = await main(args, { out: (text) => void out.push(text), error: (text) => void error.push(text) });
  return { code, out: out.join(''), error: error.join('') };
}

/** Asserts that it is done. */
async function done(...args: string[]): Promise<string> {
  const { code, out, error } = await run(...args);
  assert.equal(code, 0, error);
  return out;
}

const described = async (file: string): Promise<Description> =>
  JSON.parse(await done('inspect', file, '--json')) as Description;

/** Asserts that it fails with this code, and says this, without a stack. */
async function fails(code: number, message: RegExp, ...args: string[]): Promise<void> {
  const { code: got, out, error } = await run(...args);
  assert.equal(got, code, `${out}${error}`);
  assert.match(error, message);
  assert.notMatch(error, /\n +at |Error:/);
  assert.equal(out, '');
}

describe('keras-optimizers inspect', () => {
  it('shows the same of a .keras and of the weights in it, but for what these do not say', async () => {
    const [archive, weights] = await Promise.all(
      ['nadam-constant.keras', 'nadam-constant.weights.h5'].map((name) => described(golden(name))),
    );
    assert.include(archive, { format: '.keras', keras_version: '3.15.1', class: 'Nadam', iteration: 4 });
    assert.include(weights, { format: '.weights.h5', iteration: 4 });
    assert.notProperty(weights, 'class');
    assert.approximately(archive?.learning_rate as number, 0.01, 1e-9);
    assert.deepEqual(archive?.optimizer, weights?.optimizer);
    assert.deepInclude(archive?.optimizer[0], { path: 'optimizer/vars/0', shape: [], dtype: 'int64', value: 4 });
    assert.lengthOf(archive?.optimizer ?? [], 11);
    assert.deepEqual(
      archive?.variables.map(({ shape, place, layer }) => [shape, place, layer]),
      [
        [[3, 4], 0, 'hidden'],
        [[4], 1, 'hidden'],
        [[4, 1], 2, 'out'],
        [[1], 3, 'out'],
      ],
    );
  });

  it('gives the learning rate of a schedule at the iteration', async () => {
    const { iteration, learning_rate: rate } = await described(golden('nadam-exponentialdecay.keras'));
    const { optimizer } = await loadKerasOptimizer(golden('nadam-exponentialdecay.keras'));
    assert.equal(iteration, optimizer.iterations);
    assert.equal(rate, optimizer.learning_rate);
  });

  it('shows a file of this package, with norms, and what a wrapper wraps', async () => {
    const optimizer = new LossScaleOptimizer({ inner_optimizer: new Adam({ name: 'adam' }), initial_scale: 8 });
    const variable = new Variable([3, 4], { name: 'layer/kernel' });
    optimizer.apply([[8, 8]], [variable]);
    variable.assign([3, 4]);
    await optimizer.save(at('scaled.safetensors'), { variables: true });
    const { class: name, variables, wrapped, optimizer: own } = await described(at('scaled.safetensors'));
    assert.equal(name, 'LossScaleOptimizer');
    assert.deepEqual(variables, [{ path: 'layer/kernel', shape: [2], dtype: 'float32', norm: 5, place: 0 }]);
    assert.deepEqual(
      own.map(({ value }) => value),
      [1, 8],
    );
    assert.equal(wrapped?.[0]?.iteration, 1);
    assert.deepEqual(
      wrapped?.[0]?.optimizer.map(({ path }) => path),
      ['adam/layer_kernel_momentum', 'adam/layer_kernel_velocity'],
    );
    const text = await done('inspect', at('scaled.safetensors'));
    assert.match(text, /class +LossScaleOptimizer\niteration +1\nlearning rate +0\.001\n/);
    assert.match(text, /layer\/kernel +\[2\] +float32 +5\n/);
    assert.match(text, /wrapped optimizer 0: iteration 1/);
  });

  it('says which arrays are not in the file', async () => {
    const optimizer = new Nadam();
    optimizer.build([new Variable([1, 2], { name: 'kernel' })]);
    await optimizer.save(at('state.safetensors'));
    assert.match(await done('inspect', at('state.safetensors')), /kernel +\[2\] +float32 +not in the file\n/);
  });

  it('ends with 1 and the code of the error for a bad file', async () => {
    writeFileSync(at('short.safetensors'), 'x');
    await fails(1, /^keras-optimizers inspect: ERR_CKPT_FORMAT: .*short/, 'inspect', at('short.safetensors'));
    await fails(1, /ERR_CKPT_IO: .*ENOENT/, 'inspect', at('nothing'));
    await fails(1, /ERR_CKPT_FORMAT: .* is no file/, 'inspect', folder);
    const bytes = readFileSync(golden('sgd-momentum.keras'));
    const place = bytes.indexOf('HDF') + 3000;
    bytes[place] = (bytes[place] as number) ^ 1;
    writeFileSync(at('altered.keras'), bytes);
    await fails(1, /ERR_CKPT_HASH: .*it was altered/, 'inspect', at('altered.keras'));
  });

  it('shows no character that moves the cursor', () => {
    assert.equal(printable('a\u001b[2Jb\u202ec\rd\ne'), 'a\\u001b[2Jb\\u202ec\\u000dd\ne');
  });

  it('has norms that do not overflow', () => {
    assert.approximately(normOf([3e200, -4e200]), 5e200, 1e186);
    assert.equal(normOf([3, -4]), 5);
    assert.equal(normOf([Number.MAX_VALUE]), Number.MAX_VALUE);
    assert.equal(normOf([5e-324]), 5e-324);
    assert.equal(normOf([]), 0);
    assert.equal(normOf([0, 0]), 0);
    assert.equal(normOf([1, -Infinity]), Infinity);
    assert.isNaN(normOf([1, NaN, 2]));
    assert.equal(normOf(BigInt64Array.of(3n, -4n)), 5);
  });
});

describe('keras-optimizers convert', () => {
  it('brings a .keras to a .safetensors and back, without a difference in what they hold', async () => {
    for (const name of ['nadam-constant', 'nadam-exponentialdecay', 'nadam-keras3.9', 'sgd-momentum']) {
      const [ours, back] = [at(`${name}.safetensors`), at(`${name}.keras`)];
      assert.match(
        await done('convert', golden(`${name}.keras`), ours),
        /: (Nadam|SGD) at iteration \d+, .* 4 of weights/,
      );
      await done('convert', ours, back, '--from-file', golden(`${name}.keras`));
      const [before, after] = await Promise.all([golden(`${name}.keras`), back].map(described));
      assert.deepEqual(after?.variables, before?.variables);
      assert.deepInclude(after, { iteration: before?.iteration, learning_rate: before?.learning_rate });
      if (name !== 'nadam-keras3.9') assert.deepEqual(after?.optimizer, before?.optimizer); // it has another order
      const { optimizer, variables } = await loadKerasOptimizer(back);
      optimizer.build(variables.map(({ value, shape }) => new Variable(value as Float32Array, { shape })));
      const weights = variables.map(({ shape }) => Variable.zeros(shape));
      const loaded = await Optimizer.load(ours, { variables: weights });
      const numbers = (one: Optimizer) =>
        one.variables.map((variable) => [...(variable.value as Float32Array)].map(Number));
      assert.deepEqual(numbers(loaded), numbers(optimizer));
      assert.deepEqual(
        weights.map(({ value }) => value),
        variables.map(({ value }) => value) as Float32Array[],
      );
    }
  });

  it('takes the weights file out of a .keras, byte by byte', async () => {
    await done('convert', golden('sgd-momentum.keras'), at('out.weights.h5'));
    const [own, other] = await Promise.all([at('out.weights.h5'), golden('sgd-momentum.keras')].map(described));
    assert.deepEqual(own?.optimizer, other?.optimizer);
    assert.isTrue(readFileSync(golden('sgd-momentum.keras')).includes(readFileSync(at('out.weights.h5'))));
  });

  it('takes the class of a .weights.h5 from a name, a text, a file', async () => {
    const weights = golden('nadam-constant.weights.h5');
    const { config } = await described(golden('nadam-constant.keras'));
    writeFileSync(at('config.json'), JSON.stringify(config));
    for (const which of ['Nadam', JSON.stringify(config), at('config.json'), golden('nadam-constant.keras')]) {
      const { code, out, error } = await run(
        'convert',
        weights,
        at('named.safetensors'),
        '--optimizer',
        which,
        '--force',
      );
      assert.equal(code, 0, error);
      assert.match(out, /Nadam at iteration 4, 9 arrays of state, 0 of weights/);
      assert.match(error, /note: only the state: .* does not say which weights are trained/);
    }
    await fails(2, /expects --optimizer, as a \.weights\.h5 does not say/, 'convert', weights, at('n.safetensors'));
    await fails(1, /ERR_CKPT_/, 'convert', weights, at('n.safetensors'), '--optimizer', 'Nobody');
    await fails(1, /ERR_CKPT_LAYOUT/, 'convert', weights, at('n.safetensors'), '--optimizer', 'Adafactor');
  });

  it('leaves the weights of the file alone with --state-only', async () => {
    const [ours, to] = [at('only.safetensors'), at('only.keras')];
    await done('convert', golden('nadam-constant.keras'), ours, '--state-only');
    assert.isTrue((await described(ours)).variables.every(({ norm }) => norm === undefined));
    await done('convert', ours, to, '--from-file', golden('nadam-constant.keras'), '--state-only');
    assert.deepEqual((await described(to)).variables, (await described(golden('nadam-constant.keras'))).variables);
  });

  it('does not overwrite without --force, and does not touch B when it fails', async () => {
    writeFileSync(at('mine.safetensors'), 'mine');
    await fails(1, /--force replaces it/, 'convert', golden('sgd-momentum.keras'), at('mine.safetensors'));
    await fails(
      1,
      /ERR_CKPT_/,
      'convert',
      at('config.json'),
      at('mine.keras'),
      '--from-file',
      golden('sgd-momentum.keras'),
    );
    assert.equal(readFileSync(at('mine.safetensors'), 'utf8'), 'mine');
    await done('convert', golden('sgd-momentum.keras'), at('mine.safetensors'), '--force');
    const other = golden('sgd-momentum.keras');
    await fails(
      1,
      /ERR_CKPT_/,
      'convert',
      golden('nadam-constant.keras'),
      at('a.weights.h5'),
      '--from-file',
      at('config.json'),
    );
    await fails(2, /expects files of two kinds/, 'convert', at('mine.safetensors'), at('b.safetensors'));
    await fails(2, /expects --from-file/, 'convert', at('mine.safetensors'), at('b.keras'));
    await fails(2, /expects B to end in/, 'convert', other, at('b.zip'));
    await fails(2, /only where B/, 'convert', other, at('b.safetensors'), '--from-file', other);
    await fails(2, /--keras-version expects/, 'convert', other, at('b.safetensors'), '--keras-version', 'new');
  });
});

describe('keras-optimizers info', () => {
  it('says what info() and devices() say', async () => {
    const { cuda, ...said } = JSON.parse(await done('info', '--json')) as Record<string, unknown>;
    const { platform, gpus, ...rest } = said;
    assert.deepEqual({ cuda, ...rest }, JSON.parse(JSON.stringify(info())));
    assert.deepEqual([platform, gpus], [`${process.platform}-${process.arch}`, devices().cuda]);
    const text = await done('info');
    assert.match(text, new RegExp(`^keras-optimizers +${info().version}\\nNode\\.js +${process.versions.node}, `));
    assert.include(text, info().backend);
  });

  it('says where the addon is, what was passed over, and which instruction sets there are', () => {
    const passed = [{ place: '/a', why: 'not there' }];
    const backends = [
      { name: 'avx512', unusable: 'no AVX-512' },
      { name: 'avx2', unusable: null },
      { name: 'baseline', unusable: null },
    ];
    assert.deepEqual(
      hostOf({ ...info(), addon: { file: '/b', kind: 'prebuild', passed }, backend: 'avx2', backends, threads: 2 }),
      [
        ['addon', 'prebuild: /b'],
        ['passed over', '/a: not there'],
        ['kernels', 'avx2'],
        ['', 'avx512 does not: no AVX-512'],
        ['', 'baseline runs here, too'],
        ['threads', '2 threads'],
      ],
    );
  });

  it('says why where no addon loads, and ends with 1', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', program, 'info', '--json'], {
      encoding: 'utf8',
      env: { ...process.env, KERAS_OPTIMIZERS_ADDON: at('none.node') },
    });
    assert.equal(status, 1);
    assert.match(stderr, /^keras-optimizers info: ERR_ADDON_LOAD: .*none\.node/);
    const { platform, error } = JSON.parse(stdout) as { platform: string; error: { code: string } };
    assert.deepEqual([platform, error.code], [`${process.platform}-${process.arch}`, 'ERR_ADDON_LOAD']);
  });
});

describe('keras-optimizers bench', () => {
  const before = getNumThreads();
  afterEach(() => setNumThreads(before));
  const quick = ['--elements', '1K', '--rounds', '1', '--threads', '1'];

  it('measures, after it has compared values', async () => {
    const text = await done('bench', 'SGD', ...quick);
    assert.match(
      text,
      /1 thread[^]*\noptimizer +elements +ms +GB\/s +memory +of it +JS ms +times\nsgd +1K( +[\d.e-]+){4} %( +[\d.e-]+){2}\n$/,
    );
  });

  it('says with --json what a step moves and how long it takes', async () => {
    const { threads, differences, results } = JSON.parse(await done('bench', 'nadam', ...quick, '--json')) as {
      readonly threads: number;
      readonly differences: Record<string, number>;
      readonly results: Outcome[];
    };
    assert.equal(threads, 1);
    assert.isAtMost(differences.nadam ?? NaN, 1e-6);
    const [{ step = 0, speed = 0, memory = 0, share = 0, javascript = 0, times = 0, ...rest } = {}] =
      results as Partial<Outcome>[];
    assert.deepEqual(rest, { optimizer: 'nadam', elements: 1024, device: 'cpu', bytes: 28 * 1024 }); // p, g, m, v read, p, m, v written
    assert.approximately(speed, (28 * 1024) / step / 1e6, 1e-3 * speed);
    assert.approximately(share, speed / memory, 1e-3 * share);
    assert.approximately(times, javascript / step, 1e-3 * times);
  });

  it('has a loop, and the bytes, of every optimizer it names', async () => {
    for (const name of ruleNames) {
      assert.isAtMost(await check(name, 'cpu'), 1e-6);
      const { slots, directed = false } = ruleNamed(name);
      assert.equal(trafficOf(name, 10), 10 * bytesOf(variantNamed('plain'), slots, directed), name);
    }
  });

  it('refuses what it does not have', async () => {
    await fails(2, /expects names of optimizers \(sgd, .*got "muon"/, 'bench', 'muon');
    await fails(2, /--elements expects sizes up to 1024M, .*got "2048M"/, 'bench', '--elements', '1K,2048M');
    await fails(2, /--rounds expects/, 'bench', '--rounds', '0');
    await fails(2, /--threads expects/, 'bench', '--threads', 'all');
    await fails(1, /ERR_OPT_CONFIG_RANGE: bench expects device/, 'bench', '--device', 'tpu');
  });
});

describe('keras-optimizers build', () => {
  it('refuses words that make no sense before it looks for tools', async () => {
    await fails(2, /--cuda expects on, off or auto/, 'build', '--cuda', 'yes');
    await fails(2, /--arch expects compute capabilities/, 'build', '--arch', '90;rm');
    await fails(2, /expects --arch only with CUDA/, 'build', '--cuda', 'off', '--arch', '90');
  });

  it('says which tool is missing', async () => {
    const { PATH } = process.env;
    process.env.PATH = folder;
    try {
      await fails(
        1,
        /ERR_BUILD: build expects CMake 3\.18 or newer \(.*install cmake\), got nothing that runs: cmake/,
        'build',
      );
    } finally {
      process.env.PATH = PATH;
    }
  });

  it('finds the headers in this package or in the project', () => {
    const files = headers().flatMap((path) => readdirSync(path));
    assert.includeMembers(files, ['napi.h', 'node_api.h']);
  });
});

describe('keras-optimizers', () => {
  it('ends with 2 for words that make no sense, and tells of the help', async () => {
    await fails(2, /expects a command: info, bench, plot, build, inspect, convert/);
    await fails(2, /got "constructor"/, 'constructor');
    for (const [name, entry] of Object.entries(commands)) {
      const { expects, more } = await entry.load();
      const wrong = [...expects.slice(1), ...(expects.length === 0 ? ['a'] : [])];
      if (more === undefined) await fails(2, /expects .* arguments, got \d\n.*--help/, name, ...wrong);
      await fails(2, /--nonsense/, name, '--nonsense', 'a', 'b');
    }
  });

  it('has a help for each command, with all of its options', async () => {
    const all = await done('--help');
    for (const [name, entry] of Object.entries(commands)) {
      assert.include(all, `${name.padEnd(9)}${entry.summary}`);
      const help = await done(name, '--help');
      assert.match(help, new RegExp(`^Usage: keras-optimizers ${name} \\S`));
      for (const option of Object.keys((await entry.load()).options))
        assert.match(help, new RegExp(`\\n  --${option}\\b`));
      assert.isBelow(Math.max(...help.split('\n').map((line) => line.length)), 140);
    }
  });

  const node = (...args: string[]) => spawnSync(process.execPath, ['--import', 'tsx', ...args], { encoding: 'utf8' });

  it('is a program', () => {
    const { status, stdout, stderr } = node(program, 'inspect', golden('sgd-momentum.keras'));
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /class +SGD\n/);
    assert.equal(node(program, 'inspect', at('nothing')).status, 1);
    const { bin, version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      bin: Record<string, string>;
      version: string;
    };
    assert.deepEqual(bin, { 'keras-optimizers': 'dist/cli/index.js' });
    assert.match(readFileSync(program, 'utf8'), /^#!\/usr\/bin\/env node\n/);
    assert.equal(
      execFileSync(process.execPath, ['--import', 'tsx', program, '--version'], { encoding: 'utf8' }),
      `${version}\n`,
    );
  });

  it('and keras-optimizers/keras know the classes without another import', () => {
    const text = `import { loadKerasOptimizer } from ${JSON.stringify(new URL('../lib/keras/index.ts', import.meta.url))};
      const { optimizer } = await loadKerasOptimizer(${JSON.stringify(golden('sgd-momentum.keras'))});
      console.log(optimizer.constructor.name, optimizer.iterations);`;
    const { stdout, stderr } = node('--input-type=module', '--eval', text);
    assert.match(stdout, /^SGD \d+\n$/, stderr);
  });
});
