// Numbers on a GPU that are cut and copied as those of a typed array are: buckets lie there where the transport moves its memory.
import { allocated, type Allocated, type FloatArray } from '../arrays.ts';
import { DeviceArray } from '../device_array.ts';
import { letGo, type GpuIndex } from '../devices.ts';
import { addon, type Dtype, type Memory } from '../native.ts';
import { copyStorage, deviceStorage, sizes, type DeviceStorage } from '../storage.ts';

/** Numbers where they are summed. */
export type Numbers = FloatArray | DeviceNumbers;

/** Memory and all of its numbers. */
export type Room = Pick<Allocated, 'memory'> & { readonly array: Numbers };

export class DeviceNumbers extends DeviceArray {
  readonly memory: Memory;
  readonly #storage: DeviceStorage;
  readonly #parts = new Map<string, DeviceNumbers>();

  /** Over memory that holds so many numbers. */
  constructor(memory: Memory, dtype: Dtype, length: number, gpu: GpuIndex) {
    const storage = deviceStorage(dtype, length, gpu, memory);
    const assign = (data: unknown) => storage.write(data as ArrayLike<number>);
    super({ shape: [length], owner: storage, open: () => storage, assign });
    this.memory = memory;
    this.#storage = storage;
  }

  /** Numbers [begin, end), where they are. */
  subarray(begin: number, end: number): DeviceNumbers {
    const key = `${begin} ${end}`;
    const part = this.#parts.get(key) ?? this.#part(begin, end - begin);
    this.#parts.set(key, part);
    return part;
  }

  #part(begin: number, length: number): DeviceNumbers {
    const { dtype, memory } = this;
    const size = sizes[dtype];
    return new DeviceNumbers(memory.part(begin * size, length * size), dtype, length, memory.device);
  }

  /** Copies numbers of the host, or of the same GPU, behind all that it has been given. */
  set(from: Numbers, at = 0): void {
    const to = this.subarray(at, at + from.length).#storage;
    if (from instanceof DeviceNumbers) copyStorage(from.#storage, to);
    else to.write(from);
  }

  /** Lets go of the parts, which hold the memory. */
  forget(): void {
    for (const part of this.#parts.values()) part.release();
    this.#parts.clear();
  }

  release(): void {
    this.forget();
    letGo();
    this.memory.release();
  }
}

/** Zeros on the host, or on a GPU. */
export function roomFor(dtype: Dtype, length: number, gpu: GpuIndex | undefined): Room {
  if (gpu === undefined) return allocated(dtype, length);
  const memory = new addon.Memory(length * sizes[dtype], 0, gpu);
  return { memory, array: new DeviceNumbers(memory, dtype, length, gpu) };
}

export function releaseRoom({ memory, array }: Room): void {
  if (array instanceof DeviceNumbers) array.release();
  else memory.release();
}

/** What a sum takes of a room. */
export const summandOf = ({ memory, array }: Room): FloatArray | Memory =>
  array instanceof DeviceNumbers ? memory : array;

/** to[at ...] <- from */
export function put(to: Numbers, from: Numbers, at: number): void {
  if (to instanceof DeviceNumbers) to.set(from, at);
  else to.set(from as FloatArray, at); // what comes from a GPU has been read
}
