// Rules that look at the whole of a variable: their steps follow from all of its elements, and from nothing else.
import { assert } from 'chai';

import { Adafactor, Lamb, memory, Variable, type FloatArray, type Optimizer } from '../lib/index.ts';
import { addon, newPlan, ruleNamed, type Memory, type TensorSpec } from '../lib/native.ts';
import { thrown } from './errors.ts';
import { classes, flags, variants, type OptimizerClass } from './optimizers.ts';
import { random, words } from './random.ts';
import { settle } from './settle.ts';

const isDirected = (rule: unknown): boolean => typeof rule === 'string' && ruleNamed(rule).info.directed;
const ruleOf = (optimizer: Optimizer): unknown => (optimizer as unknown as { readonly rule: unknown }).rule;
const directed = classes.filter((cls) => isDirected(ruleOf(new cls())));

/** An heir that adds nothing. */
const heirOf = (cls: OptimizerClass): OptimizerClass =>
  class Heir extends cls {
    static override readonly className = 'Heir';
    override update_step(gradient: FloatArray, variable: Variable, rate: number): void {
      super.update_step(gradient, variable, rate);
    }
  };

// at the boundaries of lanes, blocks and chunks, and matrices of every form
const shapes = [
  ...[0, 1, 127, 128, 129, 16_383, 16_384, 16_385, 32_769, 70_000].map((n) => [n]),
  ...[[], [1, 129], [129, 1], [3, 129], [257, 65], [2, 3, 5], [3, 0]],
];
const types = { float32: Float32Array, float64: Float64Array };
type Dtype = keyof typeof types;
const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);
const numbersOf = (seed: string, length: number, dtype: Dtype): FloatArray => {
  const next = random(seed);
  return new types[dtype](length).map(() => next() - 0.5);
};

/** Words of variables of these shapes, by place, and of their state, after some steps together. */
function trained(optimizer: Optimizer, places: readonly number[], dtype: Dtype): string[][] {
  const named = (place: number) => ({ place, shape: shapes[place] as readonly number[] });
  const list = places.map(named).map(({ place, shape }) => ({ place, shape, length: sizeOf(shape) }));
  const variables = list.map(
    ({ place, shape, length }) => new Variable(numbersOf(`p${place}`, length, dtype), { shape, name: `v${place}` }),
  );
  for (let t = 0; t < 3; t++)
    optimizer.apply(
      list.map(({ place, length }) => numbersOf(`g${place} ${t}`, length, dtype)),
      variables,
    );
  return places.map((place, i) => {
    const state = optimizer.variables.filter(({ path }) => new RegExp(`/v${place}(_|$)`).test(path));
    return [variables[i] as Variable, ...state].flatMap(({ value }) => words(value));
  });
}

describe('rules that look at a whole variable', () => {
  it('are those of the classes that are tested here', () => {
    const rules = addon.rules.filter((rule) => rule.directed);
    assert.isAtLeast(directed.length, 1);
    assert.isAtLeast(rules.length, directed.length);
  });

  for (const cls of directed) {
    const name = cls.className;
    const options = (variants[name] ?? []).map((variant) => ({ ...variant, weight_decay: 0.1 }));
    for (const dtype of ['float32', 'float64'] as const)
      it(`${name}, ${dtype}: a variable's step depends on no other variable`, () => {
        const places = shapes.map((_, i) => i);
        for (const one of options) {
          const together = trained(new cls(one), places, dtype);
          for (const place of places)
            assert.deepEqual(trained(new cls(one), [place], dtype)[0], together[place], `variable ${place}`);
        }
      });

    it(`${name}: super.update_step of an heir is the step of the class, with every flag`, () => {
      const some = shapes.flatMap((shape, i) => (sizeOf(shape) < 1000 ? [i] : []));
      for (const flag of flags)
        for (const variant of options) {
          const all = { ...variant, ...flag };
          const expected = trained(new cls(all), some, 'float32');
          assert.deepEqual(trained(new (heirOf(cls))(all), some, 'float32'), expected, JSON.stringify(all));
        }
    });

    it(`${name}: plain arrays are trained as variables are`, () => {
      const length = 40_000;
      const array = numbersOf('p', length, 'float32');
      const variable = new Variable(array as Float32Array<ArrayBuffer>);
      for (const trainable of [array, variable]) {
        const optimizer = new cls({ weight_decay: 0.1, global_clipnorm: 1 });
        for (let t = 0; t < 3; t++) optimizer.apply([numbersOf(`g${t}`, length, 'float32')], [trainable]);
      }
      assert.deepEqual(words(array), words(variable.value));
    });

    it(`${name}: a variable without a gradient stays as it is, and so does its state`, () => {
      const optimizer = new cls({ weight_decay: 0.1 });
      const variables = [1, 2].map((i) => new Variable(numbersOf(`p${i}`, 200, 'float32'), { name: `v${i}` }));
      const gradient = numbersOf('g', 200, 'float32');
      optimizer.apply([gradient, gradient], variables);
      const ofSecond = () =>
        [variables[1] as Variable, ...optimizer.variables.filter(({ path }) => path.includes('v2'))].flatMap(
          ({ value }) => words(value),
        );
      const [before, first] = [ofSecond(), words((variables[0] as Variable).value)];
      optimizer.apply([gradient, null], variables);
      assert.deepEqual(ofSecond(), before);
      assert.notDeepEqual(words((variables[0] as Variable).value), first);
    });

    it(`${name} keeps a direction beside its state, and gives all of it back`, async () => {
      await settle();
      const length = 2 ** 18;
      const variable = new Variable(new Float32Array(length), { shape: [512, 512] });
      const before = memory().cpu;
      const optimizer = new cls();
      optimizer.build([variable]);
      const state = optimizer.variables.slice(2).reduce((sum, { value }) => sum + value.byteLength, 0);
      assert.equal(memory().cpu - before, state + 4 * length);
      optimizer.dispose();
      await settle();
      assert.equal(memory().cpu, before);
    });
  }
});

describe('the plan of a directed rule', () => {
  const [bytes, length] = [4 * 64, 64];
  const make = () => new addon.Memory(bytes);
  const plan = (further: Partial<TensorSpec>) => {
    const { id, info } = ruleNamed('lamb');
    const sources = [0, 1, ...info.slots.map(make)];
    const tensor = { variable: 0, length, decay: false, needs: null, sources, ...further };
    const control = new addon.Memory(8 * addon.controlSize);
    return thrown(() => newPlan([{ rule: id, dtype: 0, tensors: [tensor] }], 1, control));
  };
  const whole = { direction: make(), shape: [1, 1, length], extra: [] };

  it('is refused without room for the direction, or with a shape of another size', () => {
    assert.isUndefined(plan(whole));
    assert.isUndefined(plan({ ...whole, shape: [2, 4, 8] }));
    const bad: Partial<TensorSpec>[] = [
      { ...whole, direction: new addon.Memory(bytes - 4) },
      { ...whole, shape: [1, 1, length + 1] },
      { ...whole, shape: [2 ** 30, 2 ** 30, 2 ** 10] },
      { ...whole, shape: [1, 1, -1] },
      { ...whole, shape: [1, length] },
      { ...whole, direction: {} as Memory },
      {},
    ];
    for (const further of bad) assert.instanceOf(plan(further), Error, JSON.stringify(further));
  });
});

describe('Lamb', () => {
  const norm = (list: Iterable<number>) => Math.hypot(...list);
  const near = (list: Iterable<number>, expected: readonly number[]) =>
    [...list].forEach((x, i) => assert.closeTo(x, expected[i] as number, 1e-14));

  it('takes a step of the length of the variable times the rate, whatever the length of the gradient', () => {
    for (const scale of [1e-3, 1, 1e4]) {
      const variable = new Variable(numbersOf('p', 1000, 'float64'));
      const before = [...variable.value];
      new Lamb({ learning_rate: 0.01, epsilon: 0 }).apply(
        [numbersOf('g', 1000, 'float64').map((x) => scale * x)],
        [variable],
      );
      const step = before.map((x, i) => x - (variable.value[i] as number));
      assert.closeTo(norm(step), 0.01 * norm(before), 1e-12);
    }
  });

  it("takes Adam's own step from zeros, and none for a gradient of zeros", () => {
    const variable = new Variable(new Float64Array(2));
    new Lamb({ learning_rate: 0.5, epsilon: 0 }).apply([[2, -3]], [variable]);
    near(variable.value, [-0.5, 0.5]);
    const zero = new Variable([3, 4]);
    new Lamb({ learning_rate: 0.5 }).apply([[0, 0]], [zero]);
    assert.deepEqual([...zero.value], [3, 4]);
  });

  it('lets NaN and Infinity spoil their own elements alone, as Keras does', () => {
    for (const bad of [NaN, Infinity]) {
      const variable = new Variable(Float64Array.of(3, 4, 5));
      new Lamb({ learning_rate: 0.5, epsilon: 0 }).apply([[1, bad, 1]], [variable]);
      const [first, second, third] = variable.value;
      assert.isNaN(second);
      near([first as number, third as number], [2.5, 4.5]);
    }
  });
});

describe('Adafactor', () => {
  for (const dtype of ['float32', 'float64'] as const)
    it(`stays finite where neither a row nor a column has a gradient: ${dtype}`, () => {
      const kernel = new Variable(Array<number>(6).fill(0.5), { shape: [2, 3], dtype });
      const optimizer = new Adafactor({ learning_rate: 0.1 });
      for (let t = 0; t < 3; t++) optimizer.apply([types[dtype].of(0.001, 0.002, 0, 0, 0, 0)], [kernel]);
      const [a, b, ...untouched] = kernel.value;
      assert.isTrue([a, b].every((x) => (x as number) < 0.5));
      assert.deepEqual(untouched, [0.5, 0.5, 0.5, 0.5]);
    });
});
