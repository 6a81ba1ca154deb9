// A stretch of memory, of the host's or of a GPU, and the same few things done to both.
import { allocated, arrays, type FloatArray } from '../arrays.ts';
import { stateError } from '../errors.ts';
import { addon, type Dtype, type Memory } from '../native.ts';
import type { Located } from './data.ts';
import type { Summand } from './sums.ts';
import type { Bytes } from './transport.ts';

export interface Region {
  readonly byteLength: number;
  /** As a transport takes it. Throws if the memory is gone. */
  readonly bytes: Bytes;
  /** The library memory that it lies in, if it does. */
  readonly memory: Memory | undefined;
  part(begin: number, byteLength: number): Region;
  /** From one of the same length and kind. */
  copyFrom(other: Region): void;
  /** As numbers. */
  summand(dtype: Dtype): Summand;
}

class HostRegion implements Region {
  readonly #bytes: Uint8Array;
  readonly byteLength: number;
  readonly memory: Memory | undefined;

  constructor(bytes: Uint8Array, byteLength: number, memory?: Memory) {
    this.#bytes = bytes;
    this.byteLength = byteLength;
    this.memory = memory;
  }

  get bytes(): Uint8Array {
    if (this.#bytes.length === this.byteLength) return this.#bytes;
    throw stateError('ERR_OPT_DETACHED', 'the ArrayBuffer of a collective has been detached before its end');
  }

  part(begin: number, byteLength: number): Region {
    return new HostRegion(this.bytes.subarray(begin, begin + byteLength), byteLength, this.memory);
  }

  copyFrom(other: Region): void {
    this.bytes.set(other.bytes as Uint8Array);
  }

  summand(dtype: Dtype): Summand {
    return numbersOf(this.bytes, dtype);
  }
}

/** Bytes as numbers. */
export function numbersOf({ buffer, byteOffset, length }: Uint8Array, dtype: Dtype): FloatArray {
  return new arrays[dtype](buffer as ArrayBuffer, byteOffset, length / arrays[dtype].BYTES_PER_ELEMENT);
}

class DeviceRegion implements Region {
  readonly memory: Memory;
  readonly #offset: number;
  readonly byteLength: number;

  constructor(memory: Memory, offset: number, byteLength: number) {
    this.memory = memory;
    this.#offset = offset;
    this.byteLength = byteLength;
  }

  get bytes(): Bytes {
    return { memory: this.memory, offset: this.#offset, byteLength: this.byteLength };
  }

  part(begin: number, byteLength: number): Region {
    return new DeviceRegion(this.memory, this.#offset + begin, byteLength);
  }

  copyFrom(other: Region): void {
    if (this.byteLength > 0) addon.cuda.copy(this.#borrowed(), (other as DeviceRegion).#borrowed());
  }

  summand(): Summand {
    return this.#borrowed();
  }

  #borrowed(): Memory {
    const { device, address } = this.memory;
    return addon.cuda.borrow(device, address + BigInt(this.#offset), this.byteLength);
  }
}

/** Where data lies. */
export function regionOf({ bytes, device, length, size, memory }: Located): Region {
  if (device !== undefined) return new DeviceRegion(device.memory, 0, length * size);
  return new HostRegion(bytes, length * size, memory);
}

const kKept = 8; // blocks

/** Library memory for what is on its way, used again and again. */
export class Scratch {
  readonly #idle: Region[] = [];

  lease(): Lease {
    return new Lease(this.#idle);
  }

  release(): void {
    for (const { memory } of this.#idle.splice(0)) memory?.release();
  }
}

/** What one piece of a collective has of it. Of a failed one it never ends: the memory may still be written. */
export class Lease {
  readonly #idle: Region[];
  readonly #taken: Region[] = [];

  constructor(idle: Region[]) {
    this.#idle = idle;
  }

  /** So many bytes where `like` lies. */
  take(like: Region, bytes: number): Region {
    const device = like.memory?.device ?? -1;
    const found = this.#idle.findIndex(({ byteLength, memory }) => byteLength >= bytes && memory?.device === device);
    const [kept] = found < 0 ? [] : this.#idle.splice(found, 1);
    const block = kept ?? blockOf(Math.max(4096, 2 ** Math.ceil(Math.log2(bytes))), device);
    this.#taken.push(block);
    return block.part(0, bytes);
  }

  end(): void {
    this.#idle.unshift(...this.#taken.splice(0));
    for (const { memory } of this.#idle.splice(kKept)) memory?.release();
  }
}

function blockOf(bytes: number, device: number): Region {
  if (device >= 0) return new DeviceRegion(new addon.Memory(bytes, 0, device), 0, bytes);
  const { memory, array } = allocated('uint32', bytes / Uint32Array.BYTES_PER_ELEMENT);
  return new HostRegion(new Uint8Array(array.buffer), bytes, memory);
}
