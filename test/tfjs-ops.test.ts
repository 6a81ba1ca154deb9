// Steps that are composed of TensorFlow.js's operations, as for WebGL and WebGPU, on the backends that run here: Keras's own numbers,
// the native step's on the same gradients, what is refused, and that nothing leaks. Over 200 lines: one hazard after the other.
import '@tensorflow/tfjs-backend-cpu';
import '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { assert } from 'chai';

import {
  Adam,
  AdamW,
  deserialize,
  IndexedSlices,
  LossScaleOptimizer,
  MultiOptimizer,
  Muon,
  Nadam,
  Optimizer,
  SGD,
  Variable,
  type Gradient,
} from '../lib/index.ts';
import { TensorSpace } from '../lib/tfjs/space.ts';
import { rejection, thrown } from './errors.ts';
import {
  bits,
  distance,
  numbers,
  readGolden,
  replayCase,
  ulp32,
  type Case,
  type GoldenFile,
  type Problem,
} from './golden.ts';
import { merged } from './merged.ts';
import { classes, flags, variants } from './optimizers.ts';
import { isInexact, tolerance } from './promise.ts';
import { random } from './random.ts';
import { inTensors, space, valuesOf } from './spaces.ts';

const on = (backend: string) => async (): Promise<void> => {
  await tf.setBackend(backend);
  await tf.ready();
};

/** ScheduleFreeAdamW is as it is meant: test/golden/README.md. */
const files = classes
  .map(({ className }) => className.toLowerCase())
  .map((name) => (name === 'schedulefreeadamw' ? `${name}-meant` : name));

/**
 * Every operation of TensorFlow.js rounds to float32 once, as a kernel does, so what is promised to the bit of the native step holds
 * here as well. Sums over a variable, powers and products of matrices have an order and a precision of their own: for them, and what
 * follows from them, the tolerance of the goldens.
 */
function checkGolden(file: GoldenFile, c: Case): void {
  const problem = file.problems[c.problem] as Problem;
  const setting = inTensors();
  const { params, optimizer, variables } = replayCase(file, c, 'float32', merged, setting);
  c.float32.at.forEach((t, k) =>
    problem.variables.forEach(({ name, initial }, v) => {
      const [ours, keras] = [params[k]?.[v] as number[], numbers(c.float32.params[k]?.[v] ?? [])];
      const who = `${name} after ${t}`;
      if (!isInexact(c)) return assert.deepEqual(bits(ours), bits(keras), who);
      const travelled = distance(keras, initial);
      const truth = numbers(c.exact64?.params[c.exact64.at.indexOf(t)]?.[v] ?? c.float32.params[k]?.[v] ?? []);
      ours.forEach((x, i) => {
        const expected = keras[i] as number;
        const bound = Math.abs(expected - (truth[i] as number)) + tolerance(expected, travelled, t);
        assert.isAtMost(Math.abs(x - expected), bound, `${who}: ${i}`);
      });
    }),
  );
  const state = optimizer.variables.filter(({ dtype }) => dtype === 'float32');
  if (!isInexact(c)) {
    const expected = (c.float32.variables ?? []).filter(({ dtype }) => dtype === 'float32');
    state.forEach((one, i) => assert.deepEqual(bits(valuesOf(one)), bits(numbers(expected[i]?.value ?? [])), one.path));
    if (c.finalize === true) {
      optimizer.finalize_variable_values(variables);
      variables.forEach((v, i) => {
        assert.deepEqual(bits(valuesOf(v)), bits(numbers(c.float32.finalized?.[i] ?? [])));
      });
    }
  }
  optimizer.dispose();
  setting.dispose();
}

const shapes = [[4, 3], [5], [2, 3, 4], [], [3, 4], [0], [1, 7]] as const;
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);
const problemOf = (number: () => number, list: readonly (readonly number[])[] = shapes): Problem => ({
  variables: list.map((shape, i) => ({ name: `v${i}`, shape, initial: numbersOf(number, sizeOf(shape)) })),
  steps: [],
});
const numbersOf = (number: () => number, length: number): number[] =>
  Array.from({ length }, () => Math.fround(number()));
const fresh = (class_name: string, config: object): Optimizer => deserialize({ class_name, config }) as Optimizer;

/** The same gradients to the native step and to that of tensors: variables, state and norm afterwards. */
function sameSteps(
  [native, composed]: readonly [Optimizer, Optimizer],
  problem: Problem,
  gradients: readonly (readonly (readonly number[])[])[],
  check: (native: number, composed: number, what: string, size: number) => void,
): void {
  const setting = inTensors();
  const host = problem.variables.map(({ shape, initial }) => new Variable(Float32Array.from(initial), { shape }));
  const variables = setting.make(problem);
  for (const list of gradients) {
    native.apply(
      list.map((gradient) => Float32Array.from(gradient)),
      host,
    );
    const tensors = list.map((gradient, i) => tf.tensor([...gradient], [...host[i]!.shape], 'float32'));
    composed.apply(
      tensors.map((tensor) => space.gradient(tensor)),
      variables,
    );
    tf.dispose(tensors);
  }
  const [ours, theirs] = [
    [...host, ...native.variables],
    [...variables, ...composed.variables],
  ];
  assert.lengthOf(theirs, ours.length);
  ours.forEach((one, i) => {
    const [a, b] = [Array.from(one.value, Number), valuesOf(theirs[i] as Variable)];
    assert.lengthOf(b, a.length);
    const size = Math.max(0, ...a.filter(Number.isFinite).map(Math.abs));
    a.forEach((x, k) => check(x, b[k] as number, `${one.path}[${k}]`, size));
  });
  const [norm, composedNorm] = [native.gradient_norm, composed.gradient_norm];
  if (norm === null) assert.isNull(composedNorm);
  else check(norm, composedNorm as number, 'gradient_norm', norm);
  for (const optimizer of [native, composed]) optimizer.dispose();
  setting.dispose();
}

const special = [0, -0, NaN, Infinity, -Infinity, 1, -1, 1e-20, 1e20, 3e38, 0.3, -0.2, 1e-6, 17, -1e10];

for (const backend of ['cpu', 'wasm'])
  describe(`steps of TensorFlow.js's operations on ${backend}`, () => {
    before(on(backend));

    for (const name of backend === 'cpu' ? files : [])
      it(`are Keras's: goldens of ${name}`, () => {
        const file = readGolden(name);
        for (const c of file.cases.filter(({ id }) => !id.endsWith('sparse duplicate rows'))) checkGolden(file, c);
      });

    for (const [name, options] of backend === 'wasm' ? Object.entries(variants) : [])
      it(`are those of the native step: ${name} with every flag`, () => {
        const next = random(name);
        const number = () => next() - 0.5;
        for (const option of options)
          for (const flag of flags) {
            const config = { ...option, ...flag };
            const problem = problemOf(number);
            const gradients = Array.from({ length: 5 }, () => shapes.map((shape) => numbersOf(number, sizeOf(shape))));
            const exact = !isInexact({ class: name, args: config });
            // Else as many roundings of a sum as there are steps, of numbers that a rule may divide by small differences.
            const close = (a: number, b: number, what: string, size: number) => {
              const bound = exact ? 0 : 1e-5 * size + 4 * ulp32(a);
              assert.isAtMost(Math.abs(a - b), bound, `${JSON.stringify(config)} ${what}`);
            };
            sameSteps([fresh(name, config), fresh(name, config)], problem, gradients, close);
          }
      });

    it('have NaN, Infinity and zeros where the native step has them', () => {
      const clips = [{}, { clipvalue: 0.5 }, { clipnorm: 0.5 }, { global_clipnorm: 0.5 }];
      for (const [name, options] of Object.entries(variants))
        for (const config of options.flatMap((option) => clips.map((clip) => ({ ...option, ...clip })))) {
          const problem = problemOf(() => 0.25, [[special.length]]);
          const turned = (t: number) => special.map((_, i) => special[(i + 2 * t) % special.length] as number);
          const alike = (a: number, b: number, what: string) => {
            const same = Object.is(a, b) || Math.abs(a - b) <= 1e-5 * Math.abs(a) + 1e-7;
            assert.isTrue(same, `${name} ${JSON.stringify(config)} ${what}: ${a}, ${b}`);
          };
          const steps = [0, 1, 2].map((t) => [turned(t)]);
          sameSteps([fresh(name, config), fresh(name, config)], problem, steps, alike);
        }
    });

    it('are skipped by a LossScaleOptimizer where a gradient is not finite', () => {
      const make = () =>
        new LossScaleOptimizer({ inner_optimizer: new Nadam({ clipnorm: 1 }), dynamic_growth_steps: 2 });
      const [a, b] = [make(), make()];
      const gradients = [1e4, -1e4, NaN, Infinity, 300, 400].map((x) => [[x, 1]]);
      sameSteps(
        [a, b],
        problemOf(() => 0.5, [[2]]),
        gradients,
        (x, y, what) => assert.closeTo(x, y, 1e-6, what),
      );
      assert.equal(b.iterations, 4);
    });

    it('are those of each optimizer of a MultiOptimizer', () => {
      const make = () => {
        const muon = new Muon({ global_clipnorm: 0.5, exclude_embeddings: false });
        const optimizer_map = ({ shape }: Variable) => (shape.length === 2 ? muon : adam);
        const adam = new AdamW({ clipnorm: 0.1 });
        return new MultiOptimizer({ optimizer_map });
      };
      const next = random('multi');
      const number = () => next() - 0.5;
      const gradients = [1, 2, 3].map(() => shapes.map((shape) => numbersOf(number, sizeOf(shape))));
      const close = (a: number, b: number, what: string) => assert.closeTo(a, b, 1e-6, what);
      sameSteps([make(), make()], problemOf(number), gradients, close);
    });

    it('leave no tensor behind in many steps, and none but the variables after dispose', () => {
      const options = { use_ema: true, global_clipnorm: 1, gradient_accumulation_steps: 2, weight_decay: 0.1 };
      for (const [optimizer, steps] of [
        [new SGD({ momentum: 0.9 }), 1000],
        [new Nadam(options), 200],
        [new Muon(options), 100],
        [new LossScaleOptimizer({ inner_optimizer: new Adam({ clipnorm: 1 }) }), 100],
      ] as const) {
        const before = tf.memory().numTensors;
        const setting = inTensors();
        const variables = setting.make(problemOf(() => 0.5, [[2, 2], [3]]));
        const gradients = setting.shown.map(({ shape }) => tf.ones(shape));
        const step = () => optimizer.apply(gradients as unknown as Gradient[], variables);
        for (let t = 0; t < 2; t++) step();
        const running = tf.memory().numTensors;
        for (let t = 0; t < steps; t++) step();
        assert.equal(tf.memory().numTensors, running, `${optimizer.name} after ${steps} steps`);
        optimizer.exclude_from_weight_decay({ var_names: ['nothing'] });
        optimizer.dispose();
        assert.equal(tf.memory().numTensors, before + setting.shown.length + gradients.length);
        tf.dispose(gradients);
        setting.dispose();
        assert.equal(tf.memory().numTensors, before);
      }
    });
  });

/** Runs an action in which `dataSync`, which waits for numbers, is `instead`. */
function waitingBy<R>(instead: (wait: () => unknown) => unknown, action: () => R): R {
  const prototype = tf.Tensor.prototype as { dataSync: () => unknown };
  const { dataSync } = prototype;
  prototype.dataSync = function (this: tf.Tensor) {
    return instead(() => dataSync.call(this));
  };
  try {
    return action();
  } finally {
    prototype.dataSync = dataSync;
  }
}

/** Two variables with an optimizer that has stepped once, and gradients. */
function scene(optimizer: Optimizer, steps = 1) {
  const setting = inTensors();
  const variables = setting.make(problemOf(() => 0.5, [[2, 2], [3]]));
  const gradients = setting.shown.map(({ shape }) => tf.fill(shape, 0.25));
  const apply = () => optimizer.apply(gradients as unknown as Gradient[], variables);
  for (let t = 0; t < steps; t++) apply();
  const values = () => [...variables, ...optimizer.variables].map((variable) => valuesOf(variable).map(String));
  const end = () => {
    optimizer.dispose();
    tf.dispose(gradients);
    setting.dispose();
  };
  return { optimizer, variables, gradients, apply, values, end, shown: setting.shown };
}

describe("an optimizer of variables in TensorFlow.js's tensors", () => {
  before(on('cpu'));
  afterEach(() => tf.disposeVariables());

  it('waits for no number in a step, so that every backend can do it', () => {
    let waits = 0;
    const count = (wait: () => unknown) => (waits++, wait());
    for (const flag of flags)
      for (const make of [() => new Nadam(flag), () => new Muon(flag)]) {
        const { end } = waitingBy(count, () => scene(make(), 3));
        end();
      }
    assert.equal(waits, 0);
    const { optimizer, end } = scene(new SGD({ clipnorm: 1 }));
    const norm = waitingBy(count, () => optimizer.gradient_norm as number);
    assert.closeTo(norm, Math.hypot(...Array<number>(7).fill(0.25)), 1e-6);
    assert.equal(waits, 1);
    end();
  });

  it('says so where a backend cannot wait for what a LossScaleOptimizer has to know', () => {
    const { apply, values, end } = scene(new LossScaleOptimizer({ inner_optimizer: new SGD() }));
    const before = values();
    const refuse = () => {
      throw new Error('not here');
    };
    const error = waitingBy(refuse, () => thrown(apply));
    assert.equal(error?.code, 'ERR_OPT_DEVICE');
    assert.match(String(error), /cpu cannot wait for numbers, which gradient_norm and a LossScaleOptimizer need/);
    assert.deepEqual(values(), before);
    end();
  });

  it('steps whole or not at all', () => {
    let calls = Infinity;
    const sqrt = (x: tf.Tensor) => {
      if (calls-- === 0) throw new Error('out of memory');
      return tf.sqrt(x);
    };
    const failing = new TensorSpace({ ...tf, sqrt } as unknown as typeof tf);
    const shown = [tf.variable(tf.ones([3])), tf.variable(tf.ones([2, 2]))];
    const variables = shown.map((variable) => failing.variable(variable));
    const gradients = shown.map(({ shape }) => failing.gradient(tf.fill(shape, 0.5)));
    const optimizer = new Adam({ use_ema: true });
    optimizer.apply(gradients, variables);
    const values = () => [...variables, ...optimizer.variables].map((variable) => valuesOf(variable));
    const before = values();
    calls = 1; // the second variable's
    assert.match(String(thrown(() => optimizer.apply(gradients, variables))), /out of memory/);
    assert.deepEqual(values(), before);
    calls = Infinity;
    optimizer.apply(gradients, variables);
    assert.notDeepEqual(values(), before);
    assert.equal(optimizer.iterations, 2);
  });

  it('follows what TensorFlow.js assigns to its variables between the steps', () => {
    const { apply, variables, shown, end } = scene(new SGD({ learning_rate: 1 }));
    const tensor = tf.tensor([7, 8, 9]);
    shown[1]?.assign(tensor);
    tensor.dispose();
    apply();
    assert.deepEqual(valuesOf(variables[1] as Variable), [6.75, 7.75, 8.75]);
    end();
  });

  it('leaves variables without a gradient as they are, and excluded ones without decay', () => {
    const { optimizer, variables, gradients, end } = scene(new AdamW({ weight_decay: 0.5, learning_rate: 0.1 }), 0);
    optimizer.exclude_from_weight_decay({ var_list: [variables[0] as Variable] });
    optimizer.build(variables);
    optimizer.apply([null, space.gradient(gradients[1] as tf.Tensor)], variables);
    const [one, other] = variables.map(valuesOf) as [number[], number[]];
    assert.deepEqual(one, [0.5, 0.5, 0.5, 0.5]);
    assert.closeTo(other[0] as number, 0.5 - 0.5 * 0.5 * 0.1 - 0.1, 1e-5);
    const before = valuesOf(variables[0] as Variable)[0] as number;
    optimizer.apply([space.gradient(gradients[0] as tf.Tensor), null], variables);
    assert.isAbove(valuesOf(variables[0] as Variable)[0] as number, before - 0.11); // the rate, and no decay
    end();
  });

  it('takes gradients as numbers and as variables of the space, too', () => {
    const { optimizer, variables, end } = scene(new SGD({ learning_rate: 1 }), 0);
    const other = inTensors();
    const [gradient] = other.make({ variables: [{ name: 'g', shape: [3], initial: [1, 2, 3] }], steps: [] });
    optimizer.apply([[1, 2, 3, 4], gradient as Variable], variables);
    optimizer.apply([Float32Array.of(0, 0, 0, 0.5), new Variable([0, 0, 1])], variables);
    assert.deepEqual(variables.map(valuesOf), [
      [-0.5, -1.5, -2.5, -4],
      [-0.5, -1.5, -3.5],
    ]);
    end();
    other.dispose();
  });

  it('updates one variable by update_step', () => {
    const { optimizer, variables, gradients, end } = scene(new SGD({ learning_rate: 1 }), 0);
    optimizer.build(variables);
    optimizer.update_step(space.gradient(gradients[1] as tf.Tensor), variables[1] as Variable, 2);
    assert.deepEqual(variables.map(valuesOf), [
      [0.5, 0.5, 0.5, 0.5],
      [0, 0, 0],
    ]);
    assert.equal(optimizer.iterations, 0);
    end();
  });

  it('exchanges averages and variables, and puts them in for good', () => {
    const { optimizer, variables, values, end } = scene(new SGD({ use_ema: true, ema_momentum: 0.5 }), 3);
    const averages = optimizer.variables.filter(({ path }) => path.endsWith('average'));
    const before = values();
    const [live, kept] = [variables.map(valuesOf), averages.map(valuesOf)];
    assert.notDeepEqual(live, kept);
    optimizer.swap_ema_weights();
    assert.deepEqual([variables.map(valuesOf), averages.map(valuesOf)], [kept, live]);
    optimizer.swap_ema_weights();
    assert.deepEqual(values(), before);
    optimizer.finalize_variable_values();
    assert.deepEqual(variables.map(valuesOf), kept);
    end();
  });

  it('gives and takes its state: numbers, variables, tensors', async () => {
    const [a, b] = [scene(new Adam(), 3), inTensors()];
    const fresh = new Adam({ name: a.optimizer.name });
    const variables = b.make({
      variables: [4, 3].map((n, i) => ({
        name: `w${i}`,
        shape: i ? [n] : [2, 2],
        initial: Array<number>(n).fill(0.5),
      })),
      steps: [],
    });
    fresh.build(variables);
    const numbers = await Promise.all(a.optimizer.variables.map(async (variable) => variable.read()));
    fresh.set_weights(numbers);
    assert.deepEqual(fresh.variables.map(valuesOf), a.optimizer.variables.map(valuesOf));
    fresh.set_weights(fresh.variables.map((variable, i) => (i < 2 ? 7 : variable)));
    assert.deepEqual(valuesOf(fresh.variables[0] as Variable), [7]);
    const [, , slot] = fresh.variables as [Variable, Variable, Variable];
    const tensor = tf.tensor([1, 2, 3, 4]);
    space.assign(slot, tensor);
    slot.assign(slot);
    tensor.dispose();
    assert.deepEqual([...(await slot.read())], [1, 2, 3, 4]);
    assert.deepEqual(valuesOf(slot), [1, 2, 3, 4]);
    assert.equal(fresh.device as string, 'tfjs');
    fresh.dispose();
    a.end();
    b.dispose();
  });

  it('is always the same variable for one of TensorFlow.js', () => {
    const shown = tf.variable(tf.ones([2]));
    assert.strictEqual(space.variable(shown), space.variable(shown));
    assert.deepEqual([space.variable(shown).path, [...space.variable(shown).shape]], [shown.name, [2]]);
    shown.dispose();
  });

  it('refuses what tensors cannot do, and stays as it is', async () => {
    const { optimizer, variables, gradients, values, end } = scene(new Adam());
    const [kernel, bias] = variables as [Variable, Variable];
    const [ofKernel, ofBias] = gradients.map((gradient) => space.gradient(gradient)) as [Gradient, Gradient];
    const [gone, whole, row, short] = [tf.ones([3]), tf.ones([3], 'int32'), tf.ones([1, 3]), tf.ones([2])];
    const int = tf.variable(whole);
    gone.dispose();
    const given = (gradient: unknown) => () => optimizer.apply([ofKernel, gradient as Gradient], variables);
    const built = (other: Optimizer) => () => other.build(variables);
    class Custom extends Optimizer {
      static override readonly fields = SGD.fields;
      override update_step() {}
    }
    const refusals: readonly (readonly [action: () => unknown, code: string, message: RegExp])[] = [
      [given(row), 'ERR_OPT_LENGTH', /gradients\[1\] \("v1"\) has the shape \[1,3\], its variable \[3\]/],
      [given(whole), 'ERR_OPT_ARRAY_TYPE', /gradients\[1\] .*expected to be float32, got a tensor of int32/],
      [given(gone), 'ERR_OPT_DISPOSED', /gradients\[1\] .*has been disposed of/],
      [given(kernel), 'ERR_OPT_LENGTH', /gradients\[1\] .* of another shape/],
      [given(new Uint16Array(3)), 'ERR_OPT_ARRAY_TYPE', /expected to be float32, got a Uint16Array/],
      [given(new Float64Array(3)), 'ERR_OPT_ARRAY_TYPE', /dtype float32/],
      [given([1, 2]), 'ERR_OPT_LENGTH', /has 2 elements, its variable has 3/],
      [given(new IndexedSlices([1], [0], [3])), 'ERR_OPT_DEVICE', /is sparse and its variable on tfjs: give a dense/],
      [() => optimizer.apply(), 'ERR_OPT_DEVICE', /"v0" lies on tfjs and has no gradient of its own/],
      [() => optimizer.apply_async([ofKernel, ofBias], variables), 'ERR_OPT_NOT_ASYNC_SAFE', /use apply/],
      [() => optimizer.stateless_apply([], [], []), 'ERR_OPT_DEVICE', /they are on tfjs/],
      [() => optimizer.assign_add(bias, [1, 2, 3]), 'ERR_OPT_DEVICE', /"?v1"? lies in a tensor: .*read\(\)/],
      [() => bias.value, 'ERR_OPT_DEVICE', /v1 lies in a tensor: get a copy of its values with await read\(\)/],
      [() => bias.gradient, 'ERR_OPT_DEVICE', /give one to apply/],
      [() => bias.cuda, 'ERR_OPT_DEVICE', /"v1" lies on tfjs/],
      [() => (bias.constraint = () => {}), 'ERR_OPT_DEVICE', /on tfjs expects constraint to be null/],
      [() => space.assign(bias, short), 'ERR_OPT_LENGTH', /"v1" expects 3 elements, got 2/],
      [() => space.assign(bias, whole), 'ERR_OPT_ARRAY_TYPE', /"v1" expects a float32 tensor, got int32/],
      [() => space.assign(new Variable([1, 2, 3]), row), 'ERR_OPT_DEVICE', /does not lie in tensors/],
      [() => space.variable(int), 'ERR_OPT_ARRAY_TYPE', /expects float32 variables, ".*" is int32/],
      [
        built(new Adam({ state_dtype: 'bfloat16' })),
        'ERR_OPT_ARRAY_TYPE',
        /float32, got bfloat16: leave state_dtype out/,
      ],
      [
        built(new Custom()),
        'ERR_OPT_DEVICE',
        /steps in TypeScript .*: train on TensorFlow.js.s backend cpu or wasm, or/,
      ],
      [() => new Adam().build([kernel, new Variable([1])]), 'ERR_OPT_DEVICE', /"v0" is on tfjs/],
    ];
    const before = values();
    for (const [action, code, message] of refusals) {
      const tensors = tf.memory().numTensors;
      const error = await rejection(action);
      assert.equal(error?.code, code, `${message}: ${error}`);
      assert.match(String(error?.message), message);
      assert.equal(tf.memory().numTensors, tensors, String(message));
    }
    assert.deepEqual(values(), before);
    assert.equal(optimizer.iterations, 1);
    tf.dispose([whole, row, short, int]);
    end();
  });

  it('says that a variable, or one of TensorFlow.js, has been disposed of', () => {
    const { apply, shown, end } = scene(new Adam());
    shown[1]?.dispose();
    const error = thrown(apply);
    assert.equal(error?.code, 'ERR_OPT_DISPOSED');
    assert.match(String(error), /TensorFlow.js's variable "v1" has been disposed of/);
    const again = thrown(() => space.variable(tf.tidy(() => shown[1] as tf.Variable)));
    assert.isUndefined(again); // it is known already
    const other = tf.variable(tf.ones([1]));
    other.dispose();
    assert.equal(thrown(() => space.variable(other))?.code, 'ERR_OPT_DISPOSED');
    end();
  });
});
