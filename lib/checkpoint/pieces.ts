// The pieces of a file and their hashes: a reader who needs some of them verifies those, and leaves the rest alone.
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';

import { CheckpointError, systemError } from './errors.ts';
import { kHashAt, kHashDigits } from './header.ts';
import { kPiece, system } from './system.ts';

/** Hashes what is written, piece by piece; the header, which is in the first, has zeros where its hash will be. */
export class PieceHasher {
  /** So many have been written. */
  bytes = 0;
  readonly #done: string[] = [];
  #hash = createHash('sha256');
  #length = 0; // of the piece that is not complete

  update(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    for (let begin = 0; begin < bytes.length;) {
      const end = Math.min(bytes.length, begin + kPiece - this.#length);
      this.#hash.update(bytes.subarray(begin, end));
      this.#length += end - begin;
      begin = end;
      if (this.#length === kPiece) this.#end();
    }
  }

  /** Of all pieces, hexadecimal; the last one may be shorter than the others. */
  digest(): readonly string[] {
    if (this.#length > 0) this.#end();
    return this.#done;
  }

  #end(): void {
    this.#done.push(this.#hash.digest('hex'));
    this.#hash = createHash('sha256');
    this.#length = 0;
  }
}

/** How many pieces a file has. */
export const piecesIn = (bytes: number, piece: number): number => Math.ceil(bytes / piece);

/** A header, or what of it is in `bytes`, with zeros in the place of the hash; `offset`: where `bytes` begin in the file. */
export function withoutHash(bytes: Uint8Array, offset: number): Uint8Array {
  const begin = kHashAt - offset;
  return bytes.slice().fill(0x30, begin, begin + kHashDigits);
}

/** A file of which a manifest has the hashes of all pieces. */
export class PiecedFile {
  readonly path: string;
  readonly size: number;
  readonly #piece: number; // bytes
  readonly #hashes: readonly string[];
  #last: { readonly index: number; readonly bytes: Uint8Array } | undefined; // small arrays stand side by side in one piece

  constructor(path: string, size: number, piece: number, hashes: readonly string[]) {
    this.path = path;
    this.size = size;
    this.#piece = piece;
    this.#hashes = hashes;
  }

  /**
   * A copy of bytes [begin, end): the pieces that they lie in are read, and verified.
   *
   * @throws CheckpointError `ERR_CKPT_IO`, `ERR_CKPT_FORMAT`, `ERR_CKPT_LAYOUT`, `ERR_CKPT_HASH`
   */
  read(begin: number, end: number): Uint8Array {
    const bytes = new Uint8Array(end - begin);
    for (let at = begin; at < end;) {
      const index = Math.floor(at / this.#piece);
      const first = index * this.#piece;
      const part = this.#verified(index).subarray(at - first, end - first);
      bytes.set(part, at - begin);
      at += part.length;
    }
    return bytes;
  }

  #verified(index: number): Uint8Array {
    if (this.#last?.index === index) return this.#last.bytes;
    const begin = index * this.#piece;
    const bytes = this.#bytes(begin, Math.min(begin + this.#piece, this.size));
    const hashed = index === 0 ? withoutHash(bytes, 0) : bytes;
    if (createHash('sha256').update(hashed).digest('hex') !== this.#hashes[index])
      throw new CheckpointError(
        'ERR_CKPT_HASH',
        `${this.path} is not the file that its manifest tells of: bytes ${begin} to ${begin + bytes.length} have another SHA-256`,
      );
    this.#last = { index, bytes };
    return bytes;
  }

  #bytes(begin: number, end: number): Uint8Array {
    let file: number | undefined;
    try {
      file = system.openSync(this.path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe would wait for a writer
      const status = system.fstatSync(file);
      if (!status.isFile()) throw new CheckpointError('ERR_CKPT_FORMAT', `${this.path} is no file`);
      if (status.size !== this.size)
        throw new CheckpointError(
          'ERR_CKPT_HASH',
          `${this.path} is not the file that its manifest tells of: it has ${status.size} bytes, ${this.size} are expected`,
        );
      const bytes = new Uint8Array(end - begin);
      for (let done = 0, read = 1; done < bytes.length; done += read) {
        read = system.readSync(file, bytes, done, bytes.length - done, begin + done);
        if (read === 0) throw new CheckpointError('ERR_CKPT_LAYOUT', `${this.path} ended while it was read`);
      }
      return bytes;
    } catch (error) {
      throw systemError(`reading ${this.path}`, error);
    } finally {
      if (file !== undefined) system.closeSync(file);
    }
  }
}
