// Reads a file of ours: nothing is allocated before the lengths have been looked at, nothing used before the hash.
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

import { fromBfloat16 } from '../halves.ts';
import { CheckpointError, systemError } from './errors.ts';
import { headerLength, parseHeader, type Described, type Metadata } from './header.ts';
import { withoutHash, type PiecedFile } from './pieces.ts';
import { composeState, type ReadState } from './saved_state.ts';
import type { SavedValue } from './state_to_come.ts';
import { kPiece, system } from './system.ts';
import { types, type Type } from './tensors.ts';

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
    wholeValue(own, tensors.get(name) as Described, arrays.get(name) as Uint8Array);
  return { metadata, sha256, ...composeState(path, metadata.state, tensors, valueOf) };
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

/**
 * Reads what a file tells of itself; its numbers are read when they are needed.
 *
 * @throws CheckpointError as `readCheckpoint`; and so do the numbers
 */
export function openCheckpoint(file: PiecedFile): Checkpoint {
  const { path, size } = file;
  const first = file.read(0, Math.min(8, size));
  const begin = first.length + headerLength(path, first, size);
  const { metadata, sha256, tensors } = parseHeader(path, file.read(first.length, begin), size - begin);
  const valueOf = (own: string, name: string) => {
    const tensor = tensors.get(name) as Described;
    return readValue(own, tensor, (from, to) => file.read(begin + tensor.begin + from, begin + tensor.begin + to));
  };
  return { metadata, sha256, ...composeState(path, metadata.state, tensors, valueOf) };
}

/** Numbers of a file, at the beginning of `bytes`. */
function numbersOf(type: Type, { buffer, byteLength }: Uint8Array): ArrayLike<number> {
  const length = byteLength / types[type].size;
  const views = {
    F64: () => new Float64Array(buffer, 0, length),
    F32: () => new Float32Array(buffer, 0, length),
    I64: () => Float64Array.from(new BigInt64Array(buffer, 0, length), Number),
    I32: () => new Int32Array(buffer, 0, length),
    BF16: () => fromBfloat16(new Uint16Array(buffer, 0, length)),
  };
  return views[type]();
}

/** A value whose bytes have been read. */
function wholeValue(path: string, { type, shape }: Described, bytes: Uint8Array): SavedValue {
  const { dtype } = types[type];
  let numbers: ArrayLike<number> | undefined;
  return {
    path,
    shape,
    dtype,
    bytes,
    get numbers() {
      return (numbers ??= numbersOf(type, bytes)); // made when it is built
    },
  };
}

/** A value whose bytes `read` reads, each time. */
function readValue(path: string, tensor: Described, read: (begin: number, end: number) => Uint8Array): SavedValue {
  const { type, shape, length } = tensor;
  const { dtype, size } = types[type];
  const range = (first: number, count: number) => numbersOf(type, read(first * size, (first + count) * size));
  return {
    path,
    shape,
    dtype,
    length,
    range,
    get bytes() {
      return read(0, length * size);
    },
    get numbers() {
      return range(0, length);
    },
  };
}
