// A whole step, with every flag, has the same bits on every instruction set; and which one is used.
import { spawnSync } from 'node:child_process';

import { assert } from 'chai';

import { deserialize, Nadam, Variable, type Optimizer } from '../lib/index.ts';
import { addon, useBackend, type Dtype } from '../lib/native.ts';
import { flags, variants } from './optimizers.ts';
import { backends, random, reference, wildNumber, words } from './random.ts';

const lengths = [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 1000];
const types = { float32: Float32Array, float64: Float64Array };

/** The words of all variables and states after five steps. */
async function train(
  way: 'apply' | 'apply_async',
  backend: string,
  class_name: string,
  config: object,
  dtype: Dtype,
  number: typeof wildNumber,
): Promise<string[][]> {
  const before = useBackend(backend);
  const next = random(`${class_name}${dtype}`);
  const make = (length: number) => new types[dtype](length).map(() => number(next));
  const optimizer = deserialize({ class_name, config }) as Optimizer;
  const variables = lengths.map((length) => new Variable(make(length)));
  for (let t = 0; t < 5; t++) await optimizer[way](lengths.map(make), variables);
  useBackend(before);
  return [...variables, ...optimizer.variables].map(({ value }) => words(value));
}

describe('a step of several passes', () => {
  it('has the same words however the elements are divided among variables', () => {
    const lengths = [100_000];
    const parts = [1, 4095, 4096, 4097, 32_767, 32_769, 22_175];
    const options = { use_ema: true, ema_overwrite_frequency: 3, gradient_accumulation_steps: 2, weight_decay: 0.1 };
    const trainOn = (sizes: readonly number[]): string[] => {
      const next = random('passes');
      const optimizer = new Nadam(options);
      const variables = sizes.map((size) => new Variable(Float32Array.from({ length: size }, () => next() - 0.5)));
      for (let t = 0; t < 7; t++)
        optimizer.apply(
          sizes.map((size) => Float32Array.from({ length: size }, () => next() - 0.5)),
          variables,
        );
      return variables.flatMap(({ value }) => words(value));
    };
    assert.deepEqual(trainOn(parts), trainOn(lengths));
  });
});

describe('backends', () => {
  it('of this machine are tested', function () {
    for (const { name, unusable } of addon.backends)
      if (unusable !== null) console.log(`      not tested: ${name}, ${unusable}`);
    assert.include(backends, 'baseline');
  });

  for (const [name, options] of Object.entries(variants))
    for (const option of options)
      for (const dtype of ['float32', 'float64'] as const)
        it(`${name} ${JSON.stringify(option)}, ${dtype}: the same words with every flag, sync and async`, async () => {
          for (const flag of flags)
            for (const number of [wildNumber, (next: () => number) => next() - 0.5]) {
              const config = { ...option, ...flag };
              const expected = await train('apply', reference, name, config, dtype, number);
              for (const backend of backends)
                for (const way of ['apply', 'apply_async'] as const)
                  assert.deepEqual(
                    await train(way, backend, name, config, dtype, number),
                    expected,
                    `${way} ${backend} ${JSON.stringify(flag)}`,
                  );
            }
        });

  const load = (backend: string) =>
    spawnSync(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        `import { addon, useBackend } from ${JSON.stringify(new URL('../lib/native.ts', import.meta.url).href)}; console.log(useBackend('baseline'))`,
      ],
      { env: { ...process.env, KERAS_OPTIMIZERS_BACKEND: backend }, encoding: 'utf8' },
    );
  it('are chosen by KERAS_OPTIMIZERS_BACKEND', () => {
    for (const backend of backends) assert.equal(load(backend).stdout.trim(), backend);
    assert.equal(load('').stdout.trim(), backends[0]);
  });
  it('that are unknown or unusable are an error that says why', () => {
    const unknown = load('sse9');
    assert.notEqual(unknown.status, 0);
    assert.match(unknown.stderr, /KERAS_OPTIMIZERS_BACKEND expects one of avx512, avx2, baseline, cuda, got "sse9"/);
    const unusable = load('cuda');
    assert.notEqual(unusable.status, 0);
    assert.match(unusable.stderr, /KERAS_OPTIMIZERS_BACKEND=cuda cannot be used: it steps variables that lie on a GPU/);
  });
});
