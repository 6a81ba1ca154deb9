// Good files of every kind, how each is loaded, and what may come of it when it has been damaged.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { unzipSync, zipSync, type Zippable } from 'fflate';

import { kHashAt, kHashDigits } from '../../lib/checkpoint/header.ts';
import { Adam, ExponentialDecay, LossScaleOptimizer, Nadam, Optimizer, stringify, Variable } from '../../lib/index.ts';
import { loadKerasOptimizer, type KerasVariable } from '../../lib/keras/index.ts';
import type { Random } from '../random.ts';
import { below, lyingText, mutations, oneOf, regions, type FormatName, type Region } from './mutations.ts';

/** What a load has given, in a form that can be compared. */
export interface Loaded {
  readonly optimizer: Optimizer;
  readonly weights: readonly KerasVariable[];
  readonly content: string;
}

/** A good file. */
export interface Original {
  readonly name: string;
  readonly format: FormatName;
  readonly bytes: Buffer;
  readonly shapes: readonly (readonly number[])[];
  load(path: string, variables: readonly Variable[]): Promise<Loaded>;
}

/** A damaged file; one that is `sealed` has right checksums, so that what it says may be believed. */
export interface Mutated {
  readonly bytes: Buffer;
  readonly what: string;
  readonly sealed: boolean;
}

const shapes = [[3, 4], [4], [4, 1], [1]];
export const variablesOf = (list: Original['shapes']): Variable[] =>
  list.map((shape, i) => new Variable(Array<number>(shape.reduce((a, b) => a * b, 1)).fill(i), { shape }));

const numbersIn = (array: ArrayLike<number | bigint>): string => Array.from(array, String).join(' ');

/** Everything but names of variables, which are not of the file. */
function contentOf(optimizer: Optimizer, variables: readonly Variable[], weights: readonly KerasVariable[]): string {
  const state = optimizer.variables.map((variable) => numbersIn(variable.value as never));
  const own = weights.map(({ value, ...rest }) => JSON.stringify(rest) + numbersIn(value));
  const trained = variables.map(({ value }) => numbersIn(value));
  return [stringify(optimizer), optimizer.iterations, optimizer.learning_rate, ...state, ...own, ...trained].join('\n');
}

async function loadOurs(path: string, variables: readonly Variable[]): Promise<Loaded> {
  const optimizer = await Optimizer.load(path, { variables });
  return { optimizer, weights: [], content: contentOf(optimizer, variables, []) };
}

const loadKeras = (form: unknown) => async (path: string, variables: readonly Variable[]) => {
  const given = form === undefined ? { variables } : { optimizer: form };
  const { optimizer, variables: weights } = await loadKerasOptimizer(path, given);
  if (form !== undefined) optimizer.build(variables);
  return { optimizer, weights, content: contentOf(optimizer, variables, weights) };
};

async function ours(folder: string, name: string, optimizer: Optimizer): Promise<Original> {
  const variables = variablesOf(shapes);
  const gradients = shapes.map((shape) => Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0.25));
  for (let step = 0; step < 3; step++) optimizer.apply(gradients, variables);
  const path = join(folder, `${name}.safetensors`);
  await optimizer.save(path, { variables: true });
  return { name: `${name}.safetensors`, format: 'safetensors', bytes: readFileSync(path), shapes, load: loadOurs };
}

const goldens = ['nadam-constant', 'nadam-exponentialdecay', 'nadam-keras3.9', 'sgd-momentum'];
const golden = (name: string): Buffer => readFileSync(new URL(`../golden/model-${name}`, import.meta.url));
const membersOf = (bytes: Buffer): Record<string, Uint8Array> => unzipSync(bytes);
const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();
const configIn = (bytes: Buffer): unknown =>
  (JSON.parse(textOf(membersOf(bytes)['config.json'])) as { compile_config: { optimizer: unknown } }).compile_config
    .optimizer;

/** An archive; fflate itself cannot write the name __proto__. */
function zipped(members: Zippable, level: 0 | 6): Buffer {
  const bytes = Buffer.from(zipSync(members, { level, mtime: '1990-01-01T00:00:00' }));
  for (let at = -1; (at = bytes.indexOf('..proto..', at + 1)) >= 0;) bytes.write('__proto__', at);
  return bytes;
}

/** All good files; `folder` is for those that are made. */
export async function originalsIn(folder: string): Promise<Original[]> {
  const schedule = new ExponentialDecay({ initial_learning_rate: 0.1, decay_steps: 10, decay_rate: 0.5 });
  const made = [
    await ours(folder, 'nadam', new Nadam({ use_ema: true })),
    await ours(folder, 'scaled', new LossScaleOptimizer({ inner_optimizer: new Adam({ learning_rate: schedule }) })),
    await ours(folder, 'bfloat16', new Adam({ state_dtype: 'bfloat16' })),
  ];
  const keras = goldens.flatMap((name): Original[] => {
    const archive = golden(`${name}.keras`);
    const own = { shapes, format: 'zip' as const, load: loadKeras(undefined) };
    return [
      { ...own, name: `${name}.keras`, bytes: archive },
      { ...own, name: `${name}, deflated.keras`, bytes: zipped(membersOf(archive), 6) },
      {
        name: `${name}.weights.h5`,
        format: 'h5',
        bytes: golden(`${name}.weights.h5`),
        shapes,
        load: loadKeras(configIn(archive)),
      },
    ];
  });
  return [...made, ...keras];
}

/** The number `index` of the damaged files of an original. */
export function mutated({ format, bytes }: Original, next: Random): Mutated {
  const seals = { safetensors: sealedOurs, zip: sealedArchive, h5: undefined };
  const seal = seals[format];
  if (seal !== undefined && next() < 0.4) return seal(bytes, next);
  return { ...damaged(format, bytes, next), sealed: false };
}

function damaged(format: FormatName, bytes: Buffer, next: Random): Omit<Mutated, 'sealed'> {
  let result = bytes;
  const names: string[] = [];
  for (let count = oneOf(next, [1, 1, 1, 2, 3]); count > 0; count--) {
    const [name, mutate] = oneOf(next, Object.entries(mutations));
    names.push(name);
    const region = oneOf(next, regions[format]);
    const within: Region = (part, random) => Math.min(part.length - 1, region(part, random));
    if (result.length > 0) result = mutate(result, next, within);
  }
  return { bytes: result, what: names.join(', ') };
}

/** A header or data that lie, with a hash that is right. */
function sealedOurs(bytes: Buffer, next: Random): Mutated {
  const end = 8 + Number(bytes.readBigUInt64LE(0));
  const header = bytes.toString('utf8', 8, end).trimEnd();
  const data = bytes.subarray(end);
  const kind = oneOf(next, ['text', 'state', 'bytes'] as const);
  const text = kind === 'text' ? lyingText(header, next) : kind === 'state' ? lyingState(header, next) : header;
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  const other = kind === 'bytes' ? damaged('safetensors', data, next).bytes : data;
  const file = Buffer.concat([length, Buffer.from(text), other]);
  file.fill('0', kHashAt, kHashAt + kHashDigits);
  file.write(createHash('sha256').update(file).digest('hex'), kHashAt);
  return { bytes: file, what: `${kind} with a right hash`, sealed: true };
}

/** What the metadata say of the state or the config, which are texts in a text. */
function lyingState(header: string, next: Random): string {
  const value = JSON.parse(header) as { __metadata__: Record<string, string> };
  const key = oneOf(next, ['state', 'config', 'iteration', 'class']);
  value.__metadata__[key] = lyingText(value.__metadata__[key] as string, next);
  return JSON.stringify(value);
}

/** Members that lie, with CRCs that are right. */
function sealedArchive(bytes: Buffer, next: Random): Mutated {
  const members = membersOf(bytes);
  const name = oneOf(next, ['config.json', 'config.json', 'metadata.json', 'model.weights.h5', 'model.weights.h5']);
  const own = Buffer.from(members[name] ?? []);
  const isText = name.endsWith('.json') && next() < 0.8;
  const { bytes: other, what } = isText
    ? { bytes: Buffer.from(lyingText(own.toString(), next)), what: 'a text' }
    : damaged(name.endsWith('.h5') ? 'h5' : 'zip', own, next);
  members[name] = other;
  if (next() < 0.1)
    members[oneOf(next, ['../../x', '/etc/x', '..proto..', `${name}/`])] = other.subarray(0, below(next, 9));
  return { bytes: zipped(members, oneOf(next, [0, 6])), what: `${what} in ${name} with a right CRC`, sealed: true };
}
