// Types the addon: the only file that knows its shape.
import { describe, rangeError, stateError, typeError, type ErrorCode } from './errors.ts';
import { loaded } from './load.ts';
import { availableParallelism, environment } from './platform.ts';

/** Library memory: 64-byte aligned, on the host shown as an ArrayBuffer. `release()` detaches the buffer. */
export interface Memory {
  buffer(): ArrayBuffer;
  release(): void;
  /** Some bytes of it, as a memory of their own that holds this one. */
  part(begin: number, bytes: number): Memory;
  /** The index of the GPU that it lies on; -1 for the host. */
  readonly device: number;
  readonly address: bigint;
}

export type Whole = 'elementwise' | 'trust_ratio' | 'relative' | 'factored' | 'orthogonal';

export interface RuleInfo {
  readonly name: string;
  /** Whether it looks at all of a variable: it assigns a direction, and native code says how that is subtracted. */
  readonly directed: boolean;
  /** How that is subtracted (native/rules/rule.h). */
  readonly whole: Whole;
  /** Whether it leaves an element alone whose gradient is 0. */
  readonly sparse: boolean;
  readonly slots: readonly string[];
  readonly scalars: readonly string[];
}

/** One operation of a rule; `first` and `second` are the registers it reads, -1 for none. */
export interface Instruction {
  readonly operation:
    | 'constant'
    | 'add'
    | 'subtract'
    | 'multiply'
    | 'divide'
    | 'negate'
    | 'root'
    | 'magnitude'
    /** NaN passes from either side. */
    | 'maximum'
    /** 0 for zeros of either sign, NaN for NaN. */
    | 'sign'
    /** To [-second, second]; NaN passes. */
    | 'clamp'
    | 'power';
  readonly first: number;
  readonly second: number;
  /** Of the operation `constant`, as a float32. */
  readonly constant: number;
}

/**
 * What a rule computes for an element. Registers 0 and up are the inputs: the variable (of a directed rule its direction, which it
 * does not read), the gradient, slots and scalars, in the order of `RuleInfo`. Every instruction fills the next register.
 */
export interface Trace {
  readonly inputs: number;
  readonly instructions: readonly Instruction[];
  /** The registers of the variable (or direction) and the slots after it. */
  readonly outputs: readonly number[];
}

/** An array of a tensor: library memory, or the index of an array that is passed to every run. */
export type Source = Memory | number;

export interface TensorSpec {
  readonly variable: number;
  readonly length: number;
  /** Of a part of a variable: its first element, and the place of its first block among the sums of a run in two halves. */
  readonly first?: number;
  readonly firstSum?: number;
  readonly decay: boolean;
  /** Whether the second source is a gradient as the caller gave it. */
  readonly given?: boolean;
  /** Index of the array whose absence skips the tensor; null if there is none. */
  readonly needs: number | null;
  /** The variable, its gradient, and the slots in the rule's order. */
  readonly sources: readonly Source[];
  /** How each of them keeps its elements; plain if it is not said. */
  readonly storages?: readonly StorageName[];
  /** Of a tensor whose gradient is that of some rows: index of the array that says which, and elements of a row. */
  readonly rows?: number;
  readonly columns?: number;
  /** Of a directed rule: where the direction goes, the variable as matrices [how many, rows, columns], and what else it keeps. */
  readonly direction?: Memory;
  readonly shape?: readonly number[];
  readonly extra?: readonly Memory[];
}

/** As numbers of the pass's dtype, or in fewer bytes than float32. */
export type StorageName = 'plain' | Half;
export type Half = 'bfloat16' | 'float16';

export interface PassSpec {
  readonly rule: number;
  readonly dtype: number;
  /** How Uint16Arrays among the gradients are read; not at all if it is not said. */
  readonly half?: Half;
  readonly tensors: readonly TensorSpec[];
}

/** A memory lies on the device of the plan; one of 2 bytes an element is read as its pass's `half`. */
type Arrays = readonly (Float32Array | Float64Array | Uint16Array | Uint32Array | Memory | null)[];
type Done = (result: number, error?: Error) => void;

/** The passes of a step, bound to their memory, on the host or on one GPU. */
export interface Plan {
  /**
   * Runs the active passes; returns the L2 norm of the clipped gradients, negative if no norm was asked for. On a GPU it returns
   * when the work is enqueued, and -2 - i for a norm that `norm(i)` waits for.
   */
  run(arrays?: Arrays): number;
  /** The L2 norm of a run, also while the next one runs. */
  norm(i: number): number;
  /** `run` off the event loop. `held` are the memories that the arrays lie in; `done` gets the norm, or an error behind it. */
  runAsync(arrays: Arrays, held: readonly Memory[], done: Done, squares?: Memory): void;
  /**
   * The first half of a run of parts of variables, up to where gradients are clipped by norm: writes the sums of squares of their blocks
   * to where `firstSum` says. `runAsync` with the sums of all variables as `squares` is the second half.
   */
  sumsAsync(arrays: Arrays, held: readonly Memory[], done: Done, sums: Memory): void;
  /** Throws where `run` would, and does nothing. */
  bind(arrays: Arrays): void;
  /** Whether every gradient that the caller gave is finite. Waits for a GPU. */
  finite(arrays: Arrays): boolean;
  /** The same off the event loop; `done` gets 1 or 0. */
  finiteAsync(arrays: Arrays, held: readonly Memory[], done: Done): void;
  /** Lets go of all memory. */
  release(): void;
}

type HostArray = Float32Array | Float64Array | Uint16Array;

/** What was found when CUDA was first asked for; versions as CUDA has them, 13000 for 13.0, 0 for none. */
export interface Startup {
  /** Why there is no GPU to use: a stable code, and a sentence; null if there is one. */
  readonly code: ErrorCode | null;
  readonly message: string | null;
  readonly driver: number;
  readonly runtime: number;
  readonly gpus: readonly {
    readonly name: string;
    readonly uuid: string;
    readonly memory: number;
    readonly capability: string;
    readonly processors: number;
  }[];
}

/** A place in the stream of a GPU. */
export interface Mark {
  reached(): boolean;
  wait(): void;
  /** Milliseconds; both are timed and reached. */
  since(earlier: Mark): number;
}

/** GPUs by their index. What is enqueued happens in the order of a GPU's stream. */
interface Cuda {
  /** Whether CUDA is built into this addon; if not, the rest says so. */
  readonly built: boolean;
  /** Whether this is the build for tests, whose GPUs are memory and threads of this process. */
  readonly emulated: boolean;
  startup(): Startup;
  /** Bytes of all library memory of the process on a GPU. */
  liveBytes(gpu: number): number;
  stream(gpu: number): bigint;
  /** Gives the work to another stream from now on; 0n: to its own again. */
  useStream(gpu: number, stream: bigint): void;
  /** Memory of somebody else's, which is checked to lie on that GPU. Releasing it frees nothing. */
  borrow(gpu: number, ptr: bigint, bytes: number): Memory;
  /** Our stream waits for what another one has got so far, or the other way round. */
  waitFor(gpu: number, stream: bigint): void;
  waitIn(gpu: number, stream: bigint): void;
  /** Enqueues host to device; `from` may change when it returns. */
  write(to: Memory, from: HostArray): void;
  /** Enqueues a copy of all of a memory to another one of the same size on the same GPU. */
  copy(to: Memory, from: Memory): void;
  /** Enqueues device to host; `done` is called when it has happened. */
  read(from: Memory, to: Memory, done: Done): void;
  /** The same at once: waits. */
  readNow(from: Memory, to: Memory): void;
  /** Enqueues rows, or zeros for null, into a dense array; `dtype` is its place in `dtypes`. */
  putRows(
    dense: Memory,
    dtype: number,
    rows: Uint32Array,
    columns: number,
    values: Float32Array | Float64Array | null,
  ): void;
  mark(gpu: number, timed?: boolean): Mark;
}

/** What an engine between processes says of itself once it has started. */
export interface EngineInfo {
  readonly rank: number;
  readonly size: number;
  /** The file of the library. */
  readonly library: string;
  readonly version: string;
}

/**
 * An engine between processes. Calls are made one after the other, on a thread of their own; memory is held until they have ended.
 * Of a collective `bytes` is the part of a rank, of a broadcast all; `done` gets a meaningless number, or an error behind it.
 */
export interface Connection {
  /** Before it has started rank and size are 0. */
  describe(): EngineInfo;
  /**
   * Starts one of `collectives`, by its place there. In an exchange a rank's bytes have `room` in what is received, and behind all of it
   * there is a byte for each rank that becomes 1 when its bytes have come.
   */
  run(
    collective: number,
    send: Memory,
    sendOffset: number,
    receive: Memory,
    receiveOffset: number,
    bytes: number,
    root: number,
    done: Done,
    room: number,
  ): void;
  /** All calls fail with ERR_COMM_ABORTED and this reason; the engine ends the job (MPI, with the code) or lets go of it. */
  abort(exitCode: number, reason: string): void;
  /** The same, and tells nobody. */
  leave(): void;
  /** With all other ranks, after all calls before. */
  close(done: Done): void;
}

interface Distributed {
  readonly collectives: readonly string[];
  /** `piece`: bytes of a message at most; `ring`: ranks from which on allGather passes parts on in place of sending all to all. */
  openMpi(libraries: readonly string[], piece: number, ring: number, done: Done): Connection;
  openNccl(
    libraries: readonly string[],
    id: Uint8Array,
    rank: number,
    size: number,
    gpu: number,
    done: Done,
  ): Connection;
  /** Throws where there is no NCCL. */
  newNcclId(libraries: readonly string[]): { readonly id: Uint8Array; readonly version: string };
}

export interface Addon {
  readonly cuda: Cuda;
  readonly distributed: Distributed;
  readonly rules: readonly RuleInfo[];
  /** What the rule with this id computes. */
  trace(rule: number): Trace;
  /** What the weight decay computes; its inputs are the variable, the weight decay and the learning rate. */
  traceOfDecay(): Trace;
  readonly backends: readonly { readonly name: string; readonly unusable: string | null }[];
  /** Names of the fields of a pass's control that precede the scalars. */
  readonly controls: readonly string[];
  readonly controlSize: number;
  /** Elements: the unit of every reduction's order. */
  readonly block: number;
  /** Control bits of the processor's floating-point unit; a step leaves them as they were. */
  floatingPointControl(): number;
  /** Zeros; `offset` bytes, below 4096, after the beginning of a page; on the host unless a GPU's index is given. */
  readonly Memory: new (bytes: number, offset?: number, gpu?: number) => Memory;
  /** How many bytes an array lies after a multiple of 64. */
  beyondLine(array: ArrayBufferView): number;
  /** Moves a large array to huge pages, where the system can; its content and address stay. */
  useHugePages(array: ArrayBufferView): void;
  /** Bytes of all library memory of the process on the host. */
  liveBytes(): number;
  threadCount(): number;
  setThreadCount(count: number): void;
  /**
   * Merges slices: into `merged` the rows in ascending order, each once, into `sums` what each adds up to, in the order of the
   * slices. `keys` has room for as many numbers as there are slices. Returns how many rows there are; or -1 - i if indices[i] is
   * no whole number in [0, rows).
   */
  mergeRows(
    values: Float32Array | Float64Array,
    indices: Int32Array | Uint32Array | Float64Array,
    rows: number,
    columns: number,
    sums: Float32Array | Float64Array,
    merged: Uint32Array,
    keys: Float64Array,
  ): number;
  /** Writes rows into a dense array; zeros for null. */
  putRows(
    dense: Float32Array | Float64Array,
    rows: Uint32Array,
    columns: number,
    values: Float32Array | Float64Array | null,
  ): void;
  /** `control` has controlSize numbers for each pass, which are read when it runs. */
  newPlan(backend: number, passes: readonly PassSpec[], variables: number, control: Memory): Plan;
}

/** Of variables: what is computed in. */
export type Dtype = 'float32' | 'float64';
/** Element types a kernel exists for, in the order of the addon's table. */
export const dtypes = ['float32', 'float64'] as const satisfies readonly Dtype[];

export const { addon }: { readonly addon: Addon } = loaded;

export function ruleNamed(name: string): { readonly id: number; readonly info: RuleInfo } {
  const id = addon.rules.findIndex((rule) => rule.name === name);
  const info = addon.rules[id];
  if (info === undefined) throw rangeError('ERR_OPT_CONFIG_RANGE', `no native rule is named ${name}`);
  return { id, info };
}

/** Index of the backend called `name`, or of the best that runs here. Throws for an unknown or unusable one. */
export function backendNamed(name: string | undefined): number {
  const { backends } = addon;
  if (name === undefined) return backends.findIndex((backend) => backend.unusable === null);
  const index = backends.findIndex((backend) => backend.name === name);
  const known = backends.map((backend) => backend.name).join(', ');
  const backend = backends[index];
  if (backend === undefined)
    throw rangeError('ERR_OPT_BACKEND', `KERAS_OPTIMIZERS_BACKEND expects one of ${known}, got "${name}"`);
  if (backend.unusable !== null)
    throw stateError('ERR_OPT_BACKEND', `KERAS_OPTIMIZERS_BACKEND=${name} cannot be used: ${backend.unusable}`);
  return index;
}

let backend = backendNamed(environment.KERAS_OPTIMIZERS_BACKEND || undefined);

/** Chooses the backend of the plans built from now on, and returns the name of the one before. For tests and benchmarks. */
export function useBackend(name: string): string {
  const before = backendName();
  backend = backendNamed(name);
  return before;
}

/** Name of the backend of the plans built from now on. */
export const backendName = (): string => addon.backends[backend]?.name ?? '';

export const newPlan = (passes: readonly PassSpec[], variables: number, control: Memory): Plan =>
  addon.newPlan(backend, passes, variables, control);

const maxThreads = 1024;

/**
 * How many threads a step may use, the calling one included. Default: the cores this process may use, or
 * `KERAS_OPTIMIZERS_NUM_THREADS`. Results do not depend on it. It holds for the whole process, workers included. On WebAssembly there is
 * one, whatever is asked for.
 *
 * @param count 1 to 1024
 * @throws RangeError `ERR_OPT_CONFIG_RANGE`, TypeError `ERR_OPT_CONFIG_TYPE`
 */
export function setNumThreads(count: number): void {
  checkThreads('setNumThreads', count);
  addon.setThreadCount(count);
}

/** How many threads a step may use. */
export const getNumThreads = (): number => addon.threadCount();

function checkThreads(who: string, count: unknown): void {
  const message = `${who} expects a whole number of threads from 1 to ${maxThreads}, got ${describe(count)}`;
  if (typeof count !== 'number') throw typeError('ERR_OPT_CONFIG_TYPE', message);
  if (!Number.isInteger(count) || count < 1 || count > maxThreads) throw rangeError('ERR_OPT_CONFIG_RANGE', message);
}

// The first environment of the process decides; a worker finds the pool as it is.
if (addon.threadCount() === 0) {
  const asked = environment.KERAS_OPTIMIZERS_NUM_THREADS;
  const count = asked ? Number(asked) : Math.min(availableParallelism(), maxThreads);
  checkThreads('KERAS_OPTIMIZERS_NUM_THREADS', asked && Number.isNaN(count) ? asked : count);
  addon.setThreadCount(count);
}
