// The compiled code itself: what the compiler made of the rules, what a step leaves behind, what TypeScript and the headers
// promise each other, and the ways to load it.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { Adam, AdamW, Nadam, SGD, Variable, type Optimizer } from '../lib/index.ts';
import { addon, useBackend } from '../lib/native.ts';
import { arithmetics } from '../lib/arithmetic.ts';
import { backends } from './random.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const objectOf = (set: string): string => here(`../build-cmake/CMakeFiles/kernels.dir/native/cpu/${set}.cpp.o`);
const registers: Readonly<Record<string, string>> = { baseline: 'xmm', avx2: 'ymm', avx512: 'zmm' };
const optimizers = [SGD, Adam, AdamW, Nadam] as const;

/** Disassembled functions of an object by their demangled names. */
function functionsOf(object: string): Map<string, string> {
  const text = execFileSync('objdump', ['-drC', '--no-show-raw-insn', object], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const parts = text.split(/^[0-9a-f]+ <(.*)>:$/m).slice(1);
  return new Map(parts.flatMap((part, i) => (i % 2 === 0 ? [[part, parts[i + 1] ?? ''] as const] : [])));
}

describe('the compiled kernels', () => {
  before(function () {
    if (process.arch === 'x64') return;
    console.log(`      not read: the vector registers of ${process.arch} are not known to this test`);
    this.skip();
  });
  for (const [set, register] of Object.entries(registers))
    it(`of ${set} are vectorized at full width, every rule and flag`, () => {
      const functions = functionsOf(objectOf(set));
      const loops = [...functions].filter(([name]) => /::loop<|::squares</.test(name));
      const arithmetic = loops.filter(([name]) => !/<(Zero|Copy),/.test(name)); // the compiler merges some of those two
      const flags = 3 * 2 * 2; // what the prelude does, decay, average
      const quick = set === 'baseline' ? 0 : 2 * flags; // of Nadam in float32: the quick loops and their repair
      assert.lengthOf(arithmetic, (addon.rules.length - 2) * 2 * flags + 2 + quick);
      for (const [name, body] of loops) {
        const suffix = /double/.test(name) ? 'pd' : 'ps';
        const packed = new RegExp(`\\bv?(add|sub|mul|div|sqrt|fmadd\\w*)${suffix}\\s.*%${register}`);
        const rooted = new RegExp(`\\bv?sqrt${suffix}\\s.*%${register}`);
        const moves = new RegExp(`mov(u|a)p[sd]\\s.*%${register}`);
        if (/loop<(Zero|Copy),/.test(name)) assert.match(body, moves, name);
        else assert.match(body, packed, `${set}: ${name}`);
        const divided = new RegExp(`\\bv?div${suffix}\\s.*%${register}`);
        if (/Adam|Nadam|Accumulate|, true, \w+>/.test(name) && !/squares|Zero/.test(name))
          assert.match(body, divided, `${set}: ${name}`);
        if (/Adam|Nadam/.test(name)) assert.match(body, rooted, `${set}: ${name}`);
        const contracted = /fn?m(add|sub)/;
        if (/\(Way\)1/.test(name)) assert.match(body, contracted, `${set}: ${name}`);
        else assert.notMatch(body, contracted, `${set}: ${name}`);
        assert.notMatch(body, /rsqrt|rcp1?4?p/, `${set}: ${name}`);
      }
    });
  for (const [set, register] of Object.entries(registers))
    it(`of ${set} decode and encode at full width`, () => {
      const functions = [...functionsOf(objectOf(set))].filter(([name]) => /::(de|en)codeSome/.test(name));
      assert.lengthOf(functions, 2);
      for (const [name, body] of functions)
        assert.match(body, new RegExp(`p?(sll|srl|slld|srld)\\w*\\s.*%${register}`), name);
    });
  it('divide quickly as the processor divides, or know that they may not have', function () {
    this.timeout(120_000);
    if (!addon.backends.some(({ name, unusable }) => name === 'avx2' && unusable === null)) {
      console.log('      not run: this processor has no FMA');
      this.skip();
    }
    const program = join(mkdtempSync(join(tmpdir(), 'division-')), 'division');
    const flags = ['-std=c++17', '-O2', '-mfma', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math'];
    execFileSync('g++', [...flags, here('native/division.cpp'), '-o', program]);
    const { stdout, status } = spawnSync(program, { encoding: 'utf8' });
    rmSync(dirname(program), { recursive: true });
    assert.equal(stdout, '');
    assert.equal(status, 0);
  });
  it('share no symbol', () => {
    const result = spawnSync(here('symbols.sh'), Object.keys(registers).map(objectOf), { encoding: 'utf8' });
    assert.equal(result.stdout + result.stderr, '');
    assert.equal(result.status, 0);
  });
  it('of which the symbol check would find a shared one', () => {
    const twice = spawnSync(here('symbols.sh'), [objectOf('baseline'), objectOf('baseline')], { encoding: 'utf8' });
    assert.match(twice.stdout, /shared: kBaseline/);
    assert.notEqual(twice.status, 0);
  });
});

describe('a step', () => {
  for (const backend of backends)
    for (const type of [Float32Array, Float64Array])
      it(`on ${backend} leaves the floating-point unit as it was, after ${type.name}`, () => {
        const before = useBackend(backend);
        const control = addon.floatingPointControl();
        const optimizer = new Nadam({ clipnorm: 1, use_ema: true });
        optimizer.apply([new type(100).fill(1e-30)], [new Variable(new type(100))]);
        useBackend(before);
        assert.equal(addon.floatingPointControl(), control);
        assert.isAbove(Number.MIN_VALUE * 3, Number.MIN_VALUE);
        assert.equal(Number('1e-310') / 2, 5e-311);
      });
  it('flushes denormals of float32, keeps those of float64, and does so only inside', () => {
    const update = (type: typeof Float32Array | typeof Float64Array, rate: number, gradient: number) => {
      const v = new Variable(new type(1));
      new SGD({ learning_rate: rate }).apply([type.of(gradient)], [v]);
      return v.value[0];
    };
    assert.equal(update(Float32Array, 1, 1e-40), 0);
    assert.equal(update(Float32Array, 1e-20, 1e-20), 0);
    assert.equal(update(Float64Array, 1, 1e-310), -1e-310);
  });
});

describe('headers and classes', () => {
  const instances: Optimizer[] = [
    ...optimizers.map((cls) => new cls()),
    new SGD({ momentum: 0.9 }),
    new SGD({ momentum: 0.9, nesterov: true }),
    new Adam({ amsgrad: true }),
  ];
  for (const optimizer of instances)
    it(`${optimizer.constructor.name} ${JSON.stringify(optimizer.get_config())} supplies its rule's slots and scalars, no more`, () => {
      // the contract between two languages is checked from outside of both
      const open = optimizer as unknown as {
        rule: string;
        blocks: string[][];
        running?: { initial: number };
        scalars(hyper: unknown, moment: unknown, arithmetic: unknown): Record<string, number>;
      };
      const info = addon.rules.find(({ name }) => name === open.rule);
      assert.deepEqual(open.blocks.flat(), info?.slots);
      const moment = { step: 3, learning_rate: 0.5, running: 0.25 };
      const scalars = open.scalars(optimizer, moment, arithmetics.float32);
      const own = Object.keys(scalars).filter((name) => info?.scalars.includes(name));
      assert.sameMembers(own, [...(info?.scalars ?? [])]);
      for (const value of Object.values(scalars)) assert.equal(value, Math.fround(value));
    });
});

describe('the wall between the languages', () => {
  const { raise } = addon as unknown as { raise?: (kind: number) => never };
  it('lets no exception of C++ through', function () {
    if (raise === undefined) {
      console.log('      not run: this addon is built without -DFAULTS=ON (npm run test:asan builds one with it)');
      this.skip();
    }
    const messages = [
      /a standard exception/,
      /bad_alloc/,
      /A native exception was thrown/,
      /an exception of JavaScript's/,
    ];
    messages.forEach((message, kind) => assert.throws(() => raise(kind), Error, message));
  });
});

describe('the package', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8', cwd: here('..') });
  const program = 'console.log(new Nadam({ name: "n" }).get_config().name, typeof Variable)';
  it('is imported', () => {
    const { stdout, stderr } = run(
      '--input-type=module',
      '-e',
      `import { Nadam, Variable } from 'keras-optimizers'; ${program}`,
    );
    assert.equal(stdout.trim(), 'n function', stderr);
  });
  it('is required', function () {
    const { stdout, stderr } = run(
      '--input-type=commonjs',
      '-e',
      `const { Nadam, Variable } = require('keras-optimizers'); ${program}`,
    );
    assert.equal(stdout.trim(), 'n function', stderr);
  });
  it('says what to do when there is no addon', () => {
    const script = `import('keras-optimizers').catch((error) => console.log(error.code, error.message))`;
    const { stdout } = spawnSync(process.execPath, ['-e', script], {
      encoding: 'utf8',
      cwd: here('..'),
      env: { ...process.env, KERAS_OPTIMIZERS_ADDON: 'missing.node' },
    });
    assert.match(
      stdout,
      /ERR_ADDON_LOAD keras-optimizers found no native addon, looked at missing\.node: run "npm run build:addon"/,
    );
  });
  it('has a build for the tests to read', () => {
    assert.isTrue(existsSync(objectOf('baseline')));
  });
});
