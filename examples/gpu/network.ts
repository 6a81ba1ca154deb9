// The network with its variables on a GPU: forward and backward in the example's own addon, the step in keras-optimizers. Neither
// parameters nor gradients leave the GPU; a score does when it is asked for.
import { cudaStream, Variable, type CudaArray, type DeviceArray, type Optimizer } from 'keras-optimizers';

import type { Images } from '../mnist-data.ts';
import type { Network, Score } from '../network.ts';
import type { Addon, Memory, NativeNetwork } from './addon.ts';

const kGpu = 0;
const kDevice = `cuda:${kGpu}`;

/** How the gradients get to the optimizer; the numbers are the same. */
export const handovers = {
  variable: "written into v.gradient, in the library's stream",
  stream: "written into v.gradient, in a stream of the addon's own",
  memory: "given to apply(), in memory and a stream of the addon's own",
} as const;
export type Handover = keyof typeof handovers;

interface GpuNetworkOptions {
  readonly images: Images;
  /** Most images of a step. */
  readonly batch: number;
  readonly handover: Handover;
}

export class GpuNetwork {
  /** As of the network that it was made from. */
  readonly variables: readonly Variable<DeviceArray>[];
  readonly #native: NativeNetwork;
  readonly #ownStream: { readonly handle: bigint } | undefined;
  readonly #ownGradients: readonly CudaArray[] | undefined;

  /** @param like the network whose sizes and weights it has */
  constructor(addon: Addon, like: Network, { images, batch, handover }: GpuNetworkOptions) {
    this.variables = like.variables.map(
      ({ value, shape, path }) => new Variable(value, { shape, name: path, device: kDevice }),
    );
    const kernels = like.variables.filter(({ shape }) => shape.length === 2);
    const widths = [kernels[0]?.shape[0] ?? 0, ...kernels.map(({ shape }) => shape[1] ?? 0)];
    this.#native = new addon.Network({ device: kGpu, batch, widths, ...images });
    if (handover !== 'variable') this.#ownStream = new addon.Stream(kGpu);
    if (handover === 'memory') this.#ownGradients = this.variables.map((v) => ownGradient(addon, v, this.#stream));
  }

  /** In which the addon works. */
  get #stream(): bigint {
    return this.#ownStream?.handle ?? cudaStream(kDevice);
  }

  /** Which images `trainStep` and `evaluate` count from now on. */
  order(indices: Uint32Array): void {
    this.#native.order(indices, this.#stream);
  }

  /** A step on some images of the order. It returns when all is enqueued; the GPU goes on. */
  trainStep(optimizer: Optimizer, start: number, count: number): void {
    const variables = this.variables.map((variable) => variable.cuda);
    const gradients = this.#ownGradients ?? this.variables.map(({ gradient }) => gradient.cuda);
    this.#native.run(variables, gradients, start, count, this.#stream);
    if (this.#ownGradients) optimizer.apply([...this.#ownGradients]);
    else optimizer.apply();
  }

  /** Forward only. */
  evaluate(start: number, count: number): void {
    const variables = this.variables.map((variable) => variable.cuda);
    this.#native.run(variables, null, start, count, this.#stream);
  }

  /** Of all images since the last one. */
  score(): Promise<Score> {
    return this.#native.score(this.#stream);
  }
}

/** Memory for the gradient of a variable that the addon owns; `owner` keeps it until a step on it has ended. */
function ownGradient(addon: Addon, { shape }: Variable<DeviceArray>, stream: bigint): CudaArray {
  // An emulated GPU knows no memory but the library's.
  if (addon.emulated) return { ...Variable.zeros(shape, { device: kDevice }).cuda, stream };
  const memory: Memory = new addon.Memory(
    kGpu,
    shape.reduce((product, n) => product * n, 1),
  );
  return { ptr: memory.ptr, shape, dtype: 'float32', device: kDevice, stream, owner: memory };
}
