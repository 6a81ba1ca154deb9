// Bad files: truncated, altered, or made to lie with a hash that is right. Each is refused with a code, and nothing is loaded.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { assert } from 'chai';

import { kHashAt, kHashDigits } from '../lib/checkpoint/header.ts';
import { CheckpointError, Nadam, Optimizer } from '../lib/index.ts';
import { rejection } from './errors.ts';
import { train, variablesOf } from './interrupted.ts';

let folder = '';
let good = Buffer.alloc(0);
const path = () => join(folder, 'file.safetensors');

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'checkpoint-'));
  const optimizer = new Nadam();
  train(optimizer, variablesOf(), 0, 2);
  await optimizer.save(path(), { variables: true });
  good = await readFile(path());
});
after(() => rm(folder, { recursive: true }));

/** Asserts that a file is refused, and that variables stay as they are. */
async function refused(bytes: Uint8Array, codes: readonly string[], message = /./): Promise<void> {
  await writeFile(path(), bytes);
  const variables = variablesOf();
  const error = await rejection(() => Optimizer.load(path(), { variables }));
  assert.instanceOf(error, CheckpointError, String(error?.stack));
  assert.include(codes, error?.code, String(error));
  assert.match(String(error?.message), message);
  assert.deepEqual(
    variables.map(({ value }) => [...value]),
    variablesOf().map(({ value }) => [...value]),
  );
}

interface Entry {
  dtype: string;
  shape: unknown;
  data_offsets: unknown;
  more?: unknown;
}
type Header = Record<string, Entry> & { __metadata__: Record<string, unknown> };

/** A file with a right hash around a header text. */
function hashed(text: string, data: Uint8Array): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  const file = Buffer.concat([length, Buffer.from(text), data]);
  file.fill('0', kHashAt, kHashAt + kHashDigits);
  file.write(createHash('sha256').update(file).digest('hex'), kHashAt);
  return file;
}

const dataOf = (file: Buffer) => file.subarray(8 + Number(file.readBigUInt64LE(0)));
const textOf = (file: Buffer) => file.toString('utf8', 8, 8 + Number(file.readBigUInt64LE(0))).trimEnd();

/** The good file with another header. */
function changed(change: (header: Header) => void, data = dataOf(good)): Buffer {
  const header = JSON.parse(textOf(good)) as Header;
  change(header);
  return hashed(JSON.stringify(header), data);
}

/** The good file with another state. */
const withState = (change: (state: Record<string, unknown>) => void): Buffer =>
  changed(({ __metadata__ }) => {
    const state = JSON.parse(__metadata__.state as string) as Record<string, unknown>;
    change(state);
    __metadata__.state = JSON.stringify(state);
  });

const first = (header: Header): Entry => Object.values(header)[1] as Entry;
const list = (state: Record<string, unknown>, key = 'values') => state[key] as Record<string, unknown>[];

const lies: Readonly<Record<string, readonly [() => Buffer, string, RegExp?]>> = {
  'the name of an array twice': [
    () => hashed(textOf(good).replace(/("optimizer[^{]*\{[^}]*\})/, '$1,$1'), dataOf(good)),
    'ERR_CKPT_FORMAT',
  ],
  'other spaces': [() => hashed(textOf(good).replace('":{"dtype"', '": {"dtype"'), dataOf(good)), 'ERR_CKPT_FORMAT'],
  'a header that is no JSON': [
    () => hashed(textOf(good).slice(0, -1), dataOf(good)),
    'ERR_CKPT_FORMAT',
    /cannot be read/,
  ],
  'a header of 100,000 levels': [
    () => hashed(`${textOf(good).slice(0, -1)},"x":${'['.repeat(1e5)}${']'.repeat(1e5)}}`, dataOf(good)),
    'ERR_CKPT_FORMAT',
  ],
  'bytes that are no UTF-8': [
    () => {
      const file = hashed(textOf(good), dataOf(good));
      file[file.indexOf('optimizer/')] = 0xff;
      return file;
    },
    'ERR_CKPT_FORMAT',
  ],
  'an array with the name __proto__': [
    () =>
      hashed(
        `${textOf(good).slice(0, -1)},"__proto__":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}`,
        dataOf(good),
      ),
    'ERR_CKPT_LAYOUT',
    /__proto__/,
  ],
  'metadata with __proto__': [
    () => hashed(textOf(good).replace('"format"', '"__proto__":{"polluted":"yes"},"format"'), dataOf(good)),
    'ERR_CKPT_FORMAT',
  ],
  'an unknown dtype': [() => changed((h) => void (first(h).dtype = 'F8_E4M3')), 'ERR_CKPT_LAYOUT', /F64, I64, F32/],
  'a dtype of every object': [() => changed((h) => void (first(h).dtype = 'constructor')), 'ERR_CKPT_LAYOUT'],
  'a shape of more elements': [() => changed((h) => void (first(h).shape = [1e9, 1e9])), 'ERR_CKPT_LAYOUT'],
  'a negative shape': [() => changed((h) => void (first(h).shape = [-3, -4])), 'ERR_CKPT_LAYOUT'],
  'a shape that is a text': [() => changed((h) => void (first(h).shape = '34')), 'ERR_CKPT_LAYOUT'],
  'offsets that overlap': [() => changed((h) => void (first(h).data_offsets = [-8, 40])), 'ERR_CKPT_LAYOUT'],
  'offsets with a gap': [() => changed((h) => void (first(h).data_offsets = [8, 56])), 'ERR_CKPT_LAYOUT'],
  'offsets that are huge': [() => changed((h) => void (first(h).data_offsets = [0, 2 ** 60])), 'ERR_CKPT_LAYOUT'],
  'something else said of an array': [() => changed((h) => void (first(h).more = 1)), 'ERR_CKPT_LAYOUT'],
  'more data than it describes': [
    () => hashed(textOf(good), Buffer.concat([dataOf(good), Buffer.alloc(4)])),
    'ERR_CKPT_LAYOUT',
  ],
  'less data than it describes': [() => hashed(textOf(good), dataOf(good).subarray(4)), 'ERR_CKPT_LAYOUT'],
  'a later version': [
    () => changed((h) => void (h.__metadata__.version = '2')),
    'ERR_CKPT_VERSION',
    /has version 2, .* version 1/,
  ],
  'another format': [() => changed((h) => void (h.__metadata__.format = 'pt')), 'ERR_CKPT_FORMAT'],
  'no state': [() => changed((h) => void delete h.__metadata__.state), 'ERR_CKPT_FORMAT'],
  'a number in the metadata': [() => changed((h) => void (h.__metadata__.iteration = 5)), 'ERR_CKPT_FORMAT'],
  'a config that is no JSON': [() => changed((h) => void (h.__metadata__.config = '{')), 'ERR_CKPT_CONFIG'],
  'an unknown class': [
    () => changed((h) => void (h.__metadata__.config = '{"class_name":"constructor","config":{}}')),
    'ERR_CKPT_CLASS',
  ],
  'a schedule': [
    () =>
      changed((h) => {
        const config = { initial_learning_rate: 1, decay_steps: 1, decay_rate: 1 };
        h.__metadata__.config = JSON.stringify({ class_name: 'InverseTimeDecay', config });
      }),
    'ERR_CKPT_CLASS',
  ],
  'another class with the same options': [
    () => changed((h) => void (h.__metadata__.config = String(h.__metadata__.config).replace('"Nadam"', '"RMSprop"'))),
    'ERR_CKPT_CONFIG',
  ],
  'a state that is no JSON': [() => changed((h) => void (h.__metadata__.state = '[')), 'ERR_CKPT_LAYOUT'],
  'a state that is a list': [() => changed((h) => void (h.__metadata__.state = '[]')), 'ERR_CKPT_LAYOUT'],
  'a counter of -1': [() => withState((s) => void (s.counter = -1)), 'ERR_CKPT_MISMATCH'],
  'a counter that is a text': [() => withState((s) => void (s.counter = '1')), 'ERR_CKPT_LAYOUT'],
  'a product that is a text': [() => withState((s) => void (s.running = { float32: '1' })), 'ERR_CKPT_LAYOUT'],
  'wrappers without end': [
    () =>
      withState((s) => void (s.members = Array.from({ length: 20 }).reduce((inner) => [{ ...s, members: inner }], []))),
    'ERR_CKPT_LAYOUT',
  ],
  'a wrapped optimizer too many': [
    () => withState((s) => void (s.members = [{ name: 'x', built: false, counter: 0, values: [], members: [] }])),
    'ERR_CKPT_MISMATCH',
  ],
  'an array that the state does not have': [() => withState((s) => void list(s).pop()), 'ERR_CKPT_LAYOUT'],
  'an array in two places': [
    () => withState((s) => void ((list(s)[1] as Record<string, unknown>).tensor = list(s)[0]?.tensor)),
    'ERR_CKPT_LAYOUT',
  ],
  'another shape in the state': [
    () => withState((s) => void ((list(s)[0] as Record<string, unknown>).shape = [4, 3])),
    'ERR_CKPT_LAYOUT',
  ],
  'slots in another order': [() => withState((s) => void (s.values = [...list(s)].reverse())), 'ERR_CKPT_MISMATCH'],
  'an entry that is none': [() => withState((s) => void list(s).push(null as never)), 'ERR_CKPT_LAYOUT'],
};

describe('a file that is bad is refused:', () => {
  it('the one that the others are made of is good', async () => {
    await writeFile(path(), hashed(textOf(good), dataOf(good)));
    assert.equal((await Optimizer.load(path(), { variables: variablesOf() })).iterations, 2);
    await writeFile(
      path(),
      withState(() => {}),
    );
    assert.equal((await Optimizer.load(path())).iterations, 2);
  });

  for (const [name, [make, code, message]] of Object.entries(lies)) it(name, () => refused(make(), [code], message));

  it('with one bit flipped, anywhere', async () => {
    const codes = ['ERR_CKPT_FORMAT', 'ERR_CKPT_LAYOUT', 'ERR_CKPT_HASH', 'ERR_CKPT_VERSION'];
    for (let i = 0; i < good.length; i += i < 96 ? 1 : 23) {
      const bytes = Buffer.from(good);
      bytes[i] = (bytes[i] as number) ^ (1 << (i % 8));
      await refused(bytes, codes);
    }
  });

  it('cut off, anywhere', async () => {
    for (let length = 0; length < good.length; length += length < 16 ? 1 : 101)
      await refused(good.subarray(0, length), ['ERR_CKPT_FORMAT', 'ERR_CKPT_LAYOUT']);
  });

  it('with a length of its header that is huge, without memory for it', async () => {
    const file = await open(path(), 'w');
    await file.truncate(2 ** 33); // sparse
    for (const length of [2n ** 26n + 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n]) {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(length);
      await file.write(bytes, 0, 8, 0);
      const before = process.memoryUsage().arrayBuffers;
      const error = await rejection(() => Optimizer.load(path()));
      assert.equal(error?.code, 'ERR_CKPT_LAYOUT');
      assert.isBelow(process.memoryUsage().arrayBuffers - before, 2 ** 20);
    }
    await file.close();
  });

  it('a pipe and a device, without waiting for them', async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    for (const name of [pipe, '/dev/zero', folder]) {
      const error = await rejection(() => Optimizer.load(name));
      assert.include(['ERR_CKPT_FORMAT', 'ERR_CKPT_IO'], error?.code, name);
    }
  });
});
