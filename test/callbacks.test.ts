// The callbacks: Keras's traces, the behaviour of Keras's own callback tests, and what is refused.
import { assert } from 'chai';

import {
  Adam,
  ExponentialDecay,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  OptimizerMap,
  SGD,
  Variable,
  type Optimizer,
} from '../lib/index.ts';
import {
  Callback,
  LearningRateScheduler,
  ReduceLROnPlateau,
  SwapEMAWeights,
  type EpochSchedule,
  type Logs,
} from '../lib/callbacks/index.ts';
import { warnings } from './errors.ts';
import { readGolden } from './golden.ts';

interface Epoch {
  readonly learningRate: number;
  readonly wait: number;
  readonly cooldownCounter: number;
  readonly best: number | null;
}
interface Case {
  readonly callback: string;
  readonly initialLearningRate: number;
  readonly args?: ConstructorParameters<typeof ReduceLROnPlateau>[0];
  readonly monitored?: readonly (number | null)[];
  readonly trace?: readonly Epoch[];
  readonly schedule?: string;
  readonly learningRate?: readonly number[];
}
const { cases } = readGolden<{ readonly cases: readonly Case[] }>('callbacks');

/** The functions that the goldens name by their text. */
const schedules: Readonly<Record<string, EpochSchedule>> = {
  '(epoch, lr) => epoch < 3 ? lr : lr * 0.9': (epoch, lr) => (epoch < 3 ? lr : lr * 0.9),
  '(epoch) => 0.1 * 0.1 ** (epoch / 20)': (epoch) => 0.1 * 0.1 ** (epoch / 20),
};

/** A callback at work on an optimizer, SGD at 0.1 if none is given. */
function on<C extends Callback>(callback: C, optimizer: Optimizer = new SGD({ learning_rate: 0.1 })) {
  callback.set_model({ optimizer });
  callback.on_train_begin();
  return { callback, optimizer };
}

/** What an action prints. */
function printed(action: () => void): string[] {
  const lines: string[] = [];
  const { log } = console;
  console.log = (line: string) => void lines.push(line);
  try {
    action();
  } finally {
    console.log = log;
  }
  return lines;
}

const constant = (value: number, epochs: number) => Array.from({ length: epochs }, () => ({ val_loss: value }));

/** Runs the ends of epochs, and says what the learning rate was after each. */
function rates(callback: ReduceLROnPlateau, optimizer: Optimizer, logs: readonly Logs[]): number[] {
  return logs.map((log, epoch) => (callback.on_epoch_end(epoch, log), Math.fround(optimizer.learning_rate)));
}

describe("the callbacks' goldens", () => {
  it('are all here', () => {
    assert.lengthOf(cases, 17);
    assert.sameMembers(
      [...new Set(cases.map(({ callback }) => callback))],
      ['ReduceLROnPlateau', 'LearningRateScheduler'],
    );
  });

  for (const { args, monitored = [], initialLearningRate: learning_rate, trace } of cases.filter(({ args }) => args))
    it(`ReduceLROnPlateau ${JSON.stringify(args)} decides as Keras on ${monitored.join()}`, async () => {
      const { callback, optimizer } = on(new ReduceLROnPlateau(args), new Nadam({ learning_rate }));
      const found: Epoch[] = [];
      const seen = await warnings(() =>
        monitored.forEach((value, epoch) => {
          callback.on_epoch_end(epoch, { val_loss: value });
          const { wait, cooldown_counter: cooldownCounter, best } = callback;
          found.push({ learningRate: Math.fround(optimizer.learning_rate), wait, cooldownCounter, best });
        }),
      );
      const expected = trace?.map((epoch) => ({ ...epoch, learningRate: Math.fround(epoch.learningRate) }));
      assert.deepEqual(found, expected);
      assert.lengthOf(seen, monitored.includes(null) ? 1 : 0);
    });

  for (const { schedule = '', initialLearningRate, learningRate } of cases.filter((c) => c.schedule !== undefined))
    it(`LearningRateScheduler(${schedule}) sets Keras's rates`, () => {
      const scheduler = new LearningRateScheduler(schedules[schedule] as EpochSchedule);
      const { callback, optimizer } = on(scheduler, new Adam({ learning_rate: initialLearningRate }));
      const found = learningRate?.map((_, epoch) => {
        callback.on_epoch_begin(epoch);
        return Math.fround(optimizer.learning_rate);
      });
      assert.deepEqual(found, learningRate?.map(Math.fround));
    });
});

describe('LearningRateScheduler', () => {
  it('sets what its schedule says, and gives it the rate before', () => {
    const { callback, optimizer } = on(new LearningRateScheduler((epoch) => 1 / (2 + epoch)));
    callback.on_epoch_begin(0);
    assert.equal(optimizer.learning_rate, 0.5);
    const halving = on(new LearningRateScheduler((_, rate) => rate / 2), new Adam({ learning_rate: 0.03 }));
    for (const epoch of [0, 1]) halving.callback.on_epoch_begin(epoch);
    assert.equal(halving.optimizer.learning_rate, Math.fround(0.03) / 4);
  });

  it('gives the exact rate where the optimizer is of float64', () => {
    const { callback, optimizer } = on(new LearningRateScheduler((_, rate) => rate));
    optimizer.build([new Variable(new Float64Array(1))]);
    callback.on_epoch_begin(0);
    assert.equal(optimizer.learning_rate, 0.1);
  });

  it('takes a schedule of this package, with the epoch as its step', () => {
    const decay = new ExponentialDecay({ initial_learning_rate: 0.5, decay_steps: 1, decay_rate: 0.5 });
    const { callback, optimizer } = on(new LearningRateScheduler(decay));
    callback.on_epoch_begin(2);
    assert.equal(optimizer.learning_rate, 0.125);
  });

  it("prints Keras's line if it is verbose, and is silent otherwise", () => {
    const run = (verbose: number) =>
      printed(() => on(new LearningRateScheduler(() => 0.5, { verbose })).callback.on_epoch_begin(3));
    assert.deepEqual(run(1), ['\nEpoch 4: LearningRateScheduler setting learning rate to 0.5.']);
    assert.deepEqual(run(0), []);
    assert.equal(new LearningRateScheduler(() => 0.5).verbose, 0);
  });

  it('adds the learning rate to the logs', () => {
    const { callback } = on(new LearningRateScheduler(() => 0.5));
    callback.on_epoch_begin(0);
    const logs: Logs = { loss: 2, learning_rate: 7 };
    callback.on_epoch_end(0, logs);
    assert.deepEqual(logs, { loss: 2, learning_rate: 0.5 });
    for (const none of [undefined, null, {}]) callback.on_epoch_end(0, none);
  });

  it('leaves the rate as it was where the schedule throws', () => {
    const { callback, optimizer } = on(
      new LearningRateScheduler(() => {
        throw new EvalError('mine');
      }),
    );
    assert.throws(() => callback.on_epoch_begin(0), EvalError, 'mine');
    assert.equal(optimizer.learning_rate, 0.1);
  });
});

describe('ReduceLROnPlateau', () => {
  const impatient = { patience: 1, factor: 0.1, min_delta: 100 };
  const run = (options: ConstructorParameters<typeof ReduceLROnPlateau>[0], epochs: number) => {
    const { callback, optimizer } = on(new ReduceLROnPlateau({ ...impatient, ...options }));
    return rates(callback, optimizer, constant(1, epochs)).at(-1);
  };

  it("behaves as in Keras's tests: reduces, honors min_lr, cools down", () => {
    assert.equal(run({}, 2), Math.fround(0.01));
    assert.equal(run({ min_delta: 10, min_lr: 0.005 }, 4), Math.fround(0.005));
    assert.equal(run({ cooldown: 2 }, 4), Math.fround(Math.fround(Math.fround(0.1) * 0.1) * 0.1));
  });

  it("has Keras's defaults, and takes a negative min_delta for a positive one", () => {
    const { monitor, factor, patience, verbose, mode, min_delta, cooldown, min_lr } = new ReduceLROnPlateau();
    assert.deepEqual(
      [monitor, factor, patience, verbose, mode, min_delta, cooldown, min_lr],
      ['val_loss', 0.1, 10, 0, 'auto', 1e-4, 0, 0],
    );
    assert.equal(new ReduceLROnPlateau({ min_delta: -0.5 }).min_delta, 0.5);
  });

  it('compares in float32: less than half a unit in the last place is no improvement', () => {
    const { callback } = on(new ReduceLROnPlateau({ min_delta: 0 }));
    for (const val_loss of [1, 1 - 2 ** -26]) callback.on_epoch_end(0, { val_loss });
    assert.deepEqual([callback.best, callback.wait], [1, 1]);
    callback.on_epoch_end(0, { val_loss: 1 - 2 ** -24 });
    assert.deepEqual([callback.best, callback.wait], [1 - 2 ** -24, 0]);
  });

  it('reduces once more at the last unit above min_lr, as Keras, whose rate is float32', () => {
    // 0.001 * 0.1 * 0.1 in float32 is a unit above 1e-5; Keras 3.15.1 reduces three times.
    const { callback, optimizer } = on(
      new ReduceLROnPlateau({ ...impatient, min_lr: 1e-5, cooldown: 1 }),
      new Adam({ learning_rate: 0.001 }),
    );
    callback.on_epoch_end(0, { val_loss: 1 });
    const cooled = [1, 2, 3, 4].map((epoch) => (callback.on_epoch_end(epoch, { val_loss: 1 }), callback.wait));
    assert.deepEqual(cooled, [0, 0, 0, 1]);
    assert.equal(optimizer.learning_rate, 1e-5);
  });

  it('keeps a rate of float64 exact, and stops at min_lr', () => {
    const { callback, optimizer } = on(new ReduceLROnPlateau({ ...impatient, factor: 0.5, min_lr: 0.03 }));
    optimizer.build([new Variable(new Float64Array(1))]);
    const seen = constant(1, 4).map((logs, epoch) => (callback.on_epoch_end(epoch, logs), optimizer.learning_rate));
    assert.deepEqual(seen, [0.1, 0.05, 0.03, 0.03]);
    assert.equal(callback.wait, 1);
  });

  it('sees a direction in losses only, otherwise it is told', async () => {
    for (const monitor of ['loss', 'val_loss']) {
      const { callback } = on(new ReduceLROnPlateau({ monitor }));
      for (const value of [2, 1]) callback.on_epoch_end(0, { [monitor]: value });
      assert.equal(callback.best, 1);
    }
    const { callback } = on(new ReduceLROnPlateau({ monitor: 'accuracy', mode: 'max', min_delta: 0.5 }));
    const best = [0, 0.5, 0.75].map((accuracy) => (callback.on_epoch_end(0, { accuracy }), callback.best));
    assert.deepEqual(best, [0, 0, 0.75]);
    const seen = await warnings(() => new ReduceLROnPlateau({ mode: 'down' as never }));
    assert.deepEqual(seen, ['ReduceLROnPlateau expects mode to be "auto", "min" or "max", got "down"']);
  });

  it('waits for a better result after NaN, and is content with a first NaN, as Keras', () => {
    const { callback } = on(new ReduceLROnPlateau());
    const after = (...values: number[]) => {
      callback.on_train_begin();
      for (const val_loss of values) callback.on_epoch_end(0, { val_loss });
      return [callback.best, callback.wait];
    };
    assert.deepEqual(after(1, NaN, Infinity), [1, 2]);
    assert.deepEqual(after(NaN, 1, 0.5), [NaN, 2]);
  });

  it('warns once of a missing result, and changes nothing', async () => {
    const { callback, optimizer } = on(new ReduceLROnPlateau({ ...impatient, cooldown: 3 }));
    rates(callback, optimizer, constant(1, 2));
    const state = () => [callback.best, callback.wait, callback.cooldown_counter, optimizer.learning_rate];
    const before = state();
    const seen = await warnings(() => {
      for (const logs of [{ loss: 1 }, {}, undefined, { val_loss: null }]) callback.on_epoch_end(2, logs);
    });
    assert.deepEqual(seen, [
      'ReduceLROnPlateau expects "val_loss" in the logs, got loss, learning_rate: the learning rate stays as it is',
    ]);
    assert.deepEqual(state(), before);
    assert.isTrue(callback.in_cooldown());
  });

  it('adds the learning rate before the reduction to the logs, where it can be watched', () => {
    const { callback, optimizer } = on(new ReduceLROnPlateau({ ...impatient, monitor: 'learning_rate', mode: 'max' }));
    const logs: Logs[] = [{}, { loss: 1 }];
    rates(callback, optimizer, logs);
    assert.deepEqual(logs, [{ learning_rate: Math.fround(0.1) }, { loss: 1, learning_rate: Math.fround(0.1) }]);
    assert.equal(callback.best, Math.fround(0.1));
    assert.equal(Math.fround(optimizer.learning_rate), Math.fround(0.01));
  });

  it("prints Keras's line if it is verbose, and is silent otherwise", () => {
    const lines = (verbose: number) => printed(() => void run({ verbose, min_lr: 0.05, factor: 0.25 }, 3));
    assert.deepEqual(lines(1), ['\nEpoch 2: ReduceLROnPlateau reducing learning rate to 0.05.']);
    assert.deepEqual(lines(0), []);
  });

  it('forgets a run when the next one begins', () => {
    const { callback, optimizer } = on(new ReduceLROnPlateau({ ...impatient, cooldown: 2 }));
    rates(callback, optimizer, constant(1, 3));
    assert.deepEqual([callback.best, callback.cooldown_counter], [1, 1]);
    callback.on_train_begin();
    assert.deepEqual([callback.best, callback.wait, callback.cooldown_counter], [null, 0, 0]);
  });
});

describe('Callback', () => {
  it('has every hook, doing nothing; the hooks of training batches call their older names', () => {
    const names = Object.getOwnPropertyNames(Callback.prototype).filter((name) => name.startsWith('on_'));
    assert.lengthOf(names, 16);
    const calls: unknown[] = [];
    class Spy extends Callback {
      override on_batch_begin(...args: unknown[]): void {
        calls.push(['begin', ...args]);
      }
      override on_batch_end(...args: unknown[]): void {
        calls.push(['end', ...args]);
      }
    }
    const spy = new Spy() as unknown as Record<string, (batch: number, logs: Logs) => void>;
    for (const name of names.filter((name) => !name.startsWith('on_batch'))) spy[name]?.(3, { loss: 1 });
    assert.deepEqual(calls, [
      ['begin', 3, { loss: 1 }],
      ['end', 3, { loss: 1 }],
    ]);
  });

  it('keeps its model and its params', () => {
    const callback = new Callback();
    assert.deepEqual([callback.model, callback.params], [null, null]);
    const [model, params] = [{ optimizer: new SGD() }, { epochs: 3, verbose: 1 }];
    callback.set_model(model);
    callback.set_params(params);
    assert.strictEqual(callback.model, model);
    assert.strictEqual(callback.params, params);
  });

  it('works on the optimizer that the model has when a hook is called', () => {
    const model = { optimizer: new SGD() as Optimizer };
    const callback = new LearningRateScheduler(() => 0.5);
    callback.set_model(model);
    model.optimizer = new Adam();
    callback.on_epoch_begin(0);
    assert.equal(model.optimizer.learning_rate, 0.5);
  });
});

describe('callbacks on optimizers that wrap others', () => {
  const scaled = (options: object) => new LossScaleOptimizer({ inner_optimizer: new SGD(options) });
  const multi = (...members: object[]) => {
    const [default_optimizer, other] = members.map((options) => new SGD(options)) as [SGD, SGD];
    const optimizer_map = new OptimizerMap({ default_optimizer, optimizer_map: { b: other } });
    return new MultiOptimizer({ optimizer_map });
  };

  it('set the rate inside a LossScaleOptimizer, and none of its own', () => {
    const { callback, optimizer } = on(new LearningRateScheduler((_, rate) => rate / 2), scaled({ learning_rate: 1 }));
    callback.on_epoch_begin(0);
    const logs: Logs = {};
    callback.on_epoch_end(0, logs);
    assert.deepEqual([optimizer.learning_rate, logs.learning_rate, optimizer.variables[1]?.value[0]], [0.5, 0.5, 0]);
    const reducing = on(new ReduceLROnPlateau({ patience: 1, factor: 0.5 }), optimizer).callback;
    for (const [epoch, log] of constant(1, 2).entries()) reducing.on_epoch_end(epoch, log);
    assert.equal((optimizer as LossScaleOptimizer).inner_optimizer.learning_rate, 0.25);
  });

  it('refuse the many rates of a MultiOptimizer, also inside a LossScaleOptimizer, and a schedule in there', () => {
    const several = multi({}, {});
    const schedule = new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 1, decay_rate: 0.5 });
    for (const make of [() => new LearningRateScheduler(() => 1), () => new ReduceLROnPlateau()])
      for (const optimizer of [
        several,
        new LossScaleOptimizer({ inner_optimizer: several }),
        scaled({ learning_rate: schedule }),
      ])
        assert.throws(
          () => make().set_model({ optimizer }),
          TypeError,
          /(one learning rate, got MultiOptimizer .*give the callback each|got a schedule or a function)/,
        );
  });

  it('swap the averages of whatever has some', () => {
    const ema = { learning_rate: 1, use_ema: true };
    for (const optimizer of [
      scaled(ema),
      multi(ema, {}),
      multi({}, ema),
      new LossScaleOptimizer({ inner_optimizer: multi(ema, ema) }),
    ]) {
      const variables = ['a', 'b'].map((name) => new Variable([1], { name }));
      optimizer.apply([[1], [1]], variables);
      const { callback } = on(new SwapEMAWeights(), optimizer);
      const averaged = optimizer.variables.filter(({ name }) => name.endsWith('_average'));
      assert.isNotEmpty(averaged);
      for (const average of averaged) average.assign([7]);
      const seven = () => variables.filter(({ value }) => value[0] === 7).length;
      callback.on_test_begin();
      assert.equal(seven(), averaged.length);
      callback.on_test_end();
      assert.equal(seven(), 0);
    }
    for (const optimizer of [scaled({}), multi({}, {})])
      assert.throws(() => new SwapEMAWeights().set_model({ optimizer }), RangeError, /use_ema of .* to be true/);
  });
});
