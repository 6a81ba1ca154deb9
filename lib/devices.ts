// Where numbers may lie: the host, or a GPU by its index. What there is, and what is known of it.
import { describe, rangeError, stateError, typeError, type ErrorCode } from './errors.ts';
import type { Space } from './space.ts';
import { loaded, version, type AddonKind, type PassedOver } from './load.ts';
import { addon, backendName, getNumThreads, type Mark, type Startup } from './native.ts';
import { nodeVersion, warn } from './platform.ts';

/** A GPU: `cuda` is the first one. */
export type CudaDevice = 'cuda' | `cuda:${number}`;
/** Where to put a variable. `auto`: the first GPU, or the host where there is none that can be used. */
export type Device = 'cpu' | 'auto' | CudaDevice;
/** Where something is. */
export type DeviceName = 'cpu' | `cuda:${number}`;

/** A GPU that can be used. */
export interface Gpu {
  /** What the option `device` calls it. */
  readonly device: `cuda:${number}`;
  /** What NVIDIA calls it. */
  readonly name: string;
  /** Tells it apart from all others in the world: `GPU-` and 32 hexadecimal digits. */
  readonly uuid: string;
  /** Bytes. */
  readonly memory: number;
  /** Compute capability, `9.0`. */
  readonly capability: string;
  /** Streaming multiprocessors. */
  readonly processors: number;
  /** The CUDA version that its driver supports, `13.0`. */
  readonly driver: string;
}

/** Why there is no GPU to use. */
export interface Unusable {
  /** Stable: docs/gpu.md lists them. */
  readonly code: ErrorCode;
  /** What was tried, and what came of it. */
  readonly message: string;
}

/** The GPUs, or why there is none. */
export interface Devices {
  /** Those that can be used, in CUDA's order. */
  readonly cuda: readonly Gpu[];
  /** Null if there is one. */
  readonly unusable: Unusable | null;
}

/** What this package is, and what it runs on. */
export interface Info {
  /** Of this package. */
  readonly version: string;
  /** The version of Node.js. */
  readonly node: string;
  /** The addon that steps run in. */
  readonly addon: {
    /** Where it was found. */
    readonly file: string;
    /** What led there. */
    readonly kind: AddonKind;
    /** The places that were looked at before, and why theirs was not taken. */
    readonly passed: readonly PassedOver[];
  };
  /** The instruction set of steps on the host; `wasm` is WebAssembly. */
  readonly backend: string;
  /** All that the addon has, the best first. */
  readonly backends: readonly {
    /** As `KERAS_OPTIMIZERS_BACKEND` has it. */
    readonly name: string;
    /** Why it cannot be used; null if it can. */
    readonly unusable: string | null;
  }[];
  /** That a step may use. */
  readonly threads: number;
  /** Of GPUs. */
  readonly cuda: {
    /** Whether the native addon was built with CUDA. */
    readonly built: boolean;
    /** The CUDA version it was built with, null for none. */
    readonly runtime: string | null;
    /** The oldest NVIDIA driver for that, as a number of its release: 580. */
    readonly requiredDriver: number | null;
    /** The CUDA version that the driver of this machine supports, null for none. */
    readonly driver: string | null;
    /** Null if there is a GPU to use. */
    readonly unusable: Unusable | null;
  };
}

export type GpuIndex = number;
/** Where numbers lie that do not lie on the host: on a GPU, or in a space. */
export type Site = GpuIndex | Space;

export const isSpace = (site: Site | undefined): site is Space => typeof site === 'object';

// Asked for once: CUDA's start-up takes a while and memory, and nobody pays who only asks for the host.
let found: Startup | undefined;
const startup = (): Startup => (found ??= addon.cuda.startup());

export function nameOf(gpu: GpuIndex): `cuda:${number}`;
export function nameOf(site: Site | undefined): DeviceName;
export function nameOf(site: Site | undefined): DeviceName {
  if (isSpace(site)) return site.name as DeviceName; // a name that no option `device` takes
  return site === undefined ? 'cpu' : `cuda:${site}`;
}

let warned = false;

/** The GPU that an option `device` names, undefined for the host. Throws why it cannot be used. */
export function gpuOf(who: string, device: unknown): GpuIndex | undefined {
  if (device === undefined || device === 'cpu') return undefined;
  const expected = `${who} expects device to be "cpu", "cuda", "cuda:0" or "auto"`;
  if (typeof device !== 'string') throw typeError('ERR_OPT_CONFIG_TYPE', `${expected}, got ${describe(device)}`);
  const digits = /^cuda(?::(0|[1-9]\d{0,5}))?$/.exec(device)?.[1];
  const isKnown = device === 'auto' || device === 'cuda' || digits !== undefined;
  if (!isKnown) throw rangeError('ERR_OPT_CONFIG_RANGE', `${expected}, got ${describe(device)}`);
  const { code, message, gpus } = startup();
  if (device === 'auto') return code === null ? 0 : fallBack(message);
  if (code !== null) throw stateError(code, `${who} cannot use device ${describe(device)}: ${message}`);
  const gpu = Number(digits ?? 0);
  if (gpu < gpus.length) return gpu;
  const known = gpus.map((_, i) => nameOf(i)).join(', ');
  throw rangeError('ERR_CUDA_NO_DEVICE', `${who} expects device to be one of cpu, ${known}, got ${describe(device)}`);
}

/** To the host, and says so once a process. */
function fallBack(why: string | null): undefined {
  if (!warned) warn(`device "auto" is the cpu, because there is no GPU to use: ${why}`);
  warned = true;
}

/** The GPU that a function of this module is about. */
function checkedGpu(who: string, device: unknown): GpuIndex {
  const gpu = gpuOf(who, device);
  if (gpu !== undefined) return gpu;
  throw rangeError(
    'ERR_OPT_CONFIG_RANGE',
    `${who} expects device to be "cuda", "cuda:0", ..., got ${describe(device)}`,
  );
}

const versionOf = (version: number): string | null =>
  version === 0 ? null : `${Math.floor(version / 1000)}.${Math.floor((version % 1000) / 10)}`;

const unusable = ({ code, message }: Startup): Unusable | null =>
  code === null ? null : { code, message: message ?? '' };

/**
 * The GPUs that can be used, or why there is none. Starts CUDA when it is first called.
 *
 * @example
 * const { cuda, unusable } = devices();
 * console.log(cuda[0]?.name ?? unusable?.message);
 */
export function devices(): Devices {
  const started = startup();
  const driver = versionOf(started.driver) ?? '';
  const cuda = started.code === null ? started.gpus : [];
  return { cuda: cuda.map((gpu, i) => ({ device: `cuda:${i}`, ...gpu, driver })), unusable: unusable(started) };
}

/** Versions, and what steps run on: for a bug report. Starts CUDA when it is first called. */
export function info(): Info {
  const started = startup();
  const { built } = addon.cuda;
  const requiredDriver = built ? driverFor(started.runtime) : null;
  const { file, kind, passed } = loaded;
  const [runtime, driver] = [versionOf(started.runtime), versionOf(started.driver)];
  return {
    version,
    node: nodeVersion,
    addon: { file, kind, passed },
    backend: backendName(),
    backends: addon.backends,
    threads: getNumThreads(),
    cuda: { built, runtime, requiredDriver, driver, unusable: unusable(started) },
  };
}

/** The first driver of a major version of CUDA runs all of that version. */
const driverFor = (runtime: number): number => (runtime >= 13_000 ? 580 : 525);

/**
 * The CUDA stream in whose order everything on a GPU happens: steps, reads and writes. A `cudaStream_t` as a number.
 *
 * @param device `cuda` (default), `cuda:1`, ...
 * @throws as `new Variable` for that device
 */
export const cudaStream = (device: CudaDevice = 'cuda'): bigint => addon.cuda.stream(checkedGpu('cudaStream', device));

/**
 * Gives the work of a GPU to a stream of yours from now on, behind what has been given to the one before. The stream must live as
 * long as it is used.
 *
 * @param stream a `cudaStream_t` as a number; `0n`: the library's own again
 * @throws as `new Variable` for that device; TypeError `ERR_OPT_CONFIG_TYPE` unless the stream is a bigint, RangeError
 *   `ERR_OPT_CONFIG_RANGE` for one below 0
 */
export function useCudaStream(device: CudaDevice, stream: bigint): void {
  const gpu = checkedGpu('useCudaStream', device);
  addon.cuda.useStream(gpu, checkedBits('useCudaStream expects stream', stream));
}

const kBits = 2n ** 64n;

/** A pointer or a stream as a number. `expects`: who expects what, for the error. */
export function checkedBits(expects: string, value: unknown): bigint {
  if (typeof value !== 'bigint')
    throw typeError('ERR_OPT_CONFIG_TYPE', `${expects} to be a bigint, got ${describe(value)}`);
  if (value < 0n || value >= kBits)
    throw rangeError('ERR_OPT_CONFIG_RANGE', `${expects} to be in [0, 2^64), got ${value}`);
  return value;
}

/**
 * Bytes of library memory that are alive in this process: variables, gradients, state. By device; GPUs are listed once CUDA has been
 * started in this thread.
 */
export function memory(): Readonly<Record<'cpu', number> & Record<`cuda:${number}`, number>> {
  const gpus = found?.code === null ? found.gpus : [];
  return { cpu: addon.liveBytes(), ...Object.fromEntries(gpus.map((_, i) => [nameOf(i), addon.cuda.liveBytes(i)])) };
}

interface Kept {
  readonly mark: Mark;
  readonly owners: readonly unknown[];
}
const kept: Kept[] = [];

/** Keeps the owners of foreign memory alive until a GPU has done what it has been given so far. */
export function keepAlive(gpu: GpuIndex, owners: readonly unknown[]): void {
  if (owners.length > 0) kept.push({ mark: addon.cuda.mark(gpu), owners });
}

/** Lets go of the owners whose work is done: called now and then. */
export function letGo(): void {
  if (kept.length === 0) return;
  const still = kept.filter(({ mark }) => !isOver(mark));
  kept.splice(0, kept.length, ...still);
}

function isOver(mark: Mark): boolean {
  try {
    return mark.reached();
  } catch {
    return true; // nothing runs on a GPU after an error that stays
  }
}
