// Schedules: Keras's and TensorFlow Addons' own values, the formulas of PyTorch and Geron, and their use as functions.
import { inspect } from 'node:util';

import { assert } from 'chai';

import * as library from '../lib/index.ts';
import {
  CosineDecay,
  CosineDecayRestarts,
  deserialize,
  ExponentialDecay,
  InverseTimeDecay,
  LearningRateSchedule,
  OneCycle,
  PiecewiseConstantDecay,
  PolynomialDecay,
  PowerDecay,
  Sequential,
  serialize,
  SGD,
  WarmUp,
} from '../lib/index.ts';
import { readGolden } from './golden.ts';

interface KerasCase {
  readonly class: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly serialized: unknown;
  readonly steps: readonly number[];
  readonly float32: readonly number[];
  readonly exact64: readonly number[];
}
interface AddonsCase extends Omit<KerasCase, 'serialized' | 'exact64'> {
  readonly config: unknown;
}
interface TorchCase {
  readonly class: string;
  readonly args: Readonly<Record<string, number>>;
  readonly steps?: readonly number[];
  readonly learningRate: readonly number[];
}
const make = (name: string, args: unknown): LearningRateSchedule =>
  deserialize({ class_name: name, config: args }) as LearningRateSchedule;
const keras = readGolden<{ readonly cases: readonly KerasCase[] }>('schedules').cases;
const addons = readGolden<{ readonly cases: readonly AddonsCase[] }>('tfa-cyclical').cases;
const torch = readGolden<{ readonly cases: readonly TorchCase[] }>('torch-schedulers').cases;
const torchCase = (name: string): TorchCase => torch.find((c) => c.class === name) as TorchCase;

describe('schedules of Keras', () => {
  for (const c of keras)
    it(`${c.class} ${JSON.stringify(c.args)} is the exact formula, and close to Keras's float32`, () => {
      const schedule = make(c.class, c.args);
      const peak = Math.max(...c.exact64.map(Number).filter(Number.isFinite).map(Math.abs));
      c.steps.forEach((step, i) => {
        const exact = Number(c.exact64[i]);
        if (!Number.isFinite(exact)) return assert.equal(schedule(step), exact);
        assert.closeTo(schedule(step), exact, 1e-13 * Math.abs(exact) + 1e-16 * peak, `exact at ${step}`);
        // Keras rounds the step itself to float32: beyond 2 ** 24 it is another step (schedules.md 6)
        if (step <= 2 ** 24 && Math.abs(exact) > 1e-6 * peak)
          assert.closeTo(
            schedule(step),
            c.float32[i] as number,
            2e-6 * Math.abs(exact) + 1e-7 * peak,
            `Keras at ${step}`,
          );
      });
      assert.equal(JSON.stringify(serialize(schedule)), JSON.stringify(c.serialized));
      assert.deepEqual(serialize(deserialize(c.serialized)), c.serialized as never);
    });

  it('CosineDecayRestarts starts again exactly at its steps, for any first cycle and factor', () => {
    for (const t_mul of [1, 1.5, 2, 3, 10])
      for (const first_decay_steps of [1, 3, 5, 7, 10, 1000]) {
        const schedule = new CosineDecayRestarts({ initial_learning_rate: 1, first_decay_steps, t_mul, m_mul: 0.5 });
        for (let i = 0, start = 0; i < 12; i++, start += first_decay_steps * t_mul ** (i - 1))
          if (Number.isInteger(start))
            assert.closeTo(schedule(start), 0.5 ** i, 1e-9, `${t_mul} ${first_decay_steps} ${i}`);
      }
  });
});

describe('schedules of TensorFlow Addons', () => {
  for (const c of addons)
    it(`${c.class} ${JSON.stringify(c.args)}`, () => {
      const schedule = make(c.class, c.args);
      // recorded in float32
      c.steps.forEach((step, i) =>
        assert.closeTo(schedule(step), c.float32[i] as number, 1e-6 * (c.float32[i] as number), `at ${step}`),
      );
      assert.deepEqual(schedule.get_config(), c.config as never);
      assert.equal(serialize(schedule).registered_name, `Addons>${c.class}`);
    });

  it("CyclicalLearningRate is triangular by default, scales by a function, and knows PyTorch's names", () => {
    const options = { base_learning_rate: 0.001, max_learning_rate: 0.01, step_size: 4 };
    const plain = new library.CyclicalLearningRate(options);
    const golden = addons[0] as AddonsCase;
    golden.steps.forEach((step, i) => assert.closeTo(plain(step), golden.float32[i] as number, 1e-8));
    const halving = new library.CyclicalLearningRate({
      initial_learning_rate: 0.001,
      maximal_learning_rate: 0.01,
      step_size: 4,
      scale_fn: function halve(cycle) {
        return 1 / 2 ** (cycle - 1);
      },
    });
    const halved = addons[1] as AddonsCase;
    halved.steps.forEach((step, i) => assert.closeTo(halving(step), halved.float32[i] as number, 1e-8));
    const { config } = serialize(halving);
    assert.deepEqual(config.scale_fn, {
      module: 'builtins',
      class_name: 'function',
      config: 'halve',
      registered_name: 'function',
    });
    const back = deserialize(serialize(halving), { halve: (x: number) => 1 / 2 ** (x - 1) }) as LearningRateSchedule;
    assert.equal(back(12), halving(12));
  });
});

describe('schedules Keras has not', () => {
  const check = (schedule: LearningRateSchedule, { learningRate, steps }: TorchCase) =>
    learningRate.forEach((rate, i) =>
      assert.closeTo(schedule(steps?.[i] ?? i), rate, 1e-12 * Math.abs(rate) + 1e-18, `at ${i}`),
    );

  it("OneCycle is Geron's", () => {
    const golden = torchCase('formula:OneCycleGeron');
    const { iterations = 0, maxLearningRate = 0 } = golden.args;
    const schedule = new OneCycle({ maximal_learning_rate: maxLearningRate, total_steps: iterations });
    check(schedule, golden);
    assert.closeTo(schedule(1000), 5e-6, 1e-18);
  });
  it('PowerDecay is power scheduling, and the decay of Keras 2', () => {
    const power = torchCase('formula:PowerScheduling');
    check(new PowerDecay({ initial_learning_rate: 0.02, decay_steps: 20, power: power.args.c }), power);
    check(new PowerDecay({ initial_learning_rate: 0.02, decay_steps: 100 }), torchCase('formula:LegacyDecay'));
    check(
      new InverseTimeDecay({ initial_learning_rate: 0.02, decay_steps: 1, decay_rate: 0.01 }),
      torchCase('formula:LegacyDecay'),
    );
  });
  it("Sequential joins schedules as PyTorch's SequentialLR", () => {
    const golden = torchCase('SequentialLR(LinearLR,CosineAnnealingLR)');
    const { start_factor = 0, warmup = 0, T_max = 0 } = golden.args;
    const linear = new PolynomialDecay({
      initial_learning_rate: 0.1 * start_factor,
      end_learning_rate: 0.1,
      decay_steps: warmup,
    });
    const cosine = new CosineDecay({ initial_learning_rate: 0.1, decay_steps: T_max });
    check(new Sequential({ schedules: [linear, cosine], milestones: [warmup] }), golden);
    check(new WarmUp({ schedule: cosine, warmup_steps: warmup, initial_learning_rate: 0.01 }), golden);
  });
  it('come back from their config, nested schedules included', () => {
    const inner = new ExponentialDecay({ initial_learning_rate: 0.1, decay_steps: 10, decay_rate: 0.5 });
    const outer = new Sequential({
      schedules: [new WarmUp({ schedule: inner, warmup_steps: 5 }), inner],
      milestones: [20],
    });
    const back = deserialize(JSON.parse(JSON.stringify(outer))) as LearningRateSchedule;
    for (const step of [0, 3, 5, 19, 20, 21, 100]) assert.equal(back(step), outer(step));
    assert.equal(serialize(outer).registered_name, 'keras_optimizers>Sequential');
  });
  it('check that their parts fit', () => {
    const inner = new PowerDecay({ initial_learning_rate: 0.1, decay_steps: 10 });
    assert.throws(() => new Sequential({ schedules: [inner], milestones: [1] }), RangeError, /one schedule more/);
    assert.throws(() => new Sequential({ schedules: [inner, inner, inner], milestones: [3, 3] }), RangeError, /rising/);
    assert.throws(() => new PiecewiseConstantDecay({ boundaries: [1], values: [1] }), RangeError, /one element more/);
    assert.throws(() => new WarmUp({ schedule: 0.1 as never, warmup_steps: 3 }), TypeError, /a schedule, got 0.1/);
  });
});

describe('a schedule', () => {
  const schedule = new ExponentialDecay({ initial_learning_rate: 0.1, decay_steps: 10, decay_rate: 0.5 });

  it("is called like Keras's, or by at(step)", () => {
    assert.equal(schedule(10), 0.05);
    assert.equal(schedule.at(10), 0.05);
    assert.throws(() => schedule('1' as never), TypeError, /ExponentialDecay expects step to be a number, got "1"/);
    assert.throws(() => schedule(NaN), TypeError, /got NaN/);
  });
  it("shows its class and fields, has Keras's name, and cannot be changed", () => {
    assert.include(inspect(schedule), 'ExponentialDecay { initial_learning_rate: 0.1'.slice(0, 18));
    assert.include(inspect(schedule), 'decay_rate: 0.5');
    assert.include(inspect({ a: { b: { c: { schedule } } } }), '[Object]');
    assert.equal(schedule.name, 'ExponentialDecay');
    assert.throws(() => ((schedule as { decay_steps: number }).decay_steps = 3), TypeError);
    assert.isTrue(schedule instanceof LearningRateSchedule);
  });
  it('is refused in place of an instance when it is a class, with a hint', () => {
    assert.throws(
      () => new SGD({ learning_rate: ExponentialDecay as never }),
      TypeError,
      /make an instance with new ExponentialDecay/,
    );
  });
  it('takes one object: a positional call shows the object form', () => {
    const Positional = ExponentialDecay as unknown as new (...args: number[]) => unknown;
    assert.throws(
      () => new Positional(0.1, 10, 0.5),
      TypeError,
      /new ExponentialDecay\(\{ initial_learning_rate: 0.1, ... \}\), got \(0.1, 10, 0.5\)/,
    );
  });

  class Halving extends LearningRateSchedule {
    readonly start: number;
    constructor({ start }: { readonly start: number }) {
      super();
      this.start = start;
    }
    override at(step: number): number {
      return this.start * 0.5 ** step;
    }
    override get_config() {
      return { start: this.start };
    }
  }
  it("of one's own overrides at(step), and comes back through custom_objects or registration", () => {
    const own = new Halving({ start: 8 });
    assert.equal(own(3), 1);
    const optimizer = new SGD({ learning_rate: own });
    assert.equal(optimizer.learning_rate, 8);
    const config = JSON.parse(JSON.stringify(serialize(optimizer))) as unknown;
    assert.throws(() => deserialize(config), TypeError, /the name of a class .*, got "Halving"/);
    for (const custom of [{ Halving }, new Map([['Halving', Halving]])])
      assert.equal((deserialize(config, custom) as SGD).learning_rate, 8);
    assert.equal(library.register_keras_serializable(Halving, 'Tests'), Halving);
    assert.equal(serialize(own).registered_name, 'Tests>Halving');
    assert.equal((deserialize(serialize(own)) as Halving)(3), 1);
    assert.throws(() => library.register_keras_serializable({} as never), TypeError, /expects a class/);
  });
  it("of one's own says what it lacks", () => {
    class Empty extends LearningRateSchedule {}
    const empty = new Empty();
    assert.throws(() => empty(0), Error, /Empty must implement at\(step\)/);
    assert.throws(() => empty.get_config(), Error, /Empty must implement get_config\(\)/);
  });
});
