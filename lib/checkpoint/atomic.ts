// Writes a file so that at every moment, whatever dies, there is the old one or the new one: into a temporary file beside it, fsync,
// rename, fsync of the folder.
import type { FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { CheckpointError, systemError } from './errors.ts';
import { codeOf, kPiece, system } from './system.ts';
import { sweep, temporaryFor } from './temporary.ts';

/** A file that is being written. */
export interface Output {
  /** Writes behind all that has been written, piece by piece. The bytes may not change until it resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Overwrites what has been written, from a place on. */
  writeAt(bytes: Uint8Array, position: number): Promise<void>;
}

/**
 * Replaces a file, or makes it. Symbolic links are followed, the mode of the old file is kept, and what dead processes have left
 * behind is removed.
 *
 * @param fill writes the new contents
 * @throws (rejects) CheckpointError `ERR_CKPT_IO`; what `fill` throws, if it is no error of the system. The old file is as it was; if
 *   only the fsync of the folder fails, the new one is there already
 */
export async function writeAtomically(path: string, fill: (output: Output) => Promise<void>): Promise<void> {
  const target = await doing(path, () => followed(resolve(path)));
  const mode = await doing(path, () => modeOf(target));
  await sweep(target);
  const temporary = temporaryFor(target);
  const file = await doing(path, () => system.open(temporary, 'wx', mode ?? 0o666));
  let isOpen = true;
  const close = async () => {
    if (!isOpen) return;
    isOpen = false;
    await file.close();
  };
  try {
    await doing(path, async () => {
      if (mode !== undefined) await file.chmod(mode); // umask has had its say
      await fill(outputOf(file));
      await file.sync();
      await close();
      await system.rename(temporary, target);
    });
  } catch (error) {
    await close().catch(() => {}); // the first error counts
    await system.unlink(temporary).catch(() => {});
    throw error;
  }
  await doing(path, () => syncFolder(dirname(target)));
}

/** Errors of the system as errors of a checkpoint. */
async function doing<R>(path: string, part: () => Promise<R>): Promise<R> {
  try {
    return await part();
  } catch (error) {
    throw isOfSystem(error) ? systemError(`writing ${path}`, error) : error;
  }
}

const isOfSystem = (error: unknown): boolean => error instanceof Error && 'syscall' in error;

/** Where a path leads, through symbolic links; also to a file that is not there. */
async function followed(path: string, links = 0): Promise<string> {
  try {
    return await system.realpath(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || links >= 40) throw error;
  }
  const link = await system.readlink(path).catch(() => undefined);
  return link === undefined ? path : followed(resolve(dirname(path), link), links + 1);
}

/** Permissions of a file; undefined if there is none. */
async function modeOf(path: string): Promise<number | undefined> {
  const status = await system.stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (status === undefined || status.isFile()) return status && status.mode & 0o7777;
  throw new CheckpointError('ERR_CKPT_IO', `writing ${path}: it is there, and no file`);
}

function outputOf(file: FileHandle): Output {
  let end = 0;
  const writeAt = async (bytes: Uint8Array, position: number) => {
    for (let done = 0; done < bytes.length;) {
      const piece = bytes.subarray(done, done + kPiece);
      const { bytesWritten } = await file.write(piece, 0, piece.length, position + done);
      if (bytesWritten === 0)
        throw new CheckpointError('ERR_CKPT_IO', 'writing: the system takes no more bytes, and gives no reason');
      done += bytesWritten;
    }
  };
  const write = async (bytes: Uint8Array) => {
    const position = end;
    end += bytes.length;
    await writeAt(bytes, position);
  };
  return { write, writeAt };
}

async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // it cannot be opened there
  const folder = await system.open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
