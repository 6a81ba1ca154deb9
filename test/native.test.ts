// The compiled code itself: what the compiler made of the rules, what a step leaves behind, what TypeScript and the headers
// promise each other, and the ways to load it.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import * as library from '../lib/index.ts';
import { LossScaleOptimizer, MultiOptimizer, Nadam, Optimizer, SGD, Variable } from '../lib/index.ts';
import { addon, useBackend } from '../lib/native.ts';
import { arithmetics } from '../lib/arithmetic.ts';
import { classes, makers } from './optimizers.ts';
import { backends } from './random.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const objectOf = (set: string): string => here(`../build-cmake/CMakeFiles/kernels.dir/native/cpu/${set}.cpp.o`);
const registers: Readonly<Record<string, string>> = { baseline: 'xmm', avx2: 'ymm', avx512: 'zmm' };

/** Disassembled functions of an object by their demangled names. */
function functionsOf(object: string): Map<string, string> {
  const text = execFileSync('objdump', ['-drC', '--no-show-raw-insn', object], {
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  const parts = text.split(/^[0-9a-f]+ <(.*)>:$/m).slice(1);
  return new Map(parts.flatMap((part, i) => (i % 2 === 0 ? [[part, parts[i + 1] ?? ''] as const] : [])));
}

// A loop's name: rule, dtype, preparation, decay, average, storage of the slots, way.
const pattern = /::loop<.*Loop<(\w+), (\w+), \(Preparation\)(\d), \w+, \w+, \(Slots\)(\d)>, \(Way\)(\d)>/;

describe('the compiled kernels', () => {
  before(function () {
    if (process.arch === 'x64') return;
    console.log(`      not read: the vector registers of ${process.arch} are not known to this test`);
    this.skip();
  });
  for (const [set, register] of Object.entries(registers))
    it(`of ${set} are vectorized at full width, every rule and flag`, () => {
      const functions = functionsOf(objectOf(set));
      const loops = [...functions].filter(([name]) => pattern.test(name));
      const arithmetic = addon.rules.filter(({ name }) => !/^(zero|copy|prepare|adafactor_factored)$/.test(name)); // some of those are merged
      const counts = arithmetic.map(({ name, slots, directed }) => {
        const decays = directed ? 1 : 2; // of variables, not of directions
        const heavy = name === 'ftrl_power';
        const plain = heavy ? 1 : 3 * decays * decays; // what the prelude does, decay, average of variables
        const encoded = slots.length > 0 && !heavy ? 2 * decays : 0; // rounding
        const ways = set !== 'baseline' && /nadam|lamb/.test(name) ? 3 : 1; // whole; quick and repair in float32
        const merged = name === 'lamb' && ways > 1 ? 2 : 0; // repairs that read no gradient, whatever prepared it
        return plain + (plain + encoded) * ways - merged; // float64 and float32
      });
      const found = loops.filter(([name]) => !/Loop<(Zero|Copy|Prepare|AdafactorFactored),/.test(name)).length;
      assert.equal(
        found,
        counts.reduce((a, b) => a + b),
      );
      for (const [name, body] of loops) {
        const [, rule = '', type = '', prelude, slots, way] = pattern.exec(name) ?? [];
        const suffix = type === 'double' ? 'pd' : 'ps';
        const uses = (what: string): RegExp => new RegExp(`\\bv?${what}${suffix}\\s.*%${register}`);
        if (/Zero|Copy|Prepare|Factored/.test(rule)) assert.match(body, new RegExp(`mov\\w+\\s.*%${register}`), name);
        else assert.match(body, uses('(add|sub|mul|div|sqrt|fmadd\\w*)'), name);
        if (/Ada(?!factorF)|Nadam|Lamb|Rms|Ftrl|Free|Accumulate/.test(rule) || (prelude === '2' && rule !== 'Zero'))
          assert.match(body, uses('div'), name);
        if (/Ada(?!max|factorF)|Nadam|Lamb|Rms|Ftrl$|Free/.test(rule)) assert.match(body, uses('sqrt'), name);
        if (rule === 'FtrlPower') assert.match(body, new RegExp(`mulpd\\s.*%${register}`), name); // in float32 as well
        if (slots !== '0') assert.match(body, new RegExp(`sr[la]d?\\s.*%${register}`), name);
        const contracted = /fn?m(add|sub)/;
        if (way === '1') assert.match(body, contracted, name);
        else assert.notMatch(body, contracted, name);
        assert.notMatch(body, /rsqrt|rcp1?4?p/, name);
      }
    });
  for (const [set, register] of Object.entries(registers))
    it(`of ${set} decode, prepare, add squares, factor and multiply matrices at full width`, () => {
      const functions = [...functionsOf(objectOf(set))];
      const expected = {
        decodeSome: 'ps[lr]+d',
        'prepareSome<float>': 'divps',
        'prepareSome<double>': 'divpd',
        squares: 'mulpd',
        'decaySome<float>': 'mulps',
        'decaySome<double>': 'mulpd',
        'addFactorRow<float>': 'addpd',
        'addFactorRow<double>': 'addpd',
        'divideFactorRow<float>': 'sqrtps',
        'divideFactorRow<double>': 'sqrtpd',
        'addRows<float>': 'mulps',
        'addRows<double>': 'addpd',
      };
      for (const [part, operation] of Object.entries(expected)) {
        const found = functions.filter(([name]) => name.includes(`::${part}`));
        const names = new Set(found.map(([name]) => name.replace(/ \[clone.*/, ''))); // for an argument that is known
        assert.lengthOf([...names], part === 'squares' ? 4 : 1, part);
        for (const [, body] of found) assert.match(body, new RegExp(`${operation}\\s.*%${register}`), part);
      }
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
  it('are all in the list that the tests go through', () => {
    const exported = Object.values(library as object).filter(
      (value: unknown) => typeof value === 'function' && value.prototype instanceof Optimizer,
    );
    assert.sameMembers(exported, [...classes, LossScaleOptimizer, MultiOptimizer]); // those two have tests of their own
  });
  const shapes = [[3], [2, 2]]; // a class may have a rule for each
  for (const [name, make, shape] of makers().flatMap(([name, make]) =>
    shapes.map((shape) => [name, make, shape] as const),
  ))
    it(`${name} supplies its rule's slots and scalars, no more: [${String(shape)}]`, () => {
      const optimizer = make();
      // the contract between two languages is checked from outside of both
      const open = optimizer as unknown as {
        ruleOf(variable: Variable): string;
        slotOf(slot: string, variable: Variable): object | undefined;
        blocks: string[][];
        initial: object;
        running?: { initial: number };
        scalars(hyper: unknown, moment: unknown, arithmetic: unknown): Record<string, number>;
      };
      const variable = new Variable(new Float32Array(shape.reduce((a, b) => a * b)), { shape });
      const rule = open.ruleOf(variable);
      const info = addon.rules.find(({ name }) => name === rule);
      const slots = open.blocks.flat().filter((slot) => open.slotOf(slot, variable) !== undefined);
      // beside the slots of a directed rule there may be what its matrices need
      if (info?.directed) assert.includeMembers(slots, [...info.slots]);
      else assert.deepEqual(slots, info?.slots);
      assert.includeMembers(open.blocks.flat(), Object.keys(open.initial));
      const moment = { step: 3, learning_rate: 0.5, running: 0.25, rule };
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
  for (const [how, from] of [
    ['module', (names: string) => `import ${names} from 'keras-optimizers/callbacks';`],
    ['commonjs', (names: string) => `const ${names} = require('keras-optimizers/callbacks');`],
  ] as const)
    it(`has its callbacks under a path of their own, ${how}`, () => {
      const script = `${from('{ ReduceLROnPlateau, SwapEMAWeights }')} console.log(new ReduceLROnPlateau().patience, typeof SwapEMAWeights)`;
      const { stdout, stderr } = run(`--input-type=${how}`, '-e', script);
      assert.equal(stdout.trim(), '10 function', stderr);
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
      /ERR_ADDON_LOAD keras-optimizers found no addon: \S+missing\.node \(not there\): KERAS_OPTIMIZERS_ADDON expects/,
    );
  });
  it('has a build for the tests to read', () => {
    assert.isTrue(existsSync(objectOf('baseline')));
  });
});
