// The files of TensorBoard: byte by byte those that Keras's callback writes where it gets the same calls, read by TensorFlow, which
// checks the checksums, and by TensorBoard.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { record } from '../../lib/callbacks/events.ts';
import { TensorBoard, type Logs } from '../../lib/callbacks/index.ts';
import { deserialize, serialize, stringify, Variable, type Optimizer } from '../../lib/index.ts';
import { isMissing, type Call, type FileEvent, type Folders, type Keras, type Scalar } from './keras.ts';
import { findsOne } from './self_test.ts';
import { Tally } from './tally.ts';

const form = (class_name: string, config: object) =>
  serialize(deserialize({ class_name, config: { name: class_name.toLowerCase(), ...config } }));
const decay = form('ExponentialDecay', { initial_learning_rate: 0.5, decay_steps: 2, decay_rate: 0.25 });
const sgd = form('SGD', { learning_rate: 0.1 });
const optimizer_map = { class_name: 'OptimizerMap', config: { default_optimizer: sgd, optimizer_map: {} } };

const optimizers = {
  'a rate': sgd,
  'a schedule': form('Nadam', { learning_rate: decay }),
  'a loss scale': form('LossScaleOptimizer', { inner_optimizer: form('Adam', { learning_rate: 0.25 }) }),
  'several optimizers': form('MultiOptimizer', { optimizer_map }),
};
const options: readonly { readonly update_freq?: 'batch' | number }[] = [
  {},
  { update_freq: 'batch' },
  { update_freq: 1 },
  { update_freq: 3 },
];

const numbers = [0.5, -0, 1 / 3, 1e-40, -1e38, NaN, Infinity, -Infinity]; // some are rounded to float32
const named = (first: number, names: readonly string[]) =>
  Object.fromEntries(names.map((name, i) => [name, String(numbers[(first + i) % numbers.length])]));
const metrics = ['loss', 'accuracy', 'top k/\u00fcber'];

/**
 * A training: each batch, each evaluation and each epoch with other numbers. Keras forgets an epoch or an evaluation if its last batch
 * is not one of those that `update_freq` says, so here it is.
 */
function callsOf(epochs: readonly number[], update_freq = 1): Call[] {
  const calls: Call[] = [['on_train_begin']];
  let step = 0;
  for (const epoch of epochs) {
    calls.push(['on_epoch_begin', epoch]);
    for (let batch = 0; batch < 2 * update_freq; batch++)
      calls.push(
        ['on_train_batch_begin', batch],
        ['iterations', ++step],
        ['on_train_batch_end', batch, named(step, metrics)],
      );
    calls.push(['on_test_begin']);
    for (let batch = 0; batch < update_freq; batch++)
      calls.push(['on_test_batch_begin', batch], ['on_test_batch_end', batch, named(batch, metrics)]);
    calls.push(['on_test_end', named(step + 1, metrics)]);
    const validated = metrics.map((name) => `val_${name}`);
    calls.push(['on_epoch_end', epoch, named(step + 2, [...metrics, ...validated, 'learning_rate'])]);
  }
  return [...calls, ['on_train_end']];
}

const read = (logs: Readonly<Record<string, string>>): Logs =>
  Object.fromEntries(Object.entries(logs).map(([name, value]) => [name, Number(value)]));

/** Our callback gets the calls. */
function write(directory: string, optimizer: Optimizer, given: object, calls: readonly Call[]): void {
  const weight = new Variable([0], { name: 'weight' });
  optimizer.build([weight]);
  const callback = new TensorBoard({ log_dir: directory, ...given });
  callback.set_model({ optimizer });
  for (const [name, ...args] of calls) {
    if (name === 'iterations') while (optimizer.iterations < Number(args[0])) optimizer.apply([[0]]);
    else {
      const hooks = callback as unknown as Record<string, (...args: unknown[]) => void>;
      hooks[name]?.(...args.map((arg) => (typeof arg === 'object' ? read(arg) : arg)));
    }
  }
}

async function inFolder<T>(part: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'tensor-board-'));
  try {
    return await part(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const scalarsOf = (folders: Folders<FileEvent>): Folders<Scalar> =>
  Object.fromEntries(
    Object.entries(folders).map(([name, events]) => [
      name,
      events.flatMap(({ scalars }) => scalars.map(({ tag, step, value }) => ({ tag, step, value }))),
    ]),
  );
/** TensorBoard sorts by tags. */
const sorted = (folders: Folders<Scalar>): string[] =>
  Object.entries(folders)
    .flatMap(([folder, scalars]) => scalars.map((scalar) => JSON.stringify({ folder, ...scalar })))
    .sort();

const times = /_steps_per_second$/;
/** Everything but times. */
const timeless = (folders: Folders<FileEvent>) =>
  Object.entries(folders).map(([name, events]) => [
    name,
    events.map(({ bytes, scalars: [first] }) => (first && times.test(first.tag) ? [first.tag, first.step] : bytes)),
  ]);

/** The files of both, to the bit; `given` is what Keras gets. */
async function checkFiles(keras: Keras, optimizer: Optimizer, options: object, calls: readonly Call[], given = calls) {
  await inFolder(async (directory) => {
    write(directory, optimizer, options, calls);
    const { folders } = await keras.ask('events', { directory });
    const theirs = await keras.ask('keras_events', { optimizer: stringify(optimizer), options, calls: given });
    assert.deepEqual(timeless(folders), timeless(theirs.folders));
    const shown = await keras.ask('shown', { directory });
    assert.deepEqual(sorted(shown.folders), sorted(scalarsOf(folders)));
  });
}

/** A record, its length and its checksums are TensorFlow's. */
async function checkRecord(keras: Keras, data: Uint8Array): Promise<void> {
  const { bytes } = await keras.ask('record', { data: Buffer.from(data).toString('base64') });
  assert.equal(record(data).toString('base64'), bytes);
}

const bytesOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (37 * i + 11 * length) % 251);
const optimizerOf = (name: keyof typeof optimizers): Optimizer => deserialize(optimizers[name]) as Optimizer;
const epochs = [0, 1, 300]; // the step of the last one has two bytes
const training = callsOf(epochs);

export async function* checkTensorBoard(keras: Keras): AsyncGenerator<Tally> {
  if (await isMissing(keras, 'tensorboard', 'TensorBoard')) return; // Keras needs it to write scalars
  const tally = new Tally('TensorBoard');
  for (const length of [0, 1, 2, 127, 128, 1000])
    await tally.check('records', length, () => checkRecord(keras, bytesOf(length)));
  for (const name of Object.keys(optimizers) as (keyof typeof optimizers)[])
    for (const given of options)
      await tally.check('folders to the bit', { name, ...given }, () =>
        checkFiles(keras, optimizerOf(name), given, callsOf(epochs, Number(given.update_freq) || 1)),
      );
  const timed = { write_steps_per_second: true, update_freq: 2 };
  await tally.check('folders with times', timed, () =>
    checkFiles(keras, optimizerOf('a rate'), timed, callsOf(epochs, 2)),
  );
  yield tally;
}

/** One bit of a file is turned over. */
async function checkDamaged(keras: Keras): Promise<void> {
  await inFolder(async (directory) => {
    write(directory, optimizerOf('a rate'), {}, training);
    const path = join(directory, 'train', readdirSync(join(directory, 'train'))[0] as string);
    const bytes = readFileSync(path);
    bytes[bytes.length - 6] = (bytes.at(-6) as number) ^ 1;
    writeFileSync(path, bytes);
    const refusal = await keras.ask('events', { directory }).then(
      () => '',
      ({ message }: Error) => message,
    );
    assert.notInclude(refusal, 'DataLossError');
  });
}

export async function* plantInTensorBoard(keras: Keras): AsyncGenerator<Tally> {
  if (await isMissing(keras, 'tensorboard', 'TensorBoard')) return; // Keras needs it to write scalars
  const tally = new Tally('TensorBoard');
  const other = callsOf([0, 1, 301]);
  await findsOne(tally, 'in steps', other.length, () => checkFiles(keras, optimizerOf('a rate'), {}, training, other));
  const renamed = JSON.parse(JSON.stringify(training).replaceAll('accuracy', 'accuracz')) as Call[];
  await findsOne(tally, 'in tags', renamed.length, () =>
    checkFiles(keras, optimizerOf('a rate'), {}, training, renamed),
  );
  const near = JSON.parse(JSON.stringify(training).replaceAll(String(1 / 3), String(1 / 3 + 1e-7))) as Call[];
  await findsOne(tally, 'in values', near.length, () => checkFiles(keras, optimizerOf('a rate'), {}, training, near));
  await findsOne(tally, 'in checksums', 'a bit', () => checkDamaged(keras));
  yield tally;
}
