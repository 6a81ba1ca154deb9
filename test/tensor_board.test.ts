// The files of TensorBoard: their bytes, and when they are written. test:python compares them with Keras's own.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { LearningRateScheduler, TensorBoard } from '../lib/callbacks/index.ts';
import { crc32c, maskedCrc32c } from '../lib/callbacks/crc32c.ts';
import { firstEvent, scalarEvent } from '../lib/callbacks/events.ts';
import { ExponentialDecay, SGD, Variable, type Optimizer } from '../lib/index.ts';
import { thrown } from './errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'tensor-board-'));
after(() => rmSync(folder, { recursive: true }));
let folders = 0;

/** A callback with a folder of its own. */
function scene(options: object = {}, optimizer: Optimizer = new SGD({ learning_rate: 0.5 })) {
  const log_dir = join(folder, `${folders++}`);
  const callback = new TensorBoard({ log_dir, ...options });
  callback.set_model({ optimizer });
  callback.on_train_begin();
  return { log_dir, callback, optimizer };
}

const pathsOf = (log_dir: string): string[] =>
  readdirSync(log_dir, { recursive: true, encoding: 'utf8' }).filter((path) => path.includes('tfevents'));

/** A step below 128, a tag and a value. */
const scalar = /^.{18}(?:10(..))?2a..0a..0a..((?:..)+)420a080112002204(.{8})4a0b0a090a077363616c617273$/;
const bytesOf = (digits = ''): Buffer => Buffer.from(digits, 'hex');

/** Tag, step and value of the scalars in a folder of a callback, by their place in the bytes; every checksum has to be right. */
function scalarsIn(log_dir: string, part: string): [tag: string, step: number, value: number][] {
  const paths = pathsOf(log_dir).filter((path) => path.startsWith(part));
  return paths.flatMap((path) => {
    const bytes = readFileSync(join(log_dir, path));
    const found: [string, number, number][] = [];
    for (let begin = 0; begin < bytes.length;) {
      const length = Number(bytes.readBigUInt64LE(begin));
      const data = bytes.subarray(begin + 12, begin + 12 + length);
      assert.equal(bytes.readUInt32LE(begin + 8), maskedCrc32c(bytes.subarray(begin, begin + 8)));
      assert.equal(bytes.readUInt32LE(begin + 12 + length), maskedCrc32c(data));
      const match = scalar.exec(data.toString('hex'));
      if (match === null) assert.include(data.toString(), 'brain.Event:2');
      else found.push([bytesOf(match[2]).toString(), bytesOf(match[1])[0] ?? 0, bytesOf(match[3]).readFloatLE()]);
      begin += length + 16;
    }
    return found;
  });
}

describe('the bytes of an event', () => {
  it("have Castagnoli's checksum", () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283); // the check value of the catalogues
    assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa); // RFC 3720, appendix B.4
    assert.equal(crc32c(new Uint8Array(32).fill(255)), 0x62a8ab43);
  });

  it('are those that TensorFlow 2.21 writes', () => {
    const data = (record: Buffer) => record.subarray(12, -4).toString('hex');
    assert.equal(
      data(firstEvent(1795285965)),
      '09000040f378c0da411a0d627261696e2e4576656e743a3252240a2274656e736f72666c6f772e636f72652e7574696c2e6576656e74735f777269746572',
    );
    assert.equal(
      data(scalarEvent(1795285966.7573719, 2, 'batch_loss', Buffer.from('27588b39', 'hex').readFloatLE())),
      '09c878b0f378c0da4110022a270a250a0a62617463685f6c6f7373420a08011200220427588b394a0b0a090a077363616c617273',
    );
  });

  it('have steps of any size', () => {
    for (const [step, digits] of [
      [127, '107f'],
      [128, '108001'],
      [2 ** 32, '108080808010'],
      [Number.MAX_SAFE_INTEGER, '10ffffffffffffff0f'],
    ] as const)
      assert.include(scalarEvent(0, step, 'a', 1).toString('hex'), `${digits}2a`);
  });
});

describe('TensorBoard', () => {
  it('writes an epoch: results and learning rate into train, the validation into its own folder', () => {
    const { log_dir, callback } = scene();
    callback.on_epoch_end(0, { loss: 2, accuracy: 0.25, val_loss: 3, none: null });
    callback.on_epoch_end(1, { loss: 1, val_loss: NaN });
    assert.deepEqual(scalarsIn(log_dir, 'train'), [
      ['epoch_loss', 0, 2],
      ['epoch_accuracy', 0, 0.25],
      ['epoch_learning_rate', 0, 0.5],
      ['epoch_loss', 1, 1],
      ['epoch_learning_rate', 1, 0.5],
    ]);
    assert.deepEqual(scalarsIn(log_dir, 'validation'), [
      ['epoch_loss', 0, 3],
      ['epoch_loss', 1, NaN],
    ]);
    assert.match(pathsOf(log_dir).join(), /train.events\.out\.tfevents\.\d{10}\.[^,]+\.\d+\.\d+\.v2/);
  });

  it('writes the rate that a schedule says, once if a callback has written it into the logs', () => {
    const learning_rate = new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 1, decay_rate: 0.5 });
    const decaying = scene({}, new SGD({ learning_rate }));
    const weight = new Variable([0]);
    for (const epoch of [0, 1]) {
      decaying.optimizer.apply([[1]], [weight]);
      decaying.callback.on_epoch_end(epoch, { loss: 1 });
    }
    const rates = scalarsIn(decaying.log_dir, 'train').filter(([tag]) => tag.endsWith('rate'));
    assert.deepEqual(rates, [
      ['epoch_learning_rate', 0, 0.5],
      ['epoch_learning_rate', 1, 0.25],
    ]);
    const { log_dir, callback, optimizer } = scene();
    const scheduler = new LearningRateScheduler(() => 0.25);
    scheduler.set_model({ optimizer });
    const logs = { loss: 1 };
    scheduler.on_epoch_begin(0);
    for (const one of [scheduler, callback]) one.on_epoch_end(0, logs);
    assert.deepEqual(scalarsIn(log_dir, 'train'), [
      ['epoch_loss', 0, 1],
      ['epoch_learning_rate', 0, 0.25],
    ]);
  });

  for (const [update_freq, steps] of [
    ['epoch', []],
    ['batch', [1, 2, 3, 4, 5]],
    [2, [2, 4]],
  ] as const)
    it(`with update_freq ${update_freq} writes batches ${steps.join()}`, () => {
      const { log_dir, callback } = scene({ update_freq });
      for (let batch = 0; batch < 5; batch++) {
        callback.on_train_batch_begin(batch);
        callback.on_train_batch_end(batch, { loss: batch });
      }
      assert.isFalse(readdirSync(folder).includes(log_dir.slice(folder.length + 1)), 'nothing is written in an epoch');
      callback.on_train_end();
      const found = steps.length === 0 ? [] : scalarsIn(log_dir, 'train');
      assert.deepEqual(
        found,
        steps.map((step) => ['batch_loss', step, step - 1]),
      );
    });

  it('writes every epoch and evaluation, whatever update_freq says', () => {
    const { log_dir, callback } = scene({ update_freq: 4 });
    for (let batch = 0; batch < 6; batch++) {
      callback.on_train_batch_begin(batch);
      callback.on_train_batch_end(batch, { loss: batch });
    }
    callback.on_test_begin();
    callback.on_test_end({ loss: 7 });
    callback.on_epoch_end(0, { loss: 8 });
    assert.deepEqual(scalarsIn(log_dir, 'train'), [
      ['batch_loss', 4, 3],
      ['epoch_loss', 0, 8],
      ['epoch_learning_rate', 0, 0.5],
    ]);
    assert.deepEqual(scalarsIn(log_dir, 'validation'), [['evaluation_loss_vs_iterations', 0, 7]]);
  });

  it('writes an evaluation over the steps of the optimizer', () => {
    const { log_dir, callback, optimizer } = scene();
    const weight = new Variable([0]);
    for (let step = 0; step < 3; step++) optimizer.apply([[1]], [weight]);
    callback.on_test_begin();
    callback.on_test_end({ loss: 0.5 });
    assert.deepEqual(scalarsIn(log_dir, 'validation'), [['evaluation_loss_vs_iterations', 3, 0.5]]);
    assert.deepEqual(scalarsIn(log_dir, 'train'), []);
  });

  it('writes how fast it goes if that is asked', () => {
    const { log_dir, callback, optimizer } = scene({ write_steps_per_second: true, update_freq: 'batch' });
    callback.on_epoch_begin(0);
    callback.on_train_batch_begin(0);
    optimizer.apply([[1]], [new Variable([0])]);
    callback.on_train_batch_end(0);
    callback.on_epoch_end(0, { loss: 1 });
    const speeds = scalarsIn(log_dir, 'train').filter(([tag]) => tag.endsWith('_steps_per_second'));
    assert.deepEqual(
      speeds.map(([tag, step]) => [tag, step]),
      [
        ['batch_steps_per_second', 1],
        ['epoch_steps_per_second', 0],
      ],
    );
    for (const [, , speed] of speeds) assert.isTrue(speed > 0 && speed < Infinity);
  });

  it('begins new files for a new model, and goes on in the old ones otherwise', () => {
    const { log_dir, callback, optimizer } = scene();
    for (const epoch of [0, 1]) callback.on_epoch_end(epoch, { loss: 1 });
    callback.on_train_end();
    assert.lengthOf(pathsOf(log_dir), 1);
    callback.set_model({ optimizer });
    assert.lengthOf(pathsOf(log_dir), 1);
    callback.on_epoch_end(2, { loss: 1 });
    assert.lengthOf(pathsOf(log_dir), 2);
    assert.lengthOf(scalarsIn(log_dir, 'train'), 6);
  });

  it('writes nothing where there are no results', () => {
    const { callback, log_dir } = scene();
    for (const logs of [undefined, null, {}, { loss: null }]) callback.on_epoch_end(0, logs);
    callback.on_test_end();
    callback.on_train_end();
    assert.throws(() => pathsOf(log_dir), /ENOENT/);
  });

  it('says what it could not write, and writes it into a new file when it can', () => {
    const { callback, log_dir } = scene();
    callback.on_epoch_end(0, { loss: 1 });
    const [first] = pathsOf(log_dir) as [string];
    rmSync(log_dir, { recursive: true });
    writeFileSync(log_dir, 'a file where the folder was');
    const error = thrown(() => callback.on_epoch_end(1, { loss: 2 }));
    assert.equal(error?.code, 'ERR_OPT_FILE');
    assert.match(String(error?.message), /^TensorBoard expects to write .*tfevents.*, got E/);
    rmSync(log_dir);
    mkdirSync(log_dir);
    callback.on_train_end();
    assert.notInclude(pathsOf(log_dir), first);
    assert.deepEqual(
      scalarsIn(log_dir, 'train').map(([tag, step, value]) => [tag, step, value]),
      [
        ['epoch_loss', 1, 2],
        ['epoch_learning_rate', 1, 0.5],
      ],
    );
  });

  it("has Keras's defaults, and takes what turns its other options off", () => {
    const { log_dir, update_freq, write_steps_per_second } = new TensorBoard();
    assert.deepEqual([log_dir, update_freq, write_steps_per_second], ['logs', 'epoch', false]);
    assert.equal(new TensorBoard({ update_freq: 'batch' }).update_freq, 1);
    new TensorBoard({
      histogram_freq: 0,
      write_graph: false,
      write_images: false,
      profile_batch: 0,
      embeddings_freq: 0,
    });
  });

  const refusals: readonly [object, string, RegExp][] = [
    [
      { histogram_freq: 1 },
      'RANGE',
      /histogram_freq to be 0 or left out, for histograms of weights are not written, got 1/,
    ],
    [{ write_graph: true }, 'RANGE', /write_graph to be false or left out, for the graph is not written, got true/],
    [{ update_freq: 'steps' }, 'RANGE', /update_freq to be "epoch", "batch" or a whole number > 0, got "steps"/],
    [{ update_freq: 0 }, 'RANGE', /got 0/],
    [{ update_freq: 1.5 }, 'RANGE', /got 1.5/],
    [{ update_freq: null }, 'TYPE', /got null/],
    [{ log_dir: 3 }, 'TYPE', /log_dir to be a string, got 3/],
    [{ logdir: 'logs' }, 'TYPE', /\(log_dir, write_steps_per_second, update_freq\), got "logdir"/],
  ];
  for (const [options, kind, message] of refusals)
    it(`refuses ${JSON.stringify(options)}`, () => {
      const error = thrown(() => new TensorBoard(options));
      assert.equal(error?.code, `ERR_OPT_CONFIG_${kind}`);
      assert.match(String(error?.message), message);
    });

  it('refuses results that are no numbers, and writes none of their epoch', () => {
    const { callback, log_dir } = scene();
    const error = thrown(() => callback.on_epoch_end(0, { loss: 1, val_loss: 'low' as never }));
    assert.equal(error?.code, 'ERR_OPT_CONFIG_TYPE');
    assert.match(String(error?.message), /TensorBoard expects logs.val_loss to be a number or null, got "low"/);
    callback.on_train_end();
    assert.throws(() => pathsOf(log_dir), /ENOENT/);
  });
});
