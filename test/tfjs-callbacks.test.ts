// Callbacks in the form of Keras in model.fit and model.fitDataset of TensorFlow.js, on its real models.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LayersModel } from '@tensorflow/tfjs';
import { assert } from 'chai';

import {
  Callback,
  LearningRateScheduler,
  ProgbarLogger,
  ReduceLROnPlateau,
  SwapEMAWeights,
  TensorBoard,
  type Logs,
} from '../lib/callbacks/index.ts';
import { fitCallbacks, optimizers, type FitCallback, type TfOptimizer } from '../lib/tfjs/index.ts';
import { ExponentialDecay } from '../lib/index.ts';
import { rejection } from './errors.ts';
import { bits } from './golden.ts';
import { backends, on, read, refused, tf } from './tfjs.ts';

const { sgd, adamW, nadam } = optimizers(tf);

/** A small network; the same weights every time. */
function network(optimizer: TfOptimizer | string = sgd({ learning_rate: 0.5 })): LayersModel {
  const kernelInitializer = tf.initializers.glorotUniform({ seed: 3 });
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 5, inputShape: [3], activation: 'tanh', kernelInitializer }),
      tf.layers.dense({ units: 2, kernelInitializer }),
    ],
  });
  model.compile({ optimizer, loss: 'meanSquaredError', metrics: ['mae'] });
  return model;
}

/** How a model is trained: 10 rows in batches of 4, 4 other rows for the validation. */
interface Way {
  readonly name: string;
  fit(model: LayersModel, callbacks: readonly FitCallback[] | null, epochs: number): Promise<History>;
}
type History = Readonly<Record<string, number[]>>;

const numbers = (rows: number, columns: number, of: (i: number) => number) =>
  tf.tensor2d(
    Array.from({ length: rows * columns }, (_, i) => of(i)),
    [rows, columns],
  );
type Rows = ReturnType<typeof numbers>;
const rows = (): [x: Rows, y: Rows, valX: Rows, valY: Rows] => [
  numbers(10, 3, Math.sin),
  numbers(10, 2, Math.cos),
  numbers(4, 3, (i) => Math.sin(i + 50)),
  numbers(4, 2, (i) => Math.cos(i + 50)),
];
const asked = (model: LayersModel, callbacks: readonly FitCallback[] | null) =>
  callbacks === null ? {} : { callbacks: fitCallbacks(model, callbacks) };

const arrays: Way = {
  name: 'fit',
  async fit(model, callbacks, epochs) {
    const [x, y, valX, valY] = rows();
    const validationData: [Rows, Rows] = [valX, valY];
    const settings = { epochs, batchSize: 4, shuffle: false, verbose: 0, validationData };
    try {
      return (await model.fit(x, y, { ...settings, ...asked(model, callbacks) })).history as History;
    } finally {
      tf.dispose([x, y, valX, valY]);
    }
  },
};
const dataset = (name: string, ofValidation: (x: Rows, y: Rows) => object): Way => ({
  name,
  async fit(model, callbacks, epochs) {
    const [x, y, valX, valY] = rows();
    const zipped = (xs: Rows, ys: Rows) =>
      tf.data
        .zip({
          xs: tf.data.array(xs.arraySync()),
          ys: tf.data.array(ys.arraySync()),
        })
        .batch(4);
    const given = ofValidation === pair ? [valX, valY] : zipped(valX, valY);
    const settings = { epochs, verbose: 0, validationData: given as never };
    try {
      const data = zipped(x, y) as never;
      return (await model.fitDataset(data, { ...settings, ...asked(model, callbacks) })).history as History;
    } finally {
      tf.dispose([x, y, valX, valY]);
    }
  },
});
const pair = (x: Rows, y: Rows): object => [x, y];
const ways = [arrays, dataset('fitDataset with tensors', pair), dataset('fitDataset with datasets', () => ({}))];

const weightsOf = (model: LayersModel): string[][] => model.getWeights().map((weight) => bits(read(weight)));
const close = (model: LayersModel): void => {
  model.optimizer.dispose();
  model.dispose();
};
const rounded = (values: readonly number[] | undefined): number[] => (values ?? []).map(Math.fround);

type Call = [hook: string, ...rest: unknown[]];
/** Writes down all hooks, the names of the logs, and what it is told. */
class Spy extends Callback {
  readonly calls: Call[] = [];
  readonly losses: number[] = [];
  constructor() {
    super();
    for (const name of hookNames)
      this[name] = (...args: unknown[]): void => {
        const logs = args.at(-1);
        if (name.endsWith('batch_end')) this.losses.push((logs as Logs).loss as number);
        const numeric = (value: unknown): void => assert.isNumber(value);
        if (typeof logs === 'object' && logs !== null) Object.values(logs).forEach(numeric);
        this.calls.push([
          name,
          ...args.map((arg) => (typeof arg === 'object' ? Object.keys(arg as object).join() : arg)),
        ]);
      };
  }
}
const hookNames = [
  'on_train_begin',
  'on_train_end',
  'on_epoch_begin',
  'on_epoch_end',
  'on_train_batch_begin',
  'on_train_batch_end',
  'on_test_begin',
  'on_test_end',
] as const;

for (const backend of backends)
  for (const way of ways)
    describe(`callbacks in ${way.name} on ${backend}`, () => {
      on(backend);

      it("are called in Keras's order, with Keras's logs", async () => {
        const [model, spy] = [network(), new Spy()];
        const { loss, val_loss } = await way.fit(model, [spy], 2);
        const called = spy.calls.map(([name]) => name);
        const epoch = (i: number): Call[] => [
          ['on_epoch_begin', i],
          ...[0, 1, 2].flatMap((batch): Call[] => [
            ['on_train_batch_begin', batch],
            ['on_train_batch_end', batch, 'loss,mae'],
          ]),
          ['on_test_begin'],
          ['on_test_end', 'loss,mae'],
          ['on_epoch_end', i, 'loss,mae,val_loss,val_mae'],
        ];
        // fit validates before it says that the last batch has ended
        const sorted = (calls: readonly Call[]) =>
          way === arrays ? calls.map((call) => JSON.stringify(call)).sort() : calls;
        const train: Call[] = [
          ['on_train_begin'],
          ...epoch(0),
          ...epoch(1),
          ['on_train_end', 'loss,mae,val_loss,val_mae'],
        ];
        assert.deepEqual(sorted(spy.calls), sorted(train));
        if (way === arrays) assert.isBelow(called.indexOf('on_test_end'), called.indexOf('on_epoch_end'));
        assert.lengthOf(val_loss as number[], 2);
        spy.losses.forEach((mean, i) => {
          if (i % 3 === 2) assert.closeTo(mean, loss?.[(i - 2) / 3] as number, 1e-6);
        });
        assert.include(spy.params, { epochs: 2, verbose: 0, steps: 3 });
        assert.strictEqual(spy.model?.optimizer, (model.optimizer as TfOptimizer).keras);
        close(model);
      });

      it('LearningRateScheduler and ReduceLROnPlateau set the rate, which stands in the history', async () => {
        const schedule = (epoch: number): number => 0.5 / (epoch + 1);
        const scheduled = network();
        const history = await way.fit(scheduled, [new LearningRateScheduler(schedule)], 3);
        assert.deepEqual(rounded(history.learning_rate), [0, 1, 2].map(schedule).map(Math.fround));
        const byHand = network();
        const losses: number[] = [];
        for (let epoch = 0; epoch < 3; epoch++) {
          (byHand.optimizer as TfOptimizer).learningRate = schedule(epoch);
          losses.push(...((await way.fit(byHand, null, 1)).loss as number[]));
        }
        assert.deepEqual(history.loss, losses);
        assert.deepEqual(weightsOf(scheduled), weightsOf(byHand));
        const stalled = network();
        const plateau = new ReduceLROnPlateau({ patience: 1, factor: 0.5, min_delta: 100 });
        const { learning_rate } = await way.fit(stalled, [plateau], 4);
        assert.deepEqual(learning_rate, [0.5, 0.5, 0.25, 0.125]); // before the reduction
        assert.equal((stalled.optimizer as TfOptimizer).learningRate, 0.0625);
        [scheduled, byHand, stalled].forEach(close);
      });

      it('SwapEMAWeights validates the averages, and trains on with the variables', async () => {
        const make = () => network(adamW({ learning_rate: 0.1, use_ema: true, ema_momentum: 0.5 }));
        const [plain, swapping] = [make(), make()];
        const without = await way.fit(plain, null, 3);
        const spy = new Spy();
        const history = await way.fit(swapping, [new SwapEMAWeights(), spy], 3);
        assert.deepEqual(weightsOf(swapping), weightsOf(plain));
        assert.deepEqual(history.loss, without.loss);
        (plain.optimizer as TfOptimizer).swapEmaWeights();
        const given = rows();
        const evaluated = plain.evaluate(given[2], given[3]) as ReturnType<typeof tf.scalar>[];
        assert.equal(history.val_loss?.at(-1), evaluated[0]?.dataSync()[0]);
        assert.notDeepEqual(history.val_loss, without.val_loss);
        tf.dispose([...given, ...evaluated]);
        close(swapping);
        close(plain);
      });

      it('stop_training ends the training', async () => {
        class Stop extends Callback {
          override on_epoch_end(epoch: number): void {
            if (epoch === 1 && this.model !== null) this.model.stop_training = true;
          }
        }
        const model = network();
        assert.lengthOf((await way.fit(model, [new Stop()], 5)).loss as number[], 2);
        close(model);
      });
    });

for (const backend of backends)
  describe(`fitCallbacks on ${backend}`, () => {
    on(backend);

    it("mixes TensorFlow.js's callbacks and hooks with Keras's, in any order", async () => {
      const calls: string[] = [];
      class Mine extends Callback {
        override on_epoch_end(_epoch: number, logs: Logs): void {
          calls.push('mine');
          logs.added = calls.length;
        }
      }
      const hooks = {
        name: 'hooks',
        onEpochEnd(_epoch: number, logs?: Record<string, number>) {
          calls.push(`${this.name} ${logs?.added}`);
        },
      };
      const stopping = tf.callbacks.earlyStopping({ monitor: 'loss', minDelta: 100 });
      for (const list of [
        [stopping, new Mine(), hooks],
        [new Mine(), hooks, stopping],
      ]) {
        const model = network();
        const { added, loss } = await arrays.fit(model, list, 5);
        assert.deepEqual(calls, ['mine', 'hooks 1', 'mine', 'hooks 3']);
        assert.deepEqual(added, [1, 3]);
        assert.lengthOf(loss as number[], 2, 'stopped early');
        calls.length = 0;
        close(model);
      }
    });

    it('shows the model what a hook writes into the variables, and keeps what it writes into the model', async () => {
      class Writing extends Callback {
        override on_epoch_end(epoch: number): void {
          const { variables } = optimizer.keras;
          assert.isNotEmpty(variables);
          if (epoch === 0) optimizer.keras.finalize_variable_values();
          else model.setWeights(zeros);
        }
      }
      const optimizer = sgd({ learning_rate: 0.1, use_ema: true, ema_momentum: 0.5 });
      const model = network(optimizer);
      const zeros = model.getWeights().map((weight) => tf.zerosLike(weight));
      await arrays.fit(model, [new Writing()], 1);
      const averages = optimizer.keras.variables.filter(({ name }) => name.endsWith('average'));
      assert.lengthOf(averages, 4);
      assert.deepEqual(
        weightsOf(model),
        (await Promise.all(averages.map((average) => average.read()))).map((value) => bits(Array.from(value, Number))),
      );
      await arrays.fit(model, [new Writing()], 2);
      assert.deepEqual(
        weightsOf(model),
        zeros.map((zero) => bits(read(zero))),
      );
      tf.dispose(zeros);
      close(model);
    });

    it('takes no other evaluation for a validation, and is gone when the training ends or fails', async () => {
      const given = rows();
      const model = network();
      const spy = new Spy();
      const evaluate = (): void => tf.dispose(model.evaluate(given[0], given[1]));
      const tests = () => spy.calls.filter(([name]) => name === 'on_test_begin').length;
      await arrays.fit(model, [spy, { onEpochEnd: evaluate, onBatchEnd: evaluate }], 2);
      assert.equal(tests(), 2);
      evaluate();
      assert.equal(tests(), 2);
      const failing = { onEpochEnd: () => Promise.reject(new EvalError('mine')) };
      assert.instanceOf(await rejection(() => arrays.fit(model, [spy, failing], 2)), EvalError);
      assert.equal(tests(), 3);
      evaluate();
      await arrays.fit(model, null, 1);
      assert.equal(tests(), 3);
      await arrays.fit(model, [spy], 1);
      assert.equal(tests(), 4);
      const { model: inner } = model as unknown as { model: object };
      assert.notIncludeMembers(Object.keys(inner), ['testLoop', 'evaluateDataset']);
      tf.dispose(given);
      close(model);
    });

    it('waits for hooks that return promises', async () => {
      const calls: string[] = [];
      class Slow extends Callback {
        override on_epoch_end(): void {
          const slow = new Promise<void>((resolve) => setTimeout(resolve, 5)).then(() => void calls.push('slow'));
          return slow as unknown as void;
        }
      }
      const model = network();
      await arrays.fit(model, [new Slow(), { onEpochEnd: () => void calls.push('next') }], 1);
      assert.deepEqual(calls, ['slow', 'next']);
      close(model);
    });

    it('asks for results of batches only where somebody wants them', async () => {
      const model = network();
      const rate = new LearningRateScheduler(() => 0.1);
      assert.isFalse(fitCallbacks(model, rate).some((hooks) => 'onBatchEnd' in hooks));
      assert.isTrue(fitCallbacks(model, [rate, new Spy()]).some((hooks) => 'onBatchEnd' in hooks));
      close(model);
      await Promise.resolve();
    });
  });

describe('ProgbarLogger and TensorBoard in fit', () => {
  on('cpu');
  const folder = mkdtempSync(join(tmpdir(), 'tfjs-callbacks-'));
  after(() => rmSync(folder, { recursive: true }));

  it('show and write an epoch, its validation and the rate of a schedule', async () => {
    const learning_rate = new ExponentialDecay({ initial_learning_rate: 0.5, decay_steps: 3, decay_rate: 0.5 });
    const model = network(nadam({ learning_rate }));
    const board = new TensorBoard({ log_dir: folder, update_freq: 'batch' });
    let text = '';
    const { stdout } = process;
    const before = Object.getOwnPropertyDescriptor(stdout, 'write');
    const write = (more: string) => ((text += more), true);
    Object.defineProperty(stdout, 'write', { value: write, configurable: true, writable: true });
    let history: History;
    try {
      history = await arrays.fit(model, [board, new ProgbarLogger({ verbose: 2 })], 2);
    } finally {
      Reflect.deleteProperty(stdout, 'write');
      if (before !== undefined) Object.defineProperty(stdout, 'write', before);
    }
    const shown = (name: string, epoch: number) => ` - ${name}: ${history[name]?.[epoch]?.toFixed(4)}`;
    const line = (epoch: number) =>
      `Epoch ${epoch + 1}/2\n3/3 - _${['loss', 'mae', 'val_loss', 'val_mae'].map((name) => shown(name, epoch)).join('')}\n`;
    assert.equal(text.replaceAll(/\d+s - \d+\S+\/step/g, '_'), line(0) + line(1));
    const tags = (part: string) => {
      const [name] = readdirSync(join(folder, part)) as [string];
      const bytes = readFileSync(join(folder, part, name)).toString('latin1');
      return [...new Set(bytes.match(/(?:epoch|batch|evaluation)_[a-z_]+/g))];
    };
    assert.deepEqual(tags('train'), ['batch_loss', 'batch_mae', 'epoch_loss', 'epoch_mae', 'epoch_learning_rate']);
    const evaluated = ['evaluation_loss_vs_iterations', 'evaluation_mae_vs_iterations'];
    assert.deepEqual(tags('validation'), [...evaluated, 'epoch_loss', 'epoch_mae']);
    close(model);
  });
});

describe('fitCallbacks refuses', () => {
  on('cpu');
  const [type, any] = ['ERR_OPT_CONFIG_TYPE', <T>(value: T): never => value as never];

  it('a model with another optimizer, or none, and what is no model', () => {
    const [theirs, ours] = [network('sgd'), network()];
    refused(
      () => fitCallbacks(theirs, []),
      type,
      /expects a model with an optimizer of this package, got \w+: compile it before/,
    );
    const bare = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })] });
    refused(
      () => fitCallbacks(bare, []),
      type,
      /got undefined: compile it before, with one of those that optimizers\(tf\) has/,
    );
    for (const value of [null, undefined, {}, [new Callback()], ours.optimizer])
      refused(() => fitCallbacks(any(value), any([])), type, /fitCallbacks expects the model, a tf.LayersModel/);
    bare.dispose();
    theirs.dispose();
    close(ours);
  });

  it('what is no callback, by its place', () => {
    const model = network();
    for (const [value, got] of [
      [3, '3'],
      [null, 'null'],
      [{}, 'an object'],
      [{ onEpochsEnd: () => 0 }, 'an object'],
      [LearningRateScheduler, 'the class LearningRateScheduler: make an instance'],
      ['earlyStopping', '"earlyStopping"'],
    ] as const)
      refused(
        () => fitCallbacks(model, [new Callback(), any(value)]),
        type,
        new RegExp(`callbacks\\[1\\] to be .*, got ${got}`),
      );
    close(model);
  });

  it('a callback that cannot work on the optimizer, before the training', async () => {
    const decay = new ExponentialDecay({ initial_learning_rate: 0.5, decay_steps: 3, decay_rate: 0.5 });
    const model = network(sgd({ learning_rate: decay }));
    refused(() => fitCallbacks(model, [new ReduceLROnPlateau()]), type, /expects the learning rate of SGD/);
    refused(() => fitCallbacks(model, [new SwapEMAWeights()]), 'ERR_OPT_CONFIG_RANGE', /use_ema/);
    const callbacks = fitCallbacks(model, [new Callback()]);
    const old = model.optimizer;
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' });
    const given = rows();
    const error = await rejection(() => model.fit(given[0], given[1], { callbacks, verbose: 0 }));
    tf.dispose(given);
    assert.propertyVal(error, 'code', type);
    old.dispose();
    model.dispose();
  });
});
