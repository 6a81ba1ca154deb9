// Every rule, on every instruction set, as every dtype: the bits of the plain JavaScript oracle, at every boundary of
// length and alignment, on every kind of number, and not a word outside the arrays.
import { assert } from 'chai';

import { allocated } from '../lib/arrays.ts';
import { addon, newPlan, ruleNamed, useBackend, type Dtype, type Memory, type StorageName } from '../lib/native.ts';
import { thrown } from './errors.ts';
import {
  operations,
  oracleElement,
  oracleFactors,
  oracleRules,
  oracleSumOfSquares,
  type OracleFactor,
  type OracleFurther,
  type OraclePrelude,
} from './oracle.ts';
import { backends, random, wildNumber, words, type Random } from './random.ts';

const types = { float32: Float32Array, float64: Float64Array };
type FloatArray = Float32Array | Float64Array;

interface Setting {
  readonly rule: string;
  readonly dtype: Dtype;
  readonly length: number;
  readonly prelude: Omit<OraclePrelude, 'multiplier' | 'divisor'>;
  /** Elements between a 64-byte boundary and each array. */
  readonly offset: number;
  /** Of the variable as matrices; one row if it is not said. */
  readonly shape?: OracleFurther['shape'];
}

/** Lengths of what a rule keeps beside its streams. */
const extraLengths = ({ rule, length, shape: [batch, rows, columns] = [1, 1, length] }: Setting): number[] =>
  rule === 'adafactor_factored' ? [batch * rows, batch * columns, length] : [];

const guard = 1234.5;
const guards = 24; // elements before and after, more than the widest vector

/** An array at an offset in a larger one that is full of guard words. */
function guarded(dtype: Dtype, values: readonly number[], offset: number): { whole: FloatArray; array: FloatArray } {
  const whole = new types[dtype](guards + offset + values.length + guards).fill(guard);
  const array = whole.subarray(guards + offset, guards + offset + values.length);
  array.set(values);
  return { whole, array };
}

const scalarsOf = (dtype: Dtype, rule: string, next: Random): number[] =>
  ruleNamed(rule).info.scalars.map((name) =>
    name === 'ns_steps' ? 2 : (new types[dtype]([0.01 + 0.98 * next()])[0] as number),
  );

/** Library memory with numbers, and guard words after them. */
interface Kept {
  readonly memory: Memory;
  readonly array: FloatArray;
  readonly after: FloatArray;
}

function kept(dtype: Dtype, values: readonly number[]): Kept {
  const { memory, array } = allocated(dtype, values.length + guards);
  array.fill(guard).set(values);
  return { memory, array: array.subarray(0, values.length), after: array.subarray(values.length) };
}

/** Runs one pass whose arrays are all JavaScript's but for the extra ones, and returns the words of each afterwards. */
function run(
  backend: string,
  setting: Setting,
  values: readonly number[][],
  scalars: readonly number[],
  extraValues: readonly number[][] = [],
): string[][] {
  const before = useBackend(backend);
  const { rule, dtype, length, prelude, offset, shape = [1, 1, length] } = setting;
  const [direction, ...extra] = [values[0] as number[], ...extraValues].map((list) => kept(dtype, list));
  const arrays = values.map((list) => guarded(dtype, list, offset));
  const tensor = {
    variable: 0,
    length,
    decay: prelude.decay !== undefined,
    needs: null,
    sources: arrays.map((_, i) => i),
    ...(ruleNamed(rule).info.directed && {
      direction: (direction as Kept).memory,
      shape,
      extra: extra.map(({ memory }) => memory),
    }),
  };
  const memory = new addon.Memory(8 * addon.controlSize);
  const pass = { rule: ruleNamed(rule).id, dtype: dtype === 'float32' ? 0 : 1, tensors: [tensor] };
  const plan = newPlan([pass], 1, memory);
  useBackend(before);
  const fields = { active: 1, ...prelude, ...prelude.decay };
  const control = new Float64Array(memory.buffer());
  control.set(addon.controls.map((name) => (fields as unknown as Record<string, number>)[name] ?? 0));
  control.set(scalars, addon.controls.length);
  plan.run(arrays.map(({ array }) => array));
  for (const { whole } of arrays) {
    const outside = [...whole.slice(0, guards + offset), ...whole.slice(guards + offset + length)];
    assert.isTrue(
      outside.every((word) => word === guard),
      `${backend} wrote outside of an array`,
    );
  }
  for (const { after } of [direction as Kept, ...extra])
    assert.isTrue(
      after.every((word) => word === guard),
      `${backend} wrote behind an array`,
    );
  return [...arrays, ...extra].map(({ array }) => words(array));
}

const undecayed = (prelude: OraclePrelude): OraclePrelude => ({ ...prelude, decay: undefined });

/** Makes of a direction, in `p`, what the variable becomes. */
function descend(
  dtype: Dtype,
  p: FloatArray,
  given: readonly number[],
  { decay }: OraclePrelude,
  factorOf: OracleFactor,
  scalars: readonly number[],
  further: OracleFurther,
): void {
  const before = { unscale: 1, multiplier: 1, divisor: 1, limit: Infinity, decay };
  const decayed = given.map((x) => oracleElement(dtype, 'prepare', before, [x, 0], [])[0] as number);
  const squares = oracleSumOfSquares(dtype, types[dtype].from(decayed));
  const { direction = p, ...factor } = factorOf(
    operations[dtype],
    squares,
    oracleSumOfSquares(dtype, p),
    scalars,
    p.length,
    p,
    further,
  );
  direction.forEach((d, i) => {
    p[i] = oracleElement(dtype, 'descend', { ...before, ...factor }, [given[i] as number, d], [])[0] as number;
  });
}

function expected(
  { rule, dtype, prelude, length, shape = [1, 1, length] }: Setting,
  values: readonly number[][],
  scalars: readonly number[],
  extraValues: readonly number[][] = [],
): string[][] {
  const extra = extraValues.map((list) => new types[dtype](list));
  const arrays = values.map((list) => new types[dtype](list));
  const [p, g, ...slots] = arrays;
  const whole = { multiplier: 1, divisor: 1, ...prelude };
  const factorOf = oracleFactors[rule];
  const given = [...(p as FloatArray)];
  p?.forEach((_, i) => {
    const element = arrays.map((array) => array[i] as number);
    const [pNext, ...next] = oracleElement(dtype, rule, factorOf ? undecayed(whole) : whole, element, scalars);
    p[i] = pNext as number;
    slots.forEach((slot, s) => (slot[i] = next[s] as number));
  });
  if (factorOf) descend(dtype, p as FloatArray, given, whole, factorOf, scalars, { shape, extra });
  return [p, g, ...slots, ...extra].map((array) => words(array as FloatArray));
}

function check(setting: Setting, next: Random, number: (next: Random) => number): void {
  const { rule, dtype, length } = setting;
  const count = 2 + ruleNamed(rule).info.slots.length;
  const numbers = (size: number) => [...new types[dtype](size).map(() => number(next))];
  const values = Array.from({ length: count }, () => numbers(length));
  const scalars = scalarsOf(dtype, rule, next);
  const extra = extraLengths(setting).map(numbers);
  const oracle = expected(setting, values, scalars, extra);
  for (const backend of backends)
    assert.deepEqual(run(backend, setting, values, scalars, extra), oracle, `${backend} ${JSON.stringify(setting)}`);
}

const neutral = { unscale: 1, limit: Infinity };
const preludes: Readonly<Record<string, Setting['prelude']>> = {
  nothing: neutral,
  'weight decay': { ...neutral, decay: { weight_decay: 0.125, learning_rate: 0.0625 } },
  'loss scale and clipvalue': { unscale: 3, limit: 0.75 },
  'all of them': { unscale: 3, limit: 0.75, decay: { weight_decay: 0.125, learning_rate: 0.0625 } },
};
const widths = [4, 8, 16, 32, 64].flatMap((width) => [width - 1, width, width + 1]);
const rules = Object.keys(oracleRules);

describe('kernels', () => {
  it('are all covered by the oracle', () => {
    assert.sameMembers(
      rules,
      addon.rules.map(({ name }) => name),
    );
  });

  for (const dtype of ['float32', 'float64'] as const)
    for (const rule of rules)
      for (const [flags, prelude] of Object.entries(preludes))
        it(`${rule}, ${dtype}, with ${flags}: every backend has the oracle's bits`, () => {
          const next = random(`${rule}${dtype}${flags}`);
          for (const length of [0, 1, 2, 3, ...widths])
            check({ rule, dtype, length, prelude, offset: length % 5 }, next, (n) => 4 * n() - 2);
          check({ rule, dtype, length: 1111, prelude, offset: 3 }, next, wildNumber);
        });

  for (const dtype of ['float32', 'float64'] as const)
    it(`${dtype}: blocks and chunks join without a seam, at any alignment`, () => {
      const next = random(dtype);
      for (const length of [16383, 16384, 16385, 70_000])
        for (const rule of ['nadam', ...Object.keys(oracleFactors)])
          check({ rule, dtype, length, prelude: neutral, offset: length % 16 }, next, (n) => 4 * n() - 2);
      for (let offset = 0; offset < 16; offset++)
        check({ rule: 'adam', dtype, length: 77, prelude: neutral, offset }, next, (n) => 4 * n() - 2);
    });

  for (const dtype of ['float32', 'float64'] as const)
    it(`${dtype}: rows and columns are added in one order, in matrices of every form`, () => {
      const next = random(`matrices${dtype}`);
      const shapes: readonly OracleFurther['shape'][] = [
        ...[127, 128, 129, 16_385].flatMap((n) => [[1, 1, n] as const, [1, n, 1] as const]),
        ...[63, 64, 65].map((n) => [1, n, 128 - n] as const),
        [3, 129, 130],
        [2, 300, 7],
        [1, 700, 100],
        ...[0, 1, 2].map((empty) => [2, 3, 5].with(empty, 0) as unknown as OracleFurther['shape']),
      ];
      for (const shape of shapes) {
        const length = shape.reduce((a, b) => a * b, 1);
        const setting = { rule: 'adafactor_factored', dtype, length, prelude: neutral, offset: 3, shape } as const;
        check(setting, next, (n) => n() + 0.01);
        if (length < 5000) check(setting, next, wildNumber);
      }
    });

  for (const rule of ['nadam', 'lamb'])
    it(`repair what a quick division of ${rule} could not do, wherever it stands`, () => {
      const next = random('repair');
      for (const odd of [1e-35, -1e-38, 0, 3e38, Infinity, NaN])
        for (const place of [0, 15, 1023, 1024, 3000, 4999]) {
          const setting = { rule, dtype: 'float32', length: 5000, prelude: neutral, offset: 0 } as const;
          const values = [0, 1, 2, 3].map(() => Array.from({ length: 5000 }, () => Math.fround(next() + 0.1)));
          for (const list of values) list[place] = Math.fround(odd);
          const scalars = scalarsOf('float32', rule, next);
          const oracle = expected(setting, values, scalars);
          for (const backend of backends)
            assert.deepEqual(run(backend, setting, values, scalars), oracle, `${backend} ${odd} at ${place}`);
        }
    });

  it('refuse slots that are stored in different ways, or encoded in arrays that are brought', () => {
    const memory = new addon.Memory(8 * addon.controlSize);
    const [wide, narrow] = [() => new addon.Memory(4 * 64), () => new addon.Memory(2 * 64)];
    const plan = (sources: (Memory | number)[], storages: StorageName[]) => {
      const tensor = { variable: 0, length: 64, decay: false, needs: null, sources, storages };
      return thrown(() => newPlan([{ rule: ruleNamed('adam').id, dtype: 0, tensors: [tensor] }], 1, memory))?.code;
    };
    const [plain, half] = ['plain', 'bfloat16'] as const;
    assert.equal(plan([wide(), wide(), wide(), narrow()], [plain, plain, plain, half]), 'ERR_OPT_LENGTH');
    assert.equal(plan([wide(), wide(), narrow(), wide()], [plain, plain, half, plain]), 'ERR_OPT_LENGTH');
    assert.equal(plan([wide(), wide(), 0, narrow()], [plain, plain, half, half]), 'ERR_OPT_LENGTH');
    assert.equal(plan([narrow(), wide(), wide(), wide()], [half, plain, plain, plain]), 'ERR_OPT_LENGTH');
    assert.isUndefined(plan([wide(), wide(), narrow(), narrow()], [plain, plain, half, half]));
  });

  it('refuse arrays that overlap, are too short or of another dtype, before anything is written', () => {
    const memory = new addon.Memory(8 * addon.controlSize);
    new Float64Array(memory.buffer()).fill(1);
    const tensor = { variable: 0, length: 4, decay: false, needs: null, sources: [0, 1] };
    const plan = newPlan([{ rule: 0, dtype: 0, tensors: [tensor] }], 1, memory);
    const p = new Float32Array(8).fill(5);
    const bad: [string, (Float32Array | Float64Array | null)[]][] = [
      ['ERR_OPT_ALIAS', [p.subarray(0, 4), p.subarray(3, 7)]],
      ['ERR_OPT_LENGTH', [p.subarray(0, 4), new Float32Array(3)]],
      ['ERR_OPT_ARRAY_TYPE', [p.subarray(0, 4), new Float64Array(4)]],
      ['ERR_OPT_ARRAY_TYPE', [p.subarray(0, 4), new Int32Array(4) as never]],
      ['ERR_OPT_ARRAY_TYPE', [p.subarray(0, 4), null]],
      ['ERR_OPT_ARRAY_TYPE', [p.subarray(0, 4)]],
    ];
    for (const [code, arrays] of bad)
      assert.propertyVal(
        thrown(() => plan.run(arrays)),
        'code',
        code,
      );
    assert.isTrue(p.every((x) => x === 5));
  });
});
