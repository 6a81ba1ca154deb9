// The kernels as WebAssembly: the only file that knows what native/wasm/exports.cpp exports. Pointers are addresses in the memory of the
// instance, which the one who instantiates it makes, and which never grows.
import type { RuleInfo, Trace } from '../native.ts';

/** What is used of JavaScript's WebAssembly. TypeScript has its types among those of browsers only. */
interface Machine {
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: object };
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => {
    readonly buffer: ArrayBuffer;
  };
}
const { WebAssembly } = globalThis as unknown as { readonly WebAssembly: Machine };

/** What scripts/build_wasm.sh writes as dist/wasm/module.cjs. */
export interface WasmModule {
  /** Of the package. */
  readonly version: string;
  /** The compiled kernels in base64. */
  readonly bytes: string;
  /** Pages of 64 KB that they need themselves. */
  readonly pages: number;
  /** What a native addon of the same sources says of itself. */
  readonly tables: WasmTables;
}

export interface WasmTables {
  readonly rules: readonly RuleInfo[];
  /** By the ids of the rules. */
  readonly traces: readonly Trace[];
  readonly traceOfDecay: Trace;
  readonly controls: readonly string[];
  /** Numbers of a Control. */
  readonly controlSize: number;
}

/** An address in the instance's memory, in bytes. Arrays of float64 and structures are aligned to 8, a workspace to 64. */
export type Pointer = number;

/** Place of a dtype in `dtypes` of lib/native.ts. */
type Dtype = number;

/** What the module exports. Nothing of it is checked: a wrong address writes somewhere else. */
export interface Kernels {
  /** Updates a Tensor's elements begin .. begin + length by the rule with this id. */
  update(rule: number, dtype: Dtype, tensor: Pointer, begin: number, length: number, control: Pointer): void;
  /** The sum of squares of g / unscale, of at most a block. */
  sumOfSquares(dtype: Dtype, tensor: Pointer, begin: number, length: number, unscale: number): number;
  /** The same of the variable, as the weight decay leaves it. */
  sumOfDecayed(dtype: Dtype, tensor: Pointer, begin: number, length: number, control: Pointer): number;
  /** 1 if the elements begin .. begin + length of g are finite, or else 0. */
  finite(dtype: Dtype, tensor: Pointer, begin: number, length: number): number;
  /** Folds sums pairwise, in place. */
  foldPairwise(sums: Pointer, count: number): number;
  /**
   * Adds the squares of g / unscale to `lanes`, 128 numbers that are zeros at first, from a lane on: `lane` is the place of the first one
   * in its block modulo 128. For blocks in which only some rows have gradients.
   */
  addSquares(dtype: Dtype, lanes: Pointer, lane: number, g: Pointer, length: number, unscale: number): void;
  /** The sum of a block's lanes; they are overwritten. */
  foldLanes(lanes: Pointer): number;
  /** Writes the multiplier and the divisor of a gradient whose sum of squares this is, for `clipnorm`. */
  clipFactor(dtype: Dtype, sum: number, clip: number, out: Pointer): void;
  /** The same for `global_clipnorm`; the sum is that of all gradients. */
  globalClipFactor(dtype: Dtype, sum: number, clip: number, out: Pointer): void;
  /**
   * What follows a directed rule: of a Tensor whose p is the variable and whose g is its direction, sets the multiplier and the divisor
   * by which it descends, and may rewrite the direction. `control` is that of the rule, `shape` three uint32: matrices, rows, columns.
   * `extra` are the addresses of what the rule keeps beside its slots, as many uint32; 0 if there are none.
   */
  steer(
    rule: number,
    dtype: Dtype,
    tensor: Pointer,
    control: Pointer,
    shape: Pointer,
    squares: number,
    directionSquares: number,
    extra: Pointer,
    workspace: Pointer,
  ): void;
  /** Bytes that `steer` needs as workspace, aligned to 64. */
  workspaceBytes(rule: number, dtype: Dtype, batch: number, rows: number, columns: number): number;
  /** The numbers of `Layout`, as uint32. */
  layout(): Pointer;
  /** Where the memory that is not the module's own begins, aligned to 64. */
  heapBase(): Pointer;
}

/** Bytes of the structures of native/work.h, and of what precedes each field of a Tensor; in the order of native/wasm/exports.cpp. */
const fields = [
  'tensorBytes',
  'controlBytes',
  'p',
  'g',
  'slots',
  'length',
  'first',
  'storage',
  'multiplier',
  'divisor',
  'average',
  'averaging',
  'variable',
  'given',
  'decay',
  'skip',
] as const;
export type Layout = Readonly<Record<(typeof fields)[number], number>>;

/** An instance of the kernels with a memory of its own. */
export interface Instance {
  readonly kernels: Kernels;
  readonly layout: Layout;
  readonly buffer: ArrayBuffer;
  /** The first byte of the buffer that is free to use. */
  readonly heapBase: Pointer;
}

const pageBytes = 65536;

/** The compiled kernels, to make instances of. */
export interface Compiled {
  readonly module: object;
  readonly pages: number;
}

/** Compiles the kernels; once a process or page is enough. */
export function compiled({ bytes, pages }: Pick<WasmModule, 'bytes' | 'pages'>): Compiled {
  return { module: new WebAssembly.Module(Uint8Array.from(atob(bytes), (char) => char.charCodeAt(0))), pages };
}

/**
 * An instance whose memory has room for `bytes` bytes from `heapBase` on; it never has more.
 *
 * @throws RangeError as JavaScript has it, if there is no such memory
 */
export function instantiated({ module, pages }: Compiled, bytes: number): Instance {
  const all = pages + Math.ceil(bytes / pageBytes);
  const memory = new WebAssembly.Memory({ initial: all, maximum: all });
  const kernels = new WebAssembly.Instance(module, { env: { memory } }).exports as Kernels;
  const numbers = new Uint32Array(memory.buffer, kernels.layout(), fields.length);
  const layout = Object.fromEntries(fields.map((field, i) => [field, numbers[i]])) as Layout;
  return { kernels, layout, buffer: memory.buffer, heapBase: kernels.heapBase() };
}
