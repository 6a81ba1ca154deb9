// Memory of a GPU as another library would hand it over: an address, with numbers that lie at any alignment.
import type { CudaArray } from '../../lib/index.ts';
import { addon, type Memory } from '../../lib/native.ts';
import type { Floats } from './numbers.ts';
import type { GpuName } from './variables.ts';

export type Words = Floats | Uint16Array<ArrayBuffer>;

export const indexOf = (device: GpuName): number => Number(device.split(':')[1] ?? 0);

const names = { Float32Array: 'float32', Float64Array: 'float64', Uint16Array: 'bfloat16' } as const;

/** Room for numbers; the descriptions of what is put there keep it alive. */
export class Foreign {
  readonly device: GpuName;
  readonly memory: Memory;

  constructor(device: GpuName, bytes: number) {
    this.device = device;
    this.memory = new addon.Memory(bytes, 0, indexOf(device));
  }

  /** Copies numbers there, in the order of the library's stream, so many bytes after the beginning. */
  put(words: Words, shape: readonly number[], bytes = 0, dtype: string = nameOf(words)): CudaArray {
    const ptr = this.memory.address + BigInt(bytes);
    if (words.length > 0) {
      const place = addon.cuda.borrow(indexOf(this.device), ptr, words.byteLength);
      addon.cuda.write(place, words);
      place.release();
    }
    return { ptr, shape, dtype, device: this.device, owner: this } as CudaArray;
  }

  release(): void {
    this.memory.release();
  }
}

const nameOf = (words: Words): string => names[words.constructor.name as keyof typeof names];
