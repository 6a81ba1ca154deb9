// Bytes of an open file, or in memory.
import { readSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

import { refusal } from './refusal.ts';

/** Bytes that are read by their place. */
export interface Source {
  readonly length: number;
  /** Fills `into`, or says that the file has become shorter. */
  read(into: Uint8Array, position: number): Promise<void>;
  /** The same at once, for a reader that cannot wait; returns how many bytes there were. */
  readNow(into: Uint8Array, position: number): number;
}

/** Bytes from `begin` of an open file. */
export function fileSource(path: string, handle: FileHandle, begin: number, length: number): Source {
  const readNow = (into: Uint8Array, position: number): number => {
    const wanted = Math.max(0, Math.min(into.length, length - position));
    let done = 0;
    while (done < wanted) {
      const count = readSync(handle.fd, into, done, wanted - done, begin + position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  };
  const read = async (into: Uint8Array, position: number): Promise<void> => {
    for (let done = 0; done < into.length;) {
      const { bytesRead } = await handle.read(into, done, into.length - done, begin + position + done);
      if (bytesRead === 0)
        throw refusal('ERR_CKPT_LAYOUT', path, `${begin + length} bytes`, `the end after ${begin + position + done}`);
      done += bytesRead;
    }
  };
  return { length, read, readNow };
}

/** Bytes in memory. */
export function bytesSource(bytes: Uint8Array): Source {
  const readNow = (into: Uint8Array, position: number): number => {
    const part = bytes.subarray(position, position + into.length);
    into.set(part);
    return part.length;
  };
  return { length: bytes.length, readNow, read: (into, position) => Promise.resolve(void readNow(into, position)) };
}

const kPiece = 1 << 20; // bytes

/** All of it, piece by piece; a piece is overwritten by the next one. */
export async function* piecesOf(source: Source): AsyncGenerator<Uint8Array> {
  const piece = new Uint8Array(Math.min(kPiece, source.length));
  for (let position = 0; position < source.length; position += piece.length) {
    const part = piece.subarray(0, Math.min(piece.length, source.length - position));
    await source.read(part, position);
    yield part;
  }
}

/** All of it. */
export async function allOf(source: Source): Promise<Uint8Array> {
  const bytes = new Uint8Array(source.length);
  await source.read(bytes, 0);
  return bytes;
}
