// Library memory without native code: an ArrayBuffer, and a count of those that are alive.
import { rangeError, stateError, typeError } from '../errors.ts';
import type { Memory } from '../native.ts';
import { absentCuda } from './absent.ts';

let live = 0;
const collected = new FinalizationRegistry<number>((bytes) => (live -= bytes));

/** Bytes of all blocks that are alive. */
export const liveBytes = (): number => live;

/** What a handle shares with the plans over it: it keeps its numbers when the handle is released. */
export interface Block {
  readonly buffer: ArrayBuffer;
  readonly begin: number;
  readonly bytes: number;
  /** Whether nobody has transferred it away. */
  readonly isThere: boolean;
  detach(): void;
}

class WholeBlock implements Block {
  buffer: ArrayBuffer;
  readonly begin = 0;
  readonly bytes: number;

  constructor(bytes: number) {
    try {
      this.buffer = new ArrayBuffer(bytes);
    } catch {
      throw rangeError('ERR_OPT_OOM', `out of memory: ${bytes} bytes could not be allocated`);
    }
    this.bytes = bytes;
    live += bytes;
    collected.register(this.buffer, bytes, this);
  }

  get isThere(): boolean {
    return this.buffer.byteLength === this.bytes;
  }

  /** Takes the numbers from those who hold the buffer. */
  detach(): void {
    if (collected.unregister(this)) live -= this.bytes;
    if (this.buffer.byteLength > 0) this.buffer = structuredClone(this.buffer, { transfer: [this.buffer] });
  }
}

/** Bytes of a block, which lives as long. */
class PartBlock implements Block {
  readonly begin: number;
  readonly bytes: number;
  readonly #of: Block;

  constructor(of: Block, begin: number, bytes: number) {
    this.#of = of;
    this.begin = of.begin + begin;
    this.bytes = bytes;
  }

  get buffer(): ArrayBuffer {
    return this.#of.buffer;
  }

  get isThere(): boolean {
    return this.#of.isThere;
  }

  detach(): void {}
}

/** What lib/native.ts has as `Memory`. Where an array lies is for JavaScript to say: an offset is checked and has no effect. */
export class HostMemory implements Memory {
  #block: Block | undefined;

  constructor(bytes: number, offset = 0, gpu = -1) {
    if (!Number.isInteger(bytes) || bytes < 0 || bytes >= 2 ** 53)
      throw rangeError('ERR_OPT_TOO_LARGE', 'Memory expects a whole number of bytes');
    if (!Number.isInteger(offset) || offset < 0 || offset >= 4096)
      throw rangeError('ERR_OPT_CONFIG_RANGE', 'Memory expects an offset below 4096');
    if (gpu >= 0) throw absentCuda();
    this.#block = new WholeBlock(bytes);
  }

  /** The block behind a handle; throws for anything else and after `release`. */
  static blockOf(value: unknown): Block {
    if (typeof value !== 'object' || value === null || !(#block in value))
      throw typeError('ERR_OPT_ARRAY_TYPE', 'expected a Memory');
    if (value.#block === undefined) throw stateError('ERR_OPT_DISPOSED', 'this memory has been disposed of');
    return value.#block;
  }

  part(begin: number, bytes: number): HostMemory {
    const block = HostMemory.blockOf(this);
    const isWithin = [begin, bytes].every((n) => Number.isInteger(n) && n >= 0) && begin + bytes <= block.bytes;
    if (!isWithin) throw rangeError('ERR_OPT_LENGTH', 'a part of a memory expects to lie within it');
    const part = new HostMemory(0);
    part.#block = new PartBlock(block, begin, bytes);
    return part;
  }

  buffer(): ArrayBuffer {
    return HostMemory.blockOf(this).buffer;
  }

  release(): void {
    this.#block?.detach();
    this.#block = undefined;
  }

  get device(): number {
    HostMemory.blockOf(this);
    return -1;
  }

  get address(): bigint {
    HostMemory.blockOf(this);
    return 0n;
  }
}
