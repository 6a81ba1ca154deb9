// The state of an optimizer of which several processes have parts: a folder with a file of each, and a manifest that is written last.
// A folder without one does not exist.
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { isPlainObject } from '../configurable.ts';
import { writeAtomically } from './atomic.ts';
import { CheckpointError, systemError } from './errors.ts';
import { merged } from './merge.ts';
import { PiecedFile, piecesIn } from './pieces.ts';
import { openCheckpoint, type Checkpoint } from './read.ts';

export const kManifest = 'manifest.json';
const kFormat = 'keras-optimizers-shards';
const kVersion = '1';

/** What a manifest says. */
export interface Manifest {
  /** Calls of apply. */
  readonly step: number;
  /** What the processes had agreed about. */
  readonly layout: string;
  /** Bytes of the pieces of files that have hashes. */
  readonly piece: number;
  /** Of each rank, in their order. */
  readonly files: readonly FileOf[];
}

/** A file of a rank. */
interface FileOf {
  /** In the folder. */
  readonly name: string;
  /** What it tells of itself. */
  readonly sha256: string;
  readonly bytes: number;
  /** The SHA-256 of every piece, the header with zeros in the place of its hash. */
  readonly pieces: readonly string[];
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
  const { format, version, step, layout, piece, files } = parsed(text) ?? {};
  if (format === kFormat && version !== kVersion)
    throw new CheckpointError(
      'ERR_CKPT_VERSION',
      `${path} has version ${String(version).slice(0, 20)}, this package reads version ${kVersion}: use a later one`,
    );
  if (format !== kFormat || !isCount(step) || typeof layout !== 'string' || !isPiece(piece) || !isFiles(files, piece))
    throw new CheckpointError('ERR_CKPT_FORMAT', `${path} is no manifest of a checkpoint`);
  return { step, layout, piece, files };
}

function parsed(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isPlainObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;
const isPiece = (x: unknown): x is number => isCount(x) && x >= 4096 && x <= 2 ** 30;

const isFiles = (files: unknown, piece: number): files is readonly FileOf[] =>
  Array.isArray(files) && files.length > 0 && files.every((file) => isFile(file, piece));

function isFile(file: unknown, piece: number): boolean {
  if (!isPlainObject(file)) return false;
  const { name, sha256, bytes, pieces } = file;
  return (
    typeof name === 'string' &&
    kName.test(name) &&
    typeof sha256 === 'string' &&
    isCount(bytes) &&
    Array.isArray(pieces) &&
    pieces.length === piecesIn(bytes, piece) &&
    pieces.every((hash) => typeof hash === 'string')
  );
}

/** Whether the manifest of a folder tells of a save. */
export async function counts(folder: string, id: Uint8Array): Promise<boolean> {
  const files = await readManifest(folder).then(
    (manifest) => manifest.files,
    () => [],
  );
  return files.some(({ name }, rank) => name === nameOf(id, rank, files.length));
}

/**
 * Reads and verifies what the files of a folder tell of themselves, and puts the state together; its numbers are read, and verified,
 * when they are needed, and only those.
 *
 * @throws (rejects) as `readManifest`; CheckpointError `ERR_CKPT_HASH` for a file of another save or one that has been altered,
 *   `ERR_CKPT_LAYOUT` for parts that are not all of it; and so do the numbers
 */
export async function readShards(folder: string): Promise<Checkpoint> {
  const { piece, files } = await readManifest(folder);
  const all = files.map(({ name, sha256, bytes, pieces }) => {
    const path = join(folder, name);
    const checkpoint = openCheckpoint(new PiecedFile(path, bytes, piece, pieces));
    if (checkpoint.sha256 !== sha256)
      throw new CheckpointError('ERR_CKPT_HASH', `${path} is not the file that ${kManifest} tells of`);
    return checkpoint;
  });
  return merged(folder, all as [Checkpoint, ...Checkpoint[]]);
}
