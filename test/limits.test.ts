// Nadam at the limits of its options, and the "Nadam" of simplified code, which is Adam.
import { assert } from 'chai';

import { Adam, Nadam, Variable, type Optimizer } from '../lib/index.ts';
import type { Dtype } from '../lib/native.ts';

/** Where a variable of one element, from 1, stands after each of these gradients. */
function walk(optimizer: Optimizer, gradients: readonly number[], dtype: Dtype = 'float64'): number[] {
  const variable = new Variable([1], { dtype });
  optimizer.build([variable]);
  return gradients.map((gradient) => {
    variable.gradient.fill(gradient);
    optimizer.apply();
    return variable.value[0] as number;
  });
}

/** The same for a step `(g, t) => lr m / ...` in plain JavaScript. */
function walkOf(step: (gradient: number, t: number) => number, gradients: readonly number[]): number[] {
  let position = 1;
  return gradients.map((gradient, i) => (position -= step(gradient, i + 1)));
}

/** Some roundings of float64 a step, magnified where a small gradient divides. */
function assertEqual(ours: readonly number[], expected: readonly number[]): void {
  assert.isAbove(expected.length, 0);
  expected.forEach((x, i) => assert.closeTo(ours[i] as number, x, 1e-14 * (i + 4), `after ${i + 1}`));
}

const apart = (a: readonly number[], b: readonly number[]): number =>
  Math.max(...a.map((x, i) => Math.abs(x - (b[i] as number))));

const gradients = Array.from({ length: 200 }, (_, t) => Math.sin(3 * t) + 0.25 + 2 ** -(t % 7));
const learning_rate = 0.01;
const momenta = [0, 0.004, 1, Infinity]; // momentum_decay

describe('Nadam', () => {
  it('with beta_1 = 0 is RMSprop with bias correction, at any momentum_decay', () => {
    let v = 0;
    const rmsprop = (g: number, t: number) => {
      v = 0.99 * v + 0.01 * g * g;
      return (learning_rate * g) / (Math.sqrt(v / (1 - 0.99 ** t)) + 1e-3);
    };
    const expected = walkOf(rmsprop, gradients);
    for (const momentum_decay of momenta)
      assertEqual(
        walk(new Nadam({ learning_rate, beta_1: 0, beta_2: 0.99, epsilon: 1e-3, momentum_decay }), gradients),
        expected,
      );
  });

  it('with beta_2 = 0 divides by the size of the last gradient; with beta_1 = 0 too, the sign is all that counts', () => {
    const signs = walkOf((g) => learning_rate * Math.sign(g), gradients);
    const options = { learning_rate, beta_2: 0, epsilon: 0 };
    assertEqual(walk(new Nadam({ ...options, beta_1: 0 }), gradients), signs);
    let [m, product] = [0, 1];
    const momentum = (t: number) => 0.9 * (1 - 0.5 * 0.96 ** t);
    const sized = (g: number, t: number) => {
      m = 0.9 * m + 0.1 * g;
      product *= momentum(t);
      const ahead = (momentum(t + 1) * m) / (1 - product * momentum(t + 1));
      return (learning_rate * (ahead + ((1 - momentum(t)) * g) / (1 - product))) / Math.abs(g);
    };
    assertEqual(walk(new Nadam(options), gradients), walkOf(sized, gradients));
  });

  it('goes on when the float32 product of its momenta has fallen to zero', () => {
    const many = Array.from({ length: 1000 }, (_, t) => gradients[t % gradients.length] as number);
    for (const momentum_decay of momenta) {
      const [early, late, exact] = [0, 0, 0].map(() => new Nadam({ learning_rate, momentum_decay })) as [
        Nadam,
        Nadam,
        Nadam,
      ];
      walk(early, many.slice(0, 899), 'float32');
      assert.equal(early.variables.at(-1)?.value[0], 0, 'the product');
      const [float32, float64] = [walk(late, many, 'float32'), walk(exact, many)];
      const travelled = Math.abs((float64[999] as number) - (float64[898] as number));
      assert.isAbove(travelled, 10 * learning_rate);
      assert.isBelow(apart(float32, float64), 1e-3 * travelled);
    }
  });
});

describe('the "Nadam" of simplified code, m / (1 - beta_1 ** t) without a step ahead', () => {
  const epsilon = 1e-4; // large, to see it
  function pattern(epsilon: number) {
    let [m, v] = [0, 0];
    return (g: number, t: number): number => {
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      return (learning_rate * (m / (1 - 0.9 ** t))) / (Math.sqrt(v / (1 - 0.999 ** t)) + epsilon);
    };
  }

  it('is our Adam but for where epsilon stands', () => {
    assertEqual(walk(new Adam({ learning_rate, epsilon: 0 }), gradients), walkOf(pattern(0), gradients));
    const beside = walkOf(pattern(epsilon), gradients);
    const difference = apart(walk(new Adam({ learning_rate, epsilon }), gradients), beside);
    assert.isAbove(difference, 1e-6);
    assert.isBelow(difference, 1e-3);
  });

  it('is none of our Nadams: their first steps are longer', () => {
    const first = (optimizer: Optimizer) => (1 - (walk(optimizer, [0.5])[0] as number)) / learning_rate;
    assert.closeTo((1 - (walkOf(pattern(0), [0.5])[0] as number)) / learning_rate, 1, 1e-12);
    const sizes = momenta.map((momentum_decay) => first(new Nadam({ learning_rate, momentum_decay, epsilon: 0 })));
    const expected = [1.0564, 1.0565, 1.0628, 1.4737]; // of the learning rate
    expected.forEach((size, i) => assert.closeTo(sizes[i] as number, size, 5e-5));
    for (const momentum_decay of momenta)
      assert.isAbove(
        apart(walk(new Nadam({ learning_rate, momentum_decay }), gradients), walkOf(pattern(0), gradients)),
        learning_rate / 20,
      );
  });
});
