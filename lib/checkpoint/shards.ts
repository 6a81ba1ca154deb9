// The state of an optimizer of which several processes have parts: a folder with a file of each, and a manifest that is written last.
// A folder without one does not exist.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { isPlainObject } from '../configurable.ts';
import { writeAtomically } from './atomic.ts';
import { CheckpointError, systemError } from './errors.ts';
import { readCheckpoint, type Checkpoint } from './read.ts';
import { merged } from './merge.ts';

export const kManifest = 'manifest.json';
const kFormat = 'keras-optimizers-shards';
const kVersion = '1';

/** What a manifest says. */
export interface Manifest {
  /** Calls of apply. */
  readonly step: number;
  /** What the processes had agreed about. */
  readonly layout: string;
  /** Of each rank, in their order: its name in the folder, and the SHA-256 that it tells of itself. */
  readonly files: readonly { readonly name: string; readonly sha256: string }[];
}

/** Makes a folder, and a text that no other save in it has. */
export async function begin(folder: string): Promise<Uint8Array> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw systemError(`writing ${folder}`, error);
  }
  return new Uint8Array(randomBytes(8));
}

/** The name of the file of a rank. */
export const nameOf = (id: Uint8Array, rank: number, size: number): string =>
  `rank-${rank}-of-${size}-${Buffer.from(id).toString('hex')}.safetensors`;

/** Makes what has been written count, and removes what counted before. */
export async function commit(folder: string, manifest: Manifest): Promise<void> {
  const text = JSON.stringify({ format: kFormat, version: kVersion, ...manifest }, undefined, 1);
  await writeAtomically(join(folder, kManifest), (output) => output.write(Buffer.from(`${text}\n`)));
  const names = await readdir(folder).catch(() => []);
  const old = names.filter((name) => kName.test(name) && !manifest.files.some((file) => file.name === name));
  for (const name of old) await unlink(join(folder, name)).catch(() => {});
}
const kName = /^rank-\d+-of-\d+-[0-9a-f]{16}\.safetensors$/;

export const isFolder = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

/**
 * Reads the manifest of a folder.
 *
 * @throws (rejects) CheckpointError `ERR_CKPT_IO`, `ERR_CKPT_FORMAT`, `ERR_CKPT_VERSION`
 */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, kManifest);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    const isMissing = (error as { readonly code?: unknown }).code === 'ENOENT';
    if (!isMissing) throw systemError(`reading ${path}`, error);
    throw new CheckpointError(
      'ERR_CKPT_FORMAT',
      `${folder} has no ${kManifest}: it is no checkpoint, or was not completed`,
    );
  });
  const { format, version, step, layout, files } = parsed(text) ?? {};
  if (format === kFormat && version !== kVersion)
    throw new CheckpointError(
      'ERR_CKPT_VERSION',
      `${path} has version ${String(version).slice(0, 20)}, this package reads version ${kVersion}: use a later one`,
    );
  if (format !== kFormat || !Number.isSafeInteger(step) || typeof layout !== 'string' || !isFiles(files))
    throw new CheckpointError('ERR_CKPT_FORMAT', `${path} is no manifest of a checkpoint`);
  return { step: step as number, layout, files };
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isPlainObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isFiles = (files: unknown): files is Manifest['files'] =>
  Array.isArray(files) &&
  files.length > 0 &&
  files.every(
    (file: unknown) =>
      isPlainObject(file) && typeof file.name === 'string' && kName.test(file.name) && typeof file.sha256 === 'string',
  );

/**
 * Reads and verifies all files of a folder, and puts the state together.
 *
 * @throws (rejects) as `readManifest`; CheckpointError as `readCheckpoint`, `ERR_CKPT_HASH` for a file of another save,
 *   `ERR_CKPT_LAYOUT` for parts that are not all of it
 */
export async function readShards(folder: string): Promise<Checkpoint> {
  const { files } = await readManifest(folder);
  const all: Checkpoint[] = [];
  for (const { name, sha256 } of files) {
    const path = join(folder, name);
    const checkpoint = await readCheckpoint(path);
    if (checkpoint.sha256 !== sha256)
      throw new CheckpointError('ERR_CKPT_HASH', `${path} is not the file that ${kManifest} tells of`);
    all.push(checkpoint);
  }
  return merged(folder, all as [Checkpoint, ...Checkpoint[]]);
}
