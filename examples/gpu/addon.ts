// Loads the example's own addon and types it.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import type { CudaArray } from 'keras-optimizers';

import type { Score } from '../network.ts';

/** Float32 memory of the example's own on a GPU, which goes with the object. */
export interface Memory {
  readonly ptr: bigint;
  write(from: Float32Array, stream: bigint): void;
  /** Waits. */
  read(stream: bigint): Float32Array;
  release(): void;
}

/** The network without its variables; a kernel and a bias for each layer are given to each run. */
export interface NativeNetwork {
  /** Which images `run` counts from now on. */
  order(indices: Uint32Array, stream: bigint): void;
  /**
   * Enqueues forward and, if there are gradients to write, backward, for `count` images from the `start`th in order on. Waits on the
   * device for what the arrays' streams have got so far, and lets the streams of what it wrote wait for it.
   */
  run(
    variables: readonly CudaArray[],
    gradients: readonly CudaArray[] | null,
    start: number,
    count: number,
    stream: bigint,
  ): void;
  /** Of all images since the last one. */
  score(stream: bigint): Promise<Score>;
}

export interface NetworkOptions {
  /** Index of the GPU. */
  readonly device: number;
  /** Most images of a run. */
  readonly batch: number;
  /** Pixels, units of each hidden layer, classes. */
  readonly widths: readonly number[];
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

export interface Addon {
  /** Whether it belongs to the library's emulated build: "device" memory is this process's own. */
  readonly emulated: boolean;
  /** Why there is no GPU to use, null if there is one. */
  problem(): string | null;
  readonly Memory: new (device: number, length: number) => Memory;
  readonly Stream: new (device: number) => { readonly handle: bigint };
  readonly Network: new (options: NetworkOptions) => NativeNetwork;
}

const places = {
  cuda: { folder: 'build-example-gpu', script: 'build:example-gpu' },
  emulated: { folder: 'build-example-emulated', script: 'build:example-emulated' },
};

/** What was built of one kind; a string that says what to do if nothing was. */
export function load(kind: keyof typeof places): Addon | string {
  const { folder, script } = places[kind];
  const path = fileURLToPath(new URL(`../../${folder}/keras_optimizers_example.node`, import.meta.url));
  if (!existsSync(path)) return `the example's addon is not built: npm run ${script}`;
  return createRequire(import.meta.url)(path) as Addon;
}
