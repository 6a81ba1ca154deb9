// Gradients that lie on a GPU: of variables there, and memory of other addons, which is read in place.
import { arrays, sizeOf } from './arrays.ts';
import { isPlainObject } from './configurable.ts';
import type { CudaArray } from './device_array.ts';
import { checkedBits, isSpace, keepAlive, letGo, nameOf, type GpuIndex, type Site } from './devices.ts';
import { describe, rangeError, typeError } from './errors.ts';
import { addon, type Dtype, type Half, type Memory } from './native.ts';
import type { Brought } from './pass.ts';
import { sizes } from './storage.ts';
import { deviceStorageOf, Variable } from './variable.ts';

/** Memory of somebody else's that a step reads. */
export interface Borrowed {
  readonly memory: Memory;
  readonly stream: bigint | undefined;
  readonly owner: unknown;
}

/** Who reads gradients: where, and which halves; false for none. */
export interface Reader {
  readonly site: Site | undefined;
  readonly gradient_dtype: Half | null | false;
  /** Throws for memory that it writes. */
  checkMemoryApart(memory: Memory, bytes: number, i: number): void;
}

/** The memory of a gradient on a GPU, or in a space; undefined for a gradient on the host. What is somebody else's is added to `borrowed`. */
export function gradientOnSite(
  state: Reader,
  gradient: unknown,
  i: number,
  variable: Variable,
  borrowed: Borrowed[],
): Brought | undefined {
  const who = `gradients[${i}] ("${variable.path}")`;
  if (isSpace(state.site)) return state.site.gradientMemory(who, gradient, variable);
  if (typeof gradient !== 'object' || gradient === null || ArrayBuffer.isView(gradient)) return undefined;
  const storage = deviceStorageOf(gradient);
  if (storage === undefined && !isForeign(gradient)) return undefined;
  const found = storage ?? checkedForeign(who, gradient as CudaArray);
  checkPlace(who, 'gpu' in found ? found.gpu : found.site, state.site);
  checkDtype(who, found.dtype, variable.dtype as Dtype, state.gradient_dtype);
  const { length } = Variable.storageOf(variable);
  if (found.length !== length)
    throw rangeError('ERR_OPT_LENGTH', `${who} has ${found.length} elements, its variable has ${length}`);
  const bytes = length * sizes[found.dtype as keyof typeof sizes];
  const memory = 'memory' in found ? found.memory : borrow(found, bytes, borrowed);
  if (memory === undefined) return new arrays[variable.dtype as Dtype](0);
  state.checkMemoryApart(memory, bytes, i);
  return memory;
}

const keys = ['ptr', 'shape', 'dtype', 'device', 'stream', 'owner'];

/** Whether something is meant to describe memory of a GPU. */
const isForeign = (value: object): boolean => isPlainObject(value) && 'ptr' in value;

type Foreign = Omit<Borrowed, 'memory'> & Pick<CudaArray, 'ptr' | 'dtype'> & { gpu: GpuIndex; length: number };

/** Every part is read once. */
function checkedForeign(who: string, given: CudaArray): Foreign {
  const unknown = Object.keys(given).find((key) => !keys.includes(key));
  if (unknown !== undefined)
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} is expected to have only ${keys.join(', ')}, got "${unknown}"`);
  const { ptr, shape, dtype, device, stream, owner }: Record<keyof CudaArray, unknown> = { ...given } as never;
  if (typeof dtype !== 'string' || !Object.hasOwn(sizes, dtype))
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects dtype to be one of ${Object.keys(sizes).join(', ')}, got ${describe(dtype)}`,
    );
  const length = sizeOf(shape);
  if (length === undefined)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects shape to be an array of whole numbers >= 0, got ${describe(shape)}`,
    );
  const address = checkedBits(`${who} expects ptr`, ptr);
  const size = sizes[dtype as keyof typeof sizes];
  if (address % BigInt(size) !== 0n)
    throw rangeError('ERR_CUDA_POINTER', `${who} expects ptr to be a multiple of ${size}, got ${address}`);
  const known = stream === undefined || stream === null ? undefined : checkedBits(`${who} expects stream`, stream);
  return { ptr: address, dtype: dtype as CudaArray['dtype'], length, gpu: indexOf(who, device), stream: known, owner };
}

function indexOf(who: string, device: unknown): GpuIndex {
  const digits = typeof device === 'string' ? /^cuda(?::(0|[1-9]\d{0,5}))?$/.exec(device) : null;
  if (digits !== null) return Number(digits[1] ?? 0);
  throw typeError('ERR_OPT_DEVICE', `${who} expects device to be "cuda", "cuda:0", ..., got ${describe(device)}`);
}

function checkPlace(who: string, site: Site, expected: Site | undefined): void {
  if (site === expected) return;
  throw typeError(
    'ERR_OPT_DEVICE',
    `${who} lies on ${nameOf(site)}, its variable on ${nameOf(expected)}: give what its await read() gives, or put the variable there`,
  );
}

function checkDtype(who: string, dtype: string, expected: Dtype, half: Half | null | false): void {
  const read = half === false ? undefined : (half ?? 'float16');
  if (dtype === expected || (expected === 'float32' && dtype === read)) return;
  const halves = expected === 'float32' && read !== undefined ? ` or, by gradient_dtype, ${read}` : '';
  throw typeError(
    'ERR_OPT_ARRAY_TYPE',
    `${who} is expected to have its variable's dtype ${expected}${halves}, got ${dtype}`,
  );
}

/** Undefined for no elements, which need not lie anywhere. */
function borrow({ gpu, ptr, stream, owner }: Foreign, bytes: number, borrowed: Borrowed[]): Memory | undefined {
  if (bytes === 0) return undefined;
  const memory = addon.cuda.borrow(gpu, ptr, bytes);
  borrowed.push({ memory, stream, owner });
  return memory;
}

/** The streams of others. */
function streamsOf(gpu: GpuIndex, borrowed: readonly Borrowed[]): readonly bigint[] {
  const own = addon.cuda.stream(gpu);
  return [...new Set(borrowed.flatMap(({ stream }) => stream ?? []))].filter((stream) => stream !== own);
}

/** The step waits for those who make its gradients. */
export function waitForOwners(gpu: Site | undefined, borrowed: readonly Borrowed[]): void {
  if (typeof gpu !== 'number' || borrowed.length === 0) return;
  for (const stream of streamsOf(gpu, borrowed)) addon.cuda.waitFor(gpu, stream);
}

/** The step has been enqueued: what its owners do next waits for it, and they stay alive until it has ended. */
export function giveToOwners(gpu: Site | undefined, borrowed: readonly Borrowed[]): void {
  if (typeof gpu !== 'number') return;
  letGo();
  if (borrowed.length === 0) return;
  try {
    for (const stream of streamsOf(gpu, borrowed)) addon.cuda.waitIn(gpu, stream);
    keepAlive(
      gpu,
      borrowed.map(({ owner }) => owner).filter((owner) => owner !== undefined && owner !== null),
    );
  } finally {
    letGoOf(borrowed);
  }
}

/** Forgets borrowed memory. */
export function letGoOf(borrowed: readonly Borrowed[]): void {
  for (const { memory } of borrowed) memory.release();
}
