// The contract of tf.Optimizer, and what is true of the memory of each backend.
import type { Scalar } from '@tensorflow/tfjs';
import { assert } from 'chai';

import { ExponentialDecay, LossScaleOptimizer, Nadam, SGD, Variable, type Gradient } from '../lib/index.ts';
import { optimizers, type TfOptimizer } from '../lib/tfjs/index.ts';
import { bits } from './golden.ts';
import { backends, on, read, refused, step, tf, variable, type Tensor } from './tfjs.ts';

const own = optimizers(tf);
const { adam, nadam, sgd, momentum, wrap, tape } = own;

describe('optimizers(tf)', () => {
  it('gives the same classes for the same TensorFlow.js', () => assert.strictEqual(optimizers(tf), own));
  it('refuses anything else', () =>
    refused(() => optimizers({} as typeof tf), 'ERR_OPT_CONFIG_TYPE', /expects TensorFlow.js/));

  const calls: readonly (readonly [string, () => TfOptimizer, object])[] = [
    ['sgd', () => sgd(0.5), { learning_rate: 0.5, momentum: 0 }],
    ['momentum', () => momentum(0.5, 0.9, true), { learning_rate: 0.5, momentum: 0.9, nesterov: true }],
    [
      'rmsprop',
      () => own.rmsprop(0.5, 0.8, 0.7, 1e-3, true),
      { learning_rate: 0.5, rho: 0.8, momentum: 0.7, epsilon: 1e-3, centered: true },
    ],
    ['adagrad', () => own.adagrad(0.5, 0.2), { learning_rate: 0.5, initial_accumulator_value: 0.2 }],
    ['adadelta', () => own.adadelta(0.5, 0.8, 1e-3), { learning_rate: 0.5, rho: 0.8, epsilon: 1e-3 }],
    ['adam', () => adam(0.5, 0.8, 0.7, 1e-3), { learning_rate: 0.5, beta_1: 0.8, beta_2: 0.7, epsilon: 1e-3 }],
    ['adam with null for its epsilon', () => adam(0.5, 0.8, 0.7, null as never), { beta_2: 0.7, epsilon: 1e-7 }],
    ['adamW', () => own.adamW(0.5, 0.1), { learning_rate: 0.5, weight_decay: 0.1 }],
    ['adamax', () => own.adamax(0.5, 0.8, 0.7), { learning_rate: 0.5, beta_1: 0.8, beta_2: 0.7 }],
    ['nadam', () => nadam(0.5, 0.8), { learning_rate: 0.5, beta_1: 0.8 }],
    ['nadam without arguments', () => nadam(), { learning_rate: 0.001 }],
    ['ftrl', () => own.ftrl(0.5, -0.4), { learning_rate: 0.5, learning_rate_power: -0.4 }],
    ['lion', () => own.lion(0.5), { learning_rate: 0.5 }],
    ['lamb', () => own.lamb({ learning_rate: 0.5, clipnorm: 1 }), { learning_rate: 0.5, clipnorm: 1 }],
    ['adafactor', () => own.adafactor(0.5), { learning_rate: 0.5 }],
    ['muon', () => own.muon({ exclude_layers: ['out'] }), { exclude_layers: ['out'] }],
    ['scheduleFreeAdamW', () => own.scheduleFreeAdamW(0.5), { learning_rate: 0.5 }],
  ];
  for (const [name, make, expected] of calls)
    it(`${name} takes TensorFlow.js's order of arguments, or an object with Keras's names`, () => {
      const optimizer = make();
      const config = optimizer.keras.get_config();
      assert.deepEqual({ ...config, ...expected }, config);
      assert.isTrue(optimizer instanceof tf.Optimizer);
      optimizer.dispose();
    });

  it('refuses one argument too many, and unknown options', () => {
    refused(
      () => (sgd as (...args: unknown[]) => unknown)(0.1, 0.9),
      'ERR_OPT_CONFIG_TYPE',
      /sgd expects learning_rate, or/,
    );
    refused(() => adam({ beta1: 0.9 } as object), 'ERR_OPT_CONFIG_TYPE', /beta_1/);
  });
  it('wraps optimizers that are not built', () => {
    assert.instanceOf(wrap(new Nadam()), own.Nadam);
    const built = new SGD();
    built.build([new Variable([0])]);
    for (const bad of [built, {}, null]) refused(() => wrap(bad as SGD), 'ERR_OPT_CONFIG_TYPE', /not built/);
  });
});

for (const backend of backends)
  describe(`tf.Optimizer on ${backend}`, () => {
    on(backend);
    afterEach(() => tf.disposeVariables());

    it('minimizes, returns the cost and leaves no gradients', () => {
      const w = variable([3, -2]);
      const optimizer = adam(0.1);
      const before = tf.memory().numTensors;
      const loss = () => tf.sum<Scalar>(tf.square(w));
      const cost = optimizer.minimize(loss, true);
      assert.deepEqual(read(cost as Tensor), [13]);
      cost?.dispose();
      for (let i = 0; i < 300; i++) assert.isNull(optimizer.minimize(loss, false, [w]));
      const state = backend === 'elsewhere' ? ['momentum', 'velocity'] : []; // what lies in tensors
      assert.equal(tf.memory().numTensors, before + state.length);
      assert.equal(optimizer.iterations, 301);
      for (const x of read(w)) assert.closeTo(x, 0, 1e-3);
      optimizer.dispose();
    });

    it('takes gradients as a list and by name, with the same bits', () => {
      const run = (asList: boolean): number[] => {
        const names = ['a', 'b'];
        const variables = names.map((name, i) => variable([1, i], name));
        const optimizer = nadam(0.1);
        for (let t = 0; t < 3; t++) {
          const tensors = variables.map((_, i) => tf.tensor1d([t - 1, i]));
          const list = names.map((name, i) => ({ name, tensor: tensors[i] as (typeof tensors)[number] }));
          optimizer.applyGradients(asList ? list : Object.fromEntries(list.map(({ name, tensor }) => [name, tensor])));
          tf.dispose(tensors);
        }
        const values = variables.flatMap(read);
        optimizer.dispose();
        tf.dispose(variables);
        return values;
      };
      assert.deepEqual(run(true), run(false));
    });

    it('has a learning rate that can be read and set, and a schedule that goes on', () => {
      const w = variable([0], 'w');
      const [plain, scheduled] = [
        sgd(0.5),
        sgd({ learning_rate: new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 1, decay_rate: 0.5 }) }),
      ];
      plain.learningRate = 0.25;
      step(plain, { w: [1] });
      assert.deepEqual(read(w), [-0.25]);
      plain.setLearningRate(1);
      step(plain, { w: [1] });
      assert.deepEqual(read(w), [-1.25]);
      for (const rate of [1, 0.5, 0.25]) {
        assert.equal(scheduled.learningRate, rate);
        step(scheduled, { w: [1] });
      }
      assert.deepEqual(read(w), [-3]);
      for (const optimizer of [plain, scheduled]) optimizer.dispose();
    });

    it('counts a step that did not happen', async () => {
      const optimizer = adam(0.1);
      (optimizer as unknown as { incrementIterations(): void }).incrementIterations();
      assert.equal(optimizer.iterations, 1);
      const { name, tensor } = await optimizer.saveIterations();
      assert.deepEqual([name, tensor.dtype, ...read(tensor)], ['iter', 'int32', 1]);
      tensor.dispose();
      optimizer.dispose();
    });

    it('leaves variables without a gradient alone', () => {
      const [a, b] = [variable([1], 'a'), variable([1], 'b')];
      const optimizer = sgd(0.5);
      step(optimizer, { a: [1], b: null });
      step(optimizer, { b: [1] });
      assert.deepEqual([...read(a), ...read(b)], [0.5, 0.5]);
      optimizer.dispose();
    });

    it('sees values that are assigned between steps', () => {
      const w = variable([1, 1], 'w');
      const optimizer = momentum(0.5, 0.5);
      step(optimizer, { w: [1, 1] });
      tf.tidy(() => w.assign(tf.tensor1d([10, 20])));
      step(optimizer, { w: [1, 1] });
      assert.deepEqual(read(w), [9.25, 19.25]);
      optimizer.dispose();
    });

    it('does not touch what shares its memory: clones, reshapes, slices, the array it was made of, other variables', () => {
      const array = Float32Array.of(1, 2, 3, 4);
      const initial = tf.tensor1d(array);
      const [w, twin] = [tf.variable(initial, true, 'w'), tf.variable(initial, true, 'twin')];
      const optimizer = sgd(1);
      const kept: [Tensor, number[]][] = [];
      for (let t = 0; t < 3; t++) {
        const [values, slice] = [read(w), tf.slice(w, [1], [2])];
        kept.push([w.clone(), values], [tf.reshape(w, [2, 2]), values], [slice, values.slice(1, 3)]);
        kept.push(...tf.split(w, 2).map((half, i): [Tensor, number[]] => [half, values.slice(2 * i, 2 * i + 2)]));
        step(optimizer, { w: [1, 1, 1, 1] });
      }
      for (const [tensor, values] of kept) assert.deepEqual(read(tensor), values);
      assert.deepEqual([...array], [1, 2, 3, 4]);
      assert.deepEqual([...read(initial), ...read(twin)], [1, 2, 3, 4, 1, 2, 3, 4]);
      assert.deepEqual(read(w), [-2, -1, 0, 1]);
      optimizer.dispose();
      tf.dispose([initial, ...kept.map(([tensor]) => tensor)]);
    });

    it('takes a gradient that is a view of a variable', () => {
      const [w, part] = [variable([1, 2, 3, 4], 'w'), variable([0, 0], 'part')];
      const optimizer = sgd(1);
      for (let t = 0; t < 2; t++) {
        const [all, slice] = [tf.reshape(w, [4]), tf.slice(w, [1], [2])];
        optimizer.applyGradients({ w: all, part: slice });
        tf.dispose([all, slice]);
      }
      assert.deepEqual([...read(w), ...read(part)], [0, 0, 0, 0, -2, -3]);
      optimizer.dispose();
    });

    it('goes on with the others when a variable has been disposed of', () => {
      const [a, b] = [variable([3, 4], 'a'), variable([3], 'b')];
      const optimizer = momentum(1, 0.5);
      step(optimizer, { a: [1, 1], b: [1] });
      a.dispose();
      const { numTensors } = tf.memory();
      step(optimizer, { b: [1] });
      assert.deepEqual(read(b), [0.5]);
      assert.equal(tf.memory().numTensors, numTensors);
      refused(() => step(optimizer, { a: [1, 1] }), 'ERR_OPT_UNKNOWN_VARIABLE', /"a"/);
      optimizer.dispose();
    });

    it('lets two optimizers take turns on a variable', () => {
      const w = variable([8], 'w');
      const pair = [sgd(1), momentum(1, 0.5)];
      for (let t = 0; t < 4; t++) step(pair[t % 2] as TfOptimizer, { w: [1] });
      assert.deepEqual(read(w), [3.5]);
      for (const optimizer of pair) optimizer.dispose();
    });

    it('goes on with the same bits on another backend', async () => {
      const run = async (other: string): Promise<string[]> => {
        const w = variable([1, 2, 3], 'w');
        const optimizer = adam({ learning_rate: 0.1, use_ema: true, ema_overwrite_frequency: 3 });
        for (let t = 0; t < 8; t++) {
          await tf.setBackend(t % 4 < 2 ? backend : other);
          step(optimizer, { w: [t, 1, -t] });
        }
        const values = bits(read(w));
        optimizer.dispose();
        w.dispose();
        await tf.setBackend(backend);
        return values;
      };
      assert.deepEqual(await run(backend === 'cpu' ? 'wasm' : 'cpu'), await run(backend));
    });

    it('steps where the variables are wanted now, and leaves clones alone there', async () => {
      const w = variable([1, 2], 'w');
      const optimizer = sgd(1);
      const kept: [Tensor, number[]][] = [];
      const others = ['wasm', 'elsewhere', 'cpu'].filter((name) => name !== backend).slice(0, 2); // tfjs-node shares arrays with cpu
      for (const name of [backend, ...others, backend]) {
        await tf.setBackend(name);
        for (let t = 0; t < 2; t++) {
          kept.push([w.clone(), read(w)]);
          tf.dispose(tf.neg(w)); // takes the values to the backend
          step(optimizer, { w: [1, 1] });
        }
      }
      assert.deepEqual(read(w), [-7, -6]);
      for (const [tensor, values] of kept) assert.deepEqual(read(tensor), values);
      optimizer.dispose();
      tf.dispose(kept.map(([tensor]) => tensor));
    });

    it('keeps the values when it is gone, and its memory as long as they are used', async () => {
      const w = variable(
        Array.from({ length: 100_000 }, (_, i) => i),
        'w',
      );
      const train = (): void => {
        const optimizer = sgd(1);
        step(optimizer, { w: Array.from({ length: 100_000 }, () => 1) });
        optimizer.dispose();
      };
      train();
      for (let i = 0; i < 3; i++) {
        globalThis.gc?.();
        await new Promise(setImmediate);
      }
      assert.deepEqual(
        read(w),
        Array.from({ length: 100_000 }, (_, i) => i - 1),
      );
    });

    it('gives and takes its state, by position, before and after the first step', async () => {
      const run = async (change: (t: number, optimizer: TfOptimizer) => Promise<TfOptimizer>): Promise<string[]> => {
        const [a, b] = [variable([1, 2], 'a'), variable([3], 'b')];
        let optimizer: TfOptimizer = nadam({ learning_rate: 0.1, gradient_accumulation_steps: 2, use_ema: true });
        for (let t = 0; t < 7; t++) {
          optimizer = await change(t, optimizer);
          step(optimizer, { a: [t, 1], b: [-1] });
        }
        optimizer.finalizeVariableValues();
        const values = bits([...read(a), ...read(b), optimizer.iterations]);
        optimizer.dispose();
        tf.dispose([a, b]);
        return values;
      };
      const straight = await run((_, optimizer) => Promise.resolve(optimizer));
      const anew = await run(async (t, optimizer) => {
        if (t !== 3) return optimizer;
        const again = new own.Nadam(optimizer.keras.get_config());
        const weights = await optimizer.getWeights();
        assert.deepEqual(
          weights.map(({ tensor: { shape, dtype } }) => `${dtype} ${shape.join()}`),
          [
            'int32 ',
            'float32 2',
            'float32 1',
            'float32 2',
            'float32 1',
            'float32 2',
            'float32 2',
            'float32 1',
            'float32 1',
            'float32 ',
          ],
        );
        assert.equal(weights[0]?.name, 'iter');
        const renamed = weights.map(({ tensor }, i) => ({ name: `other${i}`, tensor: tensor.clone() }));
        await again.setWeights(renamed);
        tf.dispose(renamed.map(({ tensor }) => tensor));
        assert.equal(again.iterations, 3);
        const waiting = await again.getWeights();
        assert.deepEqual(
          waiting.map(({ tensor }) => read(tensor)),
          weights.map(({ tensor }) => read(tensor)),
        );
        optimizer.dispose();
        return again;
      });
      assert.deepEqual(anew, straight);
    });

    it('takes back an earlier state', async () => {
      const w = variable([1, 2], 'w');
      const optimizer = nadam(0.1);
      for (const g of [1, -1]) step(optimizer, { w: [g, 3] });
      const weights = (await optimizer.getWeights()).map(({ name, tensor }) => ({ name, tensor: tensor.clone() }));
      const [values, state] = [tf.tensor(read(w)), weights.map(({ tensor }) => bits(read(tensor)))];
      const after = [0, 1].map(() => {
        step(optimizer, { w: [5, 5] });
        return bits(read(w));
      });
      await optimizer.setWeights(weights);
      w.assign(values as typeof w);
      assert.equal(optimizer.iterations, 2);
      assert.deepEqual(
        (await optimizer.getWeights()).map(({ tensor }) => bits(read(tensor))),
        state,
      );
      step(optimizer, { w: [5, 5] });
      assert.deepEqual(bits(read(w)), after[0]);
      optimizer.dispose();
      tf.dispose([values, ...weights.map(({ tensor }) => tensor)]);
    });

    it('refuses a state that does not fit, at once or at every step', async () => {
      const w = variable([1, 2], 'w');
      const [three, two] = [tf.tensor1d([1, 2, 3]), tf.tensor1d([1, 2])];
      const [iter, negative] = [tf.scalar(4, 'int32'), tf.scalar(-1, 'int32')];
      const named = (...tensors: Tensor[]) => tensors.map((tensor, i) => ({ name: `${i}`, tensor }));
      const optimizer = adam(0.1);
      await optimizer.setWeights(named(iter, three));
      for (let i = 0; i < 2; i++)
        refused(() => step(optimizer, { w: [1, 1] }), 'ERR_OPT_LENGTH', /2 tensors after iter, got 1/);
      await optimizer.setWeights(named(iter, two, two));
      step(optimizer, { w: [1, 1] });
      const values = bits([...read(w), optimizer.iterations]);
      const bad: [Tensor[], string][] = [
        [[iter, three, three], 'ERR_OPT_LENGTH'],
        [[iter, three], 'ERR_OPT_LENGTH'],
        [[negative], 'ERR_OPT_CONFIG_RANGE'],
        [[], 'ERR_OPT_CONFIG_RANGE'],
      ];
      for (const [weights, code] of bad) {
        const error: unknown = await optimizer.setWeights(named(...weights)).catch((e: unknown) => e);
        assert.propertyVal(error, 'code', code);
      }
      assert.deepEqual(bits([...read(w), optimizer.iterations]), values);
      optimizer.dispose();
      tf.dispose([three, two, iter, negative]);
    });

    it('refuses what does not fit, and changes nothing', () => {
      const [w, whole] = [variable([1, 2], 'w'), tf.tidy(() => tf.variable(tf.tensor1d([1], 'int32'), true, 'whole'))];
      const optimizer = adam(0.1);
      refused(() => step(optimizer, { none: [1] }), 'ERR_OPT_UNKNOWN_VARIABLE', /that TensorFlow.js has, got "none"/);
      refused(() => step(optimizer, { whole: [1] }), 'ERR_OPT_ARRAY_TYPE', /"whole" is int32/);
      step(optimizer, { w: [1, 1] });
      variable([1], 'late');
      const values = read(w);
      refused(
        () => step(optimizer, { w: [1, 1], late: [1] }),
        'ERR_OPT_UNKNOWN_VARIABLE',
        /first step \(w\), got "late"/,
      );
      refused(() => step(optimizer, { w: [1] }), 'ERR_OPT_LENGTH', /gradient of "w" to be of shape \[2\], got \[1\]/);
      refused(() => step(optimizer, { w: null }), 'ERR_OPT_NO_GRADIENT', /at least one/);
      refused(() => optimizer.swapEmaWeights(), 'ERR_OPT_CONFIG_RANGE', /use_ema/);
      const counts = tf.tidy(() => tf.tensor1d([1, 2], 'int32'));
      refused(() => optimizer.applyGradients({ w: counts }), 'ERR_OPT_ARRAY_TYPE', /that of "w" is int32/);
      const gone = tf.tensor1d([1, 2]);
      gone.dispose();
      refused(() => optimizer.applyGradients({ w: gone }), 'ERR_OPT_DISPOSED', /that of "w" has been disposed of/);
      for (const bad of [null, undefined, 3])
        refused(() => optimizer.applyGradients(bad as never), 'ERR_OPT_ARRAY_TYPE', /by the names .*, got/);
      refused(() => optimizer.applyGradients([null] as never), 'ERR_OPT_UNKNOWN_VARIABLE', /got "undefined"/);
      assert.deepEqual(read(w), values);
      assert.equal(optimizer.iterations, 1);
      w.dispose();
      variable([5, 5], 'w');
      refused(() => step(optimizer, { w: [1, 1] }), 'ERR_OPT_UNKNOWN_VARIABLE', /first step/);
      optimizer.dispose();
      refused(() => step(optimizer, { late: [1] }), 'ERR_OPT_UNKNOWN_VARIABLE', /first step/);
      tf.dispose([whole, counts]);
    });

    it('decides its variables by build, where the first step has not all of them', () => {
      const [a, b] = [variable([0], 'a'), variable([0], 'b')];
      const optimizer = sgd(1);
      optimizer.build([a, b]);
      step(optimizer, { b: [1] });
      step(optimizer, { a: [2] });
      assert.deepEqual([...read(a), ...read(b)], [-2, -1]);
      optimizer.dispose();
    });

    it('differentiates the scaled loss and gives the loss as it is', () => {
      const w = variable([3], 'w');
      const loss = () => tf.sum<Scalar>(tf.mul(w, w));
      for (const [optimizer, scale] of [
        [sgd({ learning_rate: 0.5, loss_scale_factor: 8 }), 8],
        [wrap(new LossScaleOptimizer({ inner_optimizer: new SGD({ learning_rate: 0.5 }), initial_scale: 4 })), 4],
      ] as const) {
        tf.tidy(() => w.assign(tf.tensor1d([3])));
        const { value, grads } = optimizer.computeGradients(loss);
        assert.deepEqual([...read(value), ...read(grads.w as Tensor)], [9, 6 * scale]);
        optimizer.applyGradients(grads);
        assert.deepEqual(read(w), [0]);
        optimizer.dispose();
        tf.dispose([value, ...Object.values(grads)]);
      }
    });

    it('goes on with the scale of a state that waits for the variables, whether they are named or not', async () => {
      const w = variable([3], 'w');
      const make = () =>
        wrap(
          new LossScaleOptimizer({
            inner_optimizer: new SGD({ learning_rate: 0.125 }),
            initial_scale: 4,
            dynamic_growth_steps: 1,
          }),
        );
      const loss = () => tf.sum<Scalar>(tf.mul(w, w));
      for (const list of [[w], undefined]) {
        tf.tidy(() => w.assign(tf.tensor1d([4])));
        const [optimizer, again] = [make(), make()];
        optimizer.minimize(loss, false, list);
        assert.deepEqual([...read(w), optimizer.iterations, optimizer.keras.dynamic_scale], [3, 1, 8]);
        await again.setWeights(await optimizer.getWeights());
        again.minimize(loss, false, list);
        assert.deepEqual([...read(w), again.iterations, again.keras.dynamic_scale], [2.25, 2, 16]);
        for (const one of [optimizer, again]) one.dispose();
      }
    });

    it('skips a step whose gradients are not finite, with a dynamic loss scale', () => {
      const w = variable([3], 'w');
      const optimizer = wrap(
        new LossScaleOptimizer({ inner_optimizer: new SGD({ learning_rate: 1 }), initial_scale: 4 }),
      );
      step(optimizer, { w: [Infinity] });
      assert.deepEqual([...read(w), optimizer.keras.dynamic_scale], [3, 2]);
      step(optimizer, { w: [2] });
      assert.deepEqual(read(w), [2]);
      optimizer.dispose();
    });

    it('shows what an asynchronous part has written', async () => {
      const w = variable([0], 'w');
      const optimizer = sgd({ learning_rate: 1, use_ema: true, ema_momentum: 0.5 });
      step(optimizer, { w: [-1] });
      step(optimizer, { w: [-1] });
      const part = async () => {
        await new Promise(setImmediate);
        optimizer.keras.swap_ema_weights();
        return 3;
      };
      assert.equal(await optimizer.during(part), 3);
      assert.deepEqual(read(w), [1.5]);
      optimizer.dispose();
    });

    it('swaps variables and averages, and leaves the averages at the end', () => {
      const w = variable([0], 'w');
      const optimizer = sgd({ learning_rate: 1, use_ema: true, ema_momentum: 0.5 });
      for (let t = 0; t < 2; t++) step(optimizer, { w: [-1] });
      const seen = [read(w)];
      for (let i = 0; i < 2; i++) {
        optimizer.swapEmaWeights();
        seen.push(read(w));
      }
      optimizer.finalizeVariableValues();
      assert.deepEqual([...seen, read(w)], [[2], [1.5], [2], [1.5]]);
      optimizer.dispose();
    });

    it('is a tape for float64, whose gradients it computes in float32', () => {
      const [w, plain] = [new Variable([3, -2], { dtype: 'float64' }), Float64Array.of(1)];
      const optimizer = new SGD({ learning_rate: 0.5 });
      optimizer.minimize((v, p) => tf.sum<Scalar>(tf.add(tf.square(v), p)), [w, plain], tape);
      assert.deepEqual([...w.value, ...plain], [0, 0, 0]);
      optimizer.dispose();
    });

    it('is a tape for optimizers on their own variables', () => {
      const before = tf.memory().numTensors;
      const [w, b, unused] = [new Variable([1, 2, 3, 4], { shape: [2, 2] }), Float32Array.of(1, 1), new Variable([7])];
      const x = tf.tensor2d([[1, 2]]);
      const optimizer = new SGD({ learning_rate: 1 });
      const loss = (w: Tensor, b: Tensor) => tf.sum<Scalar>(tf.square(tf.add(tf.matMul(x, w), b)));
      optimizer.minimize(loss, [w, b, unused], tape);
      // x w + b = [8, 11], so that the gradient of b is [16, 22], that of w the rows of it times 1 and 2
      assert.deepEqual([[...w.value], [...b], [...unused.value]], [[-15, -20, -29, -40], [-15, -21], [7]]);
      x.dispose();
      assert.equal(tf.memory().numTensors, before);
      refused(() => optimizer.minimize(3 as never, [w], tape), 'ERR_OPT_CONFIG_TYPE', /function of tensors/);
      const gradients: readonly Gradient[] = tape.gradient((v) => tf.sum<Scalar>(v), [w]);
      assert.deepEqual([...(gradients[0] as Float32Array)], [1, 1, 1, 1]);
    });

    it('leaves no tensor in 10,000 steps, and none at its end', async () => {
      const before = tf.memory().numTensors;
      const [w, b] = [variable([1, 2, 3], 'w'), variable([1], 'b')];
      const optimizer = nadam({ learning_rate: 1e-3, clipnorm: 1, use_ema: true, gradient_accumulation_steps: 2 });
      const loss = () => tf.sum<Scalar>(tf.square(tf.add(w, b)));
      for (let t = 0; t < 2; t++) optimizer.minimize(loss); // the first update needs its state
      const { numTensors, numBytes, numDataBuffers } = tf.memory();
      for (let t = 0; t < 10_000; t++) {
        optimizer.minimize(loss);
        if (t % 1000 === 0) tf.dispose(w.clone());
      }
      const kept = tf.memory();
      assert.deepEqual([kept.numTensors, kept.numBytes, kept.numDataBuffers], [numTensors, numBytes, numDataBuffers]);
      for (let i = 0; i < 3; i++) await optimizer.getWeights();
      optimizer.dispose();
      tf.dispose([w, b]);
      assert.equal(tf.memory().numTensors, before);
    });
  });
