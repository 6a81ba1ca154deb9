// Muon: which variables it takes, the step of a matrix, shapes and numbers at the limits, the same bits everywhere.
import { assert } from 'chai';

import { deserialize, ExponentialDecay, getNumThreads, Muon, setNumThreads, Variable } from '../lib/index.ts';
import { useBackend } from '../lib/native.ts';
import { bits, readGolden } from './golden.ts';
import { backends, random, reference, words } from './random.ts';

type FloatArray = Float32Array | Float64Array;
type Type = typeof Float32Array | typeof Float64Array;

const filled = (type: Type, length: number, seed: string): FloatArray => {
  const next = random(seed);
  return new type(length).map(() => 4 * next() - 2);
};

/** What a variable of zeros is after a step of rate 1 that does nothing but descend: the direction, negative. */
function direction(gradient: FloatArray, shape: readonly number[], options: object = {}): number[] {
  const variable = new Variable(new (gradient.constructor as Type)(gradient.length), { shape });
  const alone = { learning_rate: 1, weight_decay: null, momentum: 0, nesterov: false, rms_rate: null };
  new Muon({ ...alone, ...options }).apply([gradient], [variable]);
  return [...variable.value].map((x) => 0 - x);
}

describe('Muon', () => {
  it('takes matrices, but for embeddings and excluded layers, and leaves the rest to AdamW', () => {
    const shapes: [string, number[], string[]][] = [
      ['dense/kernel', [2, 3], ['momentum']],
      ['dense/bias', [3], ['momentum', 'velocity']],
      ['conv/kernel', [2, 2, 2], ['momentum', 'velocity']],
      ['token_Embedding/table', [4, 2], ['momentum', 'velocity']],
      ['output_3/kernel', [2, 2], ['momentum', 'velocity']],
      ['scale', [], ['momentum', 'velocity']],
    ];
    const variables = shapes.map(([name, shape]) => {
      return new Variable(new Float32Array(shape.reduce((a, b) => a * b, 1)), { name, shape });
    });
    const optimizer = new Muon({ name: 'muon', exclude_layers: ['output_\\d'] });
    optimizer.build(variables);
    const expected = shapes.flatMap(([name, , slots]) => slots.map((s) => `muon/${name.replaceAll('/', '_')}_${s}`));
    assert.deepEqual(
      optimizer.variables.slice(2).map(({ path }) => path),
      expected,
    );
  });

  it('takes embeddings where it is told to', () => {
    const optimizer = new Muon({ exclude_embeddings: false });
    optimizer.build([new Variable(new Float32Array(8), { name: 'embedding', shape: [4, 2] })]);
    assert.lengthOf(optimizer.variables, 3);
  });

  it("iterates to Keras's numbers", () => {
    interface Given {
      readonly function?: string;
      readonly initial: number[];
      readonly shape: number[];
      readonly result: number[];
    }
    const { singleSteps } = readGolden<{ singleSteps: Given[] }>('peer-tests');
    const given = singleSteps.find((c) => c.function === 'newtonSchulz5') as Given;
    const ours = direction(Float32Array.from(given.initial), given.shape);
    // 2^-20: float32 sums of 2 products, in another order, through 5 iterations that triple a difference at most
    ours.forEach((x, i) => assert.closeTo(x, given.result[i] as number, 2 ** -20));
  });

  it("steps as in Keras's own tests, a matrix and a list", () => {
    const options = { learning_rate: 0.5, epsilon: 1e-5, weight_decay: 0, adam_weight_decay: 0 };
    const step = (shape: number[]): number[] => {
      const variable = new Variable([1, 2, 3, 4], { shape });
      new Muon(options).apply([Float32Array.of(1, 6, 7, 2)], [variable]);
      return [...variable.value];
    };
    const expected = [0.988775, 1.887053, 2.873428, 3.97035]; // recorded by Keras with another product: it allows 0.01
    step([2, 2]).forEach((x, i) => assert.closeTo(x, expected[i] as number, 1e-2));
    step([4]).forEach((x, i) => assert.closeTo(x, [0.5, 1.5, 2.5, 3.5][i] as number, 2e-4)); // epsilon
  });

  it('makes all singular values lie near 1, of a matrix and its transpose alike', () => {
    const [rows, columns] = [7, 5];
    const g = filled(Float64Array, rows * columns, 'values');
    const turned = Float64Array.from(
      { length: rows * columns },
      (_, i) => g[(i % rows) * columns + Math.floor(i / rows)] as number,
    );
    const x = direction(g, [rows, columns]);
    const y = direction(turned, [columns, rows]);
    assert.deepEqual(
      y,
      Array.from(y, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)]),
    );
    const squares = x.reduce((sum, one) => sum + one * one, 0); // of the singular values
    assert.isAbove(squares, columns * 0.6 ** 2);
    assert.isBelow(squares, columns * 1.3 ** 2);
  });

  it('scales by the root of the longer side and the rms_rate, or not at all', () => {
    const g = filled(Float64Array, 8, 'scale');
    const plain = direction(g, [4, 2]);
    const scaled = direction(g, [4, 2], { rms_rate: 0.2 });
    scaled.forEach((x, i) => assert.closeTo(x, 0.4 * (plain[i] as number), 1e-15));
  });

  it('decays either half by its own rate, or not at all', () => {
    const stepped = (options: object): number[] => {
      const variables = [new Variable([2, 2], { shape: [1, 2] }), new Variable([2])];
      new Muon({ learning_rate: 1, ...options }).apply([new Float32Array(2), new Float32Array(1)], variables);
      return variables.map(({ value }) => value[0] as number);
    };
    assert.deepEqual(bits(stepped({ weight_decay: 0.01, adam_weight_decay: 0.25 })), bits([1.98, 1.5]));
    assert.deepEqual(stepped({ weight_decay: null, adam_weight_decay: null }), [2, 2]);
    assert.deepEqual(stepped({ weight_decay: null, adam_weight_decay: 0.25, adam_lr_ratio: 0.5 }), [2, 1.5]);
  });

  it('excludes variables from either decay', () => {
    const variables = [new Variable([2, 2], { shape: [1, 2], name: 'a' }), new Variable([2], { name: 'b' })];
    const optimizer = new Muon({ learning_rate: 1 });
    optimizer.exclude_from_weight_decay({ var_names: ['^[ab]$'] });
    optimizer.apply([new Float32Array(2), new Float32Array(1)], variables);
    assert.deepEqual(
      variables.flatMap(({ value }) => [...value]),
      [2, 2, 2],
    );
  });

  it('follows a schedule with float64 variables, where Keras fails', () => {
    const variable = new Variable(new Float64Array(4), { shape: [2, 2] });
    const schedule = new ExponentialDecay({ initial_learning_rate: 0.5, decay_steps: 1, decay_rate: 0.5 });
    const optimizer = new Muon({ learning_rate: schedule, weight_decay: null, momentum: 0 });
    const g = Float64Array.of(1, 0, 0, 1);
    const after = [1, 2].map(() => (optimizer.apply([g], [variable]), variable.value[0] as number));
    assert.closeTo((after[1] as number) - (after[0] as number), (after[0] as number) / 2, 1e-15);
  });

  for (const type of [Float32Array, Float64Array])
    it(`${type.name}: zeros give zeros, a NaN all NaN, and the size of a gradient does not matter`, () => {
      assert.deepEqual(direction(new type(6), [2, 3]), [0, 0, 0, 0, 0, 0]);
      for (const odd of [NaN, Infinity])
        assert.isTrue(direction(type.of(1, odd, 3, 4), [2, 2]).every(Number.isNaN), String(odd));
      const g = filled(type, 6, 'size');
      const expected = direction(g, [2, 3]);
      const [most, least] = type === Float32Array ? [2 ** 125, 2 ** -3] : [2 ** 500, 2 ** -3];
      // the 1e-7 beside the norm is no part of a power of 2: 1e-6 relative at a norm of 1/4
      for (const size of [most, least])
        direction(
          g.map((x) => x * size),
          [2, 3],
        ).forEach((x, i) => assert.closeTo(x, expected[i] as number, 2e-6));
      const tiny = direction(
        g.map((x) => x * 1e-30),
        [2, 3],
      );
      assert.isTrue(tiny.every((x) => Math.abs(x) < 1e-18));
    });

  it('takes matrices of one row, of one column and of nothing', () => {
    for (const shape of [
      [1, 700],
      [700, 1],
      [1, 1],
      [0, 5],
      [5, 0],
      [0, 0],
    ]) {
      const length = shape.reduce((a, b) => a * b);
      const x = direction(filled(Float64Array, length, 'row'), shape);
      const size = Math.sqrt(x.reduce((sum, one) => sum + one * one, 0));
      if (length > 0) assert.closeTo(size, 0.7, 0.5, String(shape)); // 5 iterations leave 0.7 to 1.2
      assert.lengthOf(x, length);
    }
  });

  it('has the same bits on every instruction set and number of threads, at once and asynchronously', async () => {
    const shapes = [[1, 1], [3, 1], [1, 50], [13, 11], [12, 16], [49, 129], [200, 130], [257, 300], [0, 3], [5]];
    const run = async (type: Type, threads: number, asynchronous: boolean) => {
      setNumThreads(threads);
      const variables = shapes.map((shape, i) => {
        const length = shape.reduce((a, b) => a * b);
        return new Variable(filled(type, length, `p${i}`), { shape });
      });
      const gradients = variables.map(({ value }, i) => filled(type, value.length, `g${i}`));
      const optimizer = new Muon({ learning_rate: 0.1, clipnorm: 1, use_ema: true });
      for (let step = 0; step < 2; step++)
        if (asynchronous) await optimizer.apply_async(gradients, variables);
        else optimizer.apply(gradients, variables);
      return [...variables, ...optimizer.variables.slice(2)].map(({ value }) => words(value));
    };
    const [threads, backend] = [getNumThreads(), useBackend(reference)];
    try {
      for (const type of [Float32Array, Float64Array] as const) {
        useBackend(reference);
        const expected = await run(type, 1, false);
        for (const set of backends) {
          useBackend(set);
          for (const count of [1, 2, 5])
            for (const asynchronous of [false, true])
              assert.deepEqual(await run(type, count, asynchronous), expected, `${set}, ${count} threads`);
        }
      }
    } finally {
      useBackend(backend);
      setNumThreads(threads);
    }
  });

  it('keeps its list of layers through a config, as strings of its own', () => {
    const layers = ['output'];
    const optimizer = new Muon({ exclude_layers: layers });
    layers.push('other');
    assert.deepEqual(optimizer.get_config().exclude_layers, ['output']);
    const config = { ...optimizer.get_config(), exclude_layers: null };
    assert.deepEqual((deserialize({ class_name: 'Muon', config }) as Muon).get_config().exclude_layers, []);
  });
});
