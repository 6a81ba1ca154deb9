// Reads a file of ours: nothing is allocated before the lengths have been looked at, nothing used before the hash.
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

import { fromBfloat16 } from '../halves.ts';
import { CheckpointError, systemError } from './errors.ts';
import { headerLength, kHashAt, kHashDigits, parseHeader, type Described, type Metadata } from './header.ts';
import { composeState, type ReadState } from './saved_state.ts';
import type { SavedValue } from './state_to_come.ts';
import { kPiece, system } from './system.ts';
import { types } from './tensors.ts';

/** All that a file has. */
export interface Checkpoint extends ReadState {
  readonly metadata: Metadata;
  readonly sha256: string;
}

/**
 * Reads a file and verifies it.
 *
 * @throws (rejects) CheckpointError `ERR_CKPT_IO`, `ERR_CKPT_FORMAT`, `ERR_CKPT_VERSION`, `ERR_CKPT_LAYOUT`, `ERR_CKPT_HASH`
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  let file: FileHandle | undefined;
  try {
    file = await system.open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe would wait for a writer
    return await readFrom(path, file);
  } catch (error) {
    throw systemError(`reading ${path}`, error);
  } finally {
    await file?.close().catch(() => {});
  }
}

async function readFrom(path: string, file: FileHandle): Promise<Checkpoint> {
  const status = await file.stat();
  if (!status.isFile()) throw new CheckpointError('ERR_CKPT_FORMAT', `${path} is no file`);
  const hash = createHash('sha256');
  const first = await read(path, file, Math.min(8, status.size), 0);
  const length = headerLength(path, first, status.size);
  const bytes = await read(path, file, length, first.length);
  const begin = first.length + length;
  const { metadata, sha256, tensors } = parseHeader(path, bytes, status.size - begin);
  hash.update(first).update(withoutHash(bytes, first.length));
  const arrays = new Map<string, Uint8Array>();
  for (const [name, { begin: from, end }] of tensors)
    arrays.set(name, await read(path, file, end - from, begin + from, hash));
  if (hash.digest('hex') !== sha256)
    throw new CheckpointError('ERR_CKPT_HASH', `${path} has been altered: its SHA-256 is another one than it says`);
  const valueOf = (own: string, name: string) =>
    savedValue(own, tensors.get(name) as Described, arrays.get(name) as Uint8Array);
  return { metadata, sha256, ...composeState(path, metadata.state, tensors, valueOf) };
}

/** A header with zeros in the place of the hash. */
function withoutHash(header: Uint8Array, offset: number): Uint8Array {
  const begin = kHashAt - offset;
  return header.slice().fill(0x30, begin, begin + kHashDigits);
}

async function read(
  path: string,
  file: FileHandle,
  length: number,
  position: number,
  hash?: Hash,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const piece = bytes.subarray(done, done + kPiece);
    const { bytesRead } = await file.read(piece, 0, piece.length, position + done);
    if (bytesRead === 0) throw new CheckpointError('ERR_CKPT_LAYOUT', `${path} ended while it was read`);
    hash?.update(piece.subarray(0, bytesRead));
    done += bytesRead;
  }
  return bytes;
}

function savedValue(path: string, { type, shape, length }: Described, bytes: Uint8Array): SavedValue {
  const { buffer } = bytes;
  const { dtype } = types[type];
  const views = {
    F64: () => new Float64Array(buffer, 0, length),
    F32: () => new Float32Array(buffer, 0, length),
    I64: () => Float64Array.from(new BigInt64Array(buffer, 0, length), Number),
    I32: () => new Int32Array(buffer, 0, length),
    BF16: () => fromBfloat16(new Uint16Array(buffer, 0, length)),
  };
  let numbers: ArrayLike<number> | undefined;
  return {
    path,
    shape,
    dtype,
    bytes,
    get numbers() {
      return (numbers ??= views[type]()); // made when it is built
    },
  };
}
