// A file of Keras, as a whole: .keras (an archive of config.json, metadata.json and model.weights.h5) or .weights.h5. Which of them it
// is, its first bytes say.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { CheckpointError, systemError } from '../checkpoint/errors.ts';
import { isPlainObject, type Config } from '../configurable.ts';
import { contentOfH5, type Content } from './h5.ts';
import { refusal } from './refusal.ts';
import { allOf, fileSource, type Source } from './source.ts';
import { contentOf, membersOf, type Member, type PartOf } from './zip.ts';

/** What there is in a file. */
export interface KerasFile extends Content {
  readonly path: string;
  readonly format: '.keras' | '.weights.h5';
  /** The text of config.json; undefined for .weights.h5. */
  readonly config: string | undefined;
  /** Of Keras, as far as the file says it. */
  readonly version: string | undefined;
}

/** A file that is open: its members, or all of it as weights. */
export interface OpenFile {
  readonly path: string;
  readonly partOf: PartOf;
  /** Undefined for .weights.h5. */
  readonly members: ReadonlyMap<string, Member> | undefined;
  readonly weights: Source;
}

export const kWeights = 'model.weights.h5';
export const kConfig = 'config.json';
const kMetadata = 'metadata.json';
const kMostText = 1 << 26; // bytes of config.json
const kMostWeights = 2 ** 40;

/** Opens a file, and closes it when `use` has ended. */
export async function withFile<R>(path: string, use: (file: OpenFile) => Promise<R>): Promise<R> {
  try {
    const handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe would wait for a writer
    try {
      const status = await handle.stat();
      if (!status.isFile()) throw new CheckpointError('ERR_CKPT_FORMAT', `${path} is no file`);
      const { size } = status;
      const partOf: PartOf = (begin, length) => fileSource(path, handle, begin, length);
      return await use(await opened(path, partOf, size));
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw systemError(`reading ${path}`, error);
    throw error;
  }
}

async function opened(path: string, partOf: PartOf, size: number): Promise<OpenFile> {
  const all = partOf(0, size);
  const start = await allOf(partOf(0, Math.min(2, size)));
  if (String.fromCharCode(...start) !== 'PK') return { path, partOf, members: undefined, weights: all };
  const members = await membersOf(path, all, partOf);
  const weights = members.get(kWeights);
  if (weights === undefined) throw refusal('ERR_CKPT_FORMAT', path, `a member "${kWeights}"`, namesOf(members));
  return { path, partOf, members, weights: await contentOf(path, weights, kMostWeights, partOf) };
}

const namesOf = (members: ReadonlyMap<string, Member>): string =>
  [...members.keys()]
    .slice(0, 5)
    .map((name) => JSON.stringify(name))
    .join(', ') || 'none';

/** All that is in a file. */
export async function contentOfFile(file: OpenFile): Promise<KerasFile> {
  const { path, members } = file;
  const format = members === undefined ? '.weights.h5' : '.keras';
  const config = members && (await textOf(file, kConfig));
  const version = members?.has(kMetadata) ? versionIn(path, await textOf(file, kMetadata)) : undefined;
  return { path, format, config, version, ...(await contentOfH5(path, file.weights)) };
}

async function textOf({ path, members, partOf }: OpenFile, name: string): Promise<string> {
  const member = members?.get(name);
  if (member === undefined) throw refusal('ERR_CKPT_FORMAT', path, `a member "${name}"`, 'none');
  const bytes = await allOf(await contentOf(path, member, kMostText, partOf));
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw refusal('ERR_CKPT_FORMAT', path, `member "${name}" to be a text`, 'something else', cause);
  }
}

function versionIn(path: string, text: string): string | undefined {
  const { keras_version: version } = objectIn(path, kMetadata, text);
  return typeof version === 'string' ? version : undefined;
}

/** The object that a member is as JSON. */
export function objectIn(path: string, name: string, text: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refusal('ERR_CKPT_FORMAT', path, `member "${name}" to be JSON`, 'something else', cause);
  }
  if (isPlainObject(value)) return value;
  throw refusal('ERR_CKPT_FORMAT', path, `member "${name}" to be an object`, 'something else');
}
