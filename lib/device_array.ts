// Numbers on a GPU: the gradient of a variable that lies there, and how they are described to other addons.
import type { FloatArray } from './arrays.ts';
import { nameOf, type GpuIndex } from './devices.ts';
import { addon, type Dtype } from './native.ts';
import type { DeviceStorage } from './storage.ts';
import type { Assigned } from './variable.ts';

/**
 * Memory of a GPU as other addons know it. `Variable.cuda` gives one, and wherever a gradient may stand one may: it is read in place.
 * This is the one unsafe entry of the package: the pointer is checked to be one of that GPU, but nobody can check that so many
 * elements of that kind lie there, nor that they stay there until the step has ended.
 */
export interface CudaArray {
  /** Where the first element is: a `CUdeviceptr`, a multiple of the size of an element. */
  readonly ptr: bigint;
  /** Length of each dimension; row-major, without gaps. */
  readonly shape: readonly number[];
  /** Element type; two bytes an element only where `gradient_dtype` says how to read them. */
  readonly dtype: Dtype | 'bfloat16' | 'float16';
  /** Where it is. */
  readonly device: 'cuda' | `cuda:${number}`;
  /**
   * The `cudaStream_t` in which the numbers are made and the memory is used again: the step waits for what that has got so far, and
   * what it gets later waits for the step. Without it the numbers are expected to be there.
   */
  readonly stream?: bigint | null | undefined;
  /** Whatever keeps the memory: it is held until the step has ended on the GPU. */
  readonly owner?: unknown;
}

/** What `DeviceArray` is made of. */
interface Made {
  readonly shape: readonly number[];
  readonly owner: object;
  /** Throws if the memory has been given back. */
  open(): DeviceStorage;
  assign(data: Assigned): void;
}

/** Numbers on a GPU that belong to a variable: its gradient. */
export class DeviceArray {
  readonly #made: Made;

  /** @internal */
  constructor(made: Made) {
    this.#made = made;
  }

  /** Length of each dimension; row-major. */
  get shape(): readonly number[] {
    return this.#made.shape;
  }

  /** Number of elements. */
  get length(): number {
    return this.#made.open().length;
  }

  /** float32 or float64. */
  get dtype(): Dtype {
    return this.#made.open().dtype as Dtype;
  }

  /** Where it lies: `cuda:0`. */
  get device(): `cuda:${number}` {
    return nameOf(this.#made.open().site as GpuIndex);
  }

  /**
   * Overwrites the numbers, behind all that the GPU has been given; `data` may change when it returns.
   *
   * @param data as many numbers as there are, from the host or from a variable or gradient on the same GPU
   * @throws as `Variable.assign`
   */
  assign(data: Assigned): void {
    this.#made.assign(data);
  }

  /**
   * A copy of the numbers on the host, as they are after all that the GPU has been given so far.
   *
   * @throws it rejects with an Error `ERR_OPT_DISPOSED`, `ERR_OPT_CUDA`, `ERR_OPT_POISONED`, RangeError `ERR_OPT_OOM`
   */

  async read(): Promise<FloatArray> {
    return this.#made.open().read();
  }

  /** The memory as other addons know it. They may write it in `stream`, or when that has been waited for. */
  get cuda(): Required<CudaArray> {
    return describedMemory(this.#made.open(), this.#made.shape, this.#made.owner);
  }

  /** What `Object.prototype.toString` calls it. */
  get [Symbol.toStringTag](): 'DeviceArray' {
    return 'DeviceArray';
  }

  /**
   * Where its numbers are; undefined for anything else.
   *
   * @internal
   */
  static storageOf(value: unknown): DeviceStorage | undefined {
    return typeof value === 'object' && value !== null && #made in value ? value.#made.open() : undefined;
  }
}

/** Memory of a GPU for other addons. */
export function describedMemory(
  { memory, site, dtype }: DeviceStorage,
  shape: readonly number[],
  owner: object,
): Required<CudaArray> {
  const gpu = site as GpuIndex; // nothing else is described
  const [device, stream] = [nameOf(gpu), addon.cuda.stream(gpu)] as const;
  return { ptr: memory.address, shape, dtype: dtype as CudaArray['dtype'], device, stream, owner };
}
