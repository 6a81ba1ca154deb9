// Where the numbers of a variable are: library memory on the host or on a GPU, an array of the caller's, or a number of an
// optimizer's.
import {
  allocated,
  arrays,
  bufferOf,
  dtypeOf,
  lengthOf,
  spanOf,
  writeTo,
  type AnyArray,
  type FloatArray,
} from './arrays.ts';
import { isSpace, letGo, nameOf, type GpuIndex, type Site } from './devices.ts';
import { typeError } from './errors.ts';
import { fromBfloat16, toBfloat16 } from './halves.ts';
import { addon, type Dtype, type Memory } from './native.ts';

/** An element type of a variable; integers and bfloat16 occur in the state of optimizers only. */
export type VariableDtype = Dtype | 'int64' | 'int32' | 'bfloat16';

/** One of these. */
export interface Storage {
  readonly dtype: VariableDtype;
  readonly length: number;
  /** What `value` shows. Off the host it throws; `who` has the numbers. */
  value(who?: string): FloatArray | BigInt64Array | Int32Array;
  write(data: ArrayLike<number>): void;
  readonly readOnly?: boolean;
  /** The number of a scalar as it is inside. */
  number?(): number;
  /** Library memory that a plan may point into. */
  readonly memory?: Memory;
  /** An array of the caller's, whose address a plan asks for at every step. */
  readonly array?: FloatArray;
  /** The first byte of the numbers; empty when they have been transferred away or disposed of. */
  readonly probe?: Uint8Array;
  /** Elements of the probe as long as all is well. */
  readonly bytes?: number;
  /** Gives the memory back; the probe is empty from then on. */
  release?(): void;
  /** Where the memory lies, if that is not the host. */
  readonly site?: Site;
  /** Of what is kept of a variable by one of several processes: its first element, and the shape of all. */
  readonly part?: { readonly first: number; readonly of: readonly number[] };
  /** The numbers as they are stored, bfloat16 as bits: where they lie, or a copy of what lies on a GPU, as soon as that is there. */
  raw?(): AnyArray | Promise<AnyArray>;
  /** Off the host: what its numbers are after all that has been enqueued, now or as soon as they are there. */
  now?(): FloatArray;
  read?(): Promise<FloatArray>;
}

const kApart = 512; // bytes
/** Where an array begins in its page, by what it is: the arrays of a step lie at different places (native/memory.h). */
export const places = {
  variable: 0,
  gradient: kApart,
  average: 2 * kApart,
  accumulator: 3 * kApart,
  direction: 7 * kApart, // where no rule that has a direction has a slot
  slot: (i: number): number => kApart * (4 + (i % 4)),
} as const;

/** A view of an array's first byte that nobody else has, and its length: it loses that when the array loses its memory. */
const probed = (array: AnyArray) => {
  const { begin, end } = spanOf(array);
  const probe = new Uint8Array(bufferOf(array), begin, Math.min(1, end - begin));
  return { probe, bytes: probe.length };
};

export type NativeStorage = Storage & Required<Pick<Storage, 'memory' | 'probe' | 'bytes' | 'release'>>;

/** A part of library memory of the host, which is shared with it. */
export function partStorage(whole: Storage, first: number, length: number, of: readonly number[]): Storage {
  const { dtype, memory } = whole;
  const array = (whole.value() as FloatArray).subarray(first, first + length);
  const size = array.BYTES_PER_ELEMENT;
  return {
    dtype,
    length,
    ...(memory === undefined ? {} : { memory: memory.part(first * size, length * size) }),
    ...probed(array),
    part: { first, of },
    value: () => array,
    raw: () => array,
    write: (data) => writeTo(array, data),
  };
}

/** Library memory: on the host shown as a typed array, for bfloat16 as a copy of its numbers; or on a site. */
export function nativeStorage(
  dtype: Dtype | 'bfloat16',
  length: number,
  offset: number,
  site?: Site,
  shape: readonly number[] = [length],
): NativeStorage {
  if (isSpace(site)) return site.allocate(dtype, shape);
  if (site !== undefined) return deviceStorage(dtype, length, site);
  if (dtype === 'bfloat16') return bfloat16Storage(length, offset);
  const { memory, array } = allocated(dtype, length, offset);
  const release = () => memory.release();
  return {
    dtype,
    length,
    memory,
    release,
    ...probed(array),
    value: () => array,
    raw: () => array,
    write: (data) => writeTo(array, data),
  };
}

function bfloat16Storage(length: number, offset: number): NativeStorage {
  const { memory, array } = allocated('uint16', length, offset);
  const release = () => memory.release();
  const write = (data: ArrayLike<number>) => {
    for (let i = 0; i < length; i++) array[i] = toBfloat16(data[i] as number);
  };
  const value = () => fromBfloat16(array);
  return { dtype: 'bfloat16', length, memory, release, ...probed(array), value, raw: () => array, write };
}

/** Bytes of an element. */
export const sizes = { float32: 4, float64: 8, bfloat16: 2, float16: 2 } as const;

type DeviceDtype = Dtype | 'bfloat16';
export type DeviceStorage = NativeStorage & Required<Pick<Storage, 'site' | 'now' | 'read'>>;

/** Of a GPU: zeros of its own, or over `memory`. */
export function deviceStorage(
  dtype: DeviceDtype,
  length: number,
  gpu: GpuIndex,
  memory: Memory = new addon.Memory(length * sizes[dtype], 0, gpu),
): DeviceStorage {
  const probe = new Uint8Array(1); // says whether the memory is there, as on the host: a step looks at nothing else
  const release = () => {
    letGo();
    memory.release();
    structuredClone(probe.buffer, { transfer: [probe.buffer] });
  };
  const value = (who = 'a variable') => {
    throw typeError('ERR_OPT_DEVICE', `${who} lies on ${nameOf(gpu)}: get a copy of its values with await read()`);
  };
  const write = (data: ArrayLike<number>) => {
    if (length > 0) addon.cuda.write(memory, encoded(data, dtype));
  };
  const here = () => {
    const { memory: to, array } = allocated(dtype === 'bfloat16' ? 'uint16' : dtype, length);
    return {
      to,
      array,
      shown: () => (dtype === 'bfloat16' ? fromBfloat16(array as Uint16Array) : (array as FloatArray)),
    };
  };
  const now = () => {
    const { to, shown } = here();
    if (length > 0) addon.cuda.readNow(memory, to);
    return shown();
  };
  const copied = () =>
    new Promise<ReturnType<typeof here>>((resolve, reject) => {
      const copy = here();
      letGo();
      if (length === 0) return resolve(copy);
      addon.cuda.read(memory, copy.to, (_, error) => (error === undefined ? resolve(copy) : reject(error)));
    });
  const read = async () => (await copied()).shown();
  const raw = async () => (await copied()).array;
  return { dtype, length, memory, site: gpu, probe, bytes: 1, release, value, write, now, read, raw };
}

/** Numbers as a typed array of a dtype, as they are where they are one. */
function encoded(data: ArrayLike<number>, dtype: DeviceDtype): AnyArray {
  if (dtype === 'bfloat16') return Uint16Array.from(data, toBfloat16);
  return dtypeOf(data) === dtype ? (data as FloatArray) : arrays[dtype].from(data);
}

/** Whether `copyStorage` can bring the numbers of one storage to another: from the host, or on one site. */
export const reaches = (from: Storage, to: Storage): boolean => from.site === undefined || from.site === to.site;

/** Writes the numbers of one storage into another. On a GPU it waits only where the dtypes differ. */
export function copyStorage(from: Storage, to: Storage): void {
  if (to === from) return;
  if (to.site === undefined || from.site === undefined) to.write(from.value() as FloatArray);
  else if (isSpace(to.site)) to.site.copy(to, from);
  else if (from.dtype !== to.dtype) to.write(from.now?.() ?? []);
  else if (to.length > 0) addon.cuda.copy(to.memory as Memory, from.memory as Memory);
}

/** An array of the caller's, written in place. */
export function arrayStorage(array: FloatArray, dtype: Dtype): Storage {
  const { length, ...rest } = { length: lengthOf(array), array, ...probed(array) };
  return { dtype, length, ...rest, value: () => array, raw: () => array, write: (data) => writeTo(array, data) };
}

/** A number of an optimizer's: float64 inside, shown in its Keras dtype. */
export function scalarStorage(dtype: Dtype | 'int64' | 'int32', get: () => number, set: (x: number) => void): Storage {
  const shown = () => (dtype === 'int64' ? BigInt64Array.of(BigInt(get())) : scalars[dtype].of(get()));
  const write = (data: ArrayLike<number>) => set(data[0] as number);
  return { dtype, length: 1, value: shown, write, number: get, readOnly: dtype.startsWith('int') };
}
const scalars = { ...arrays, int32: Int32Array } as const;

/** A 0 in the place of a number that nothing reads, whatever is written there. */
export const placeholder = (dtype: 'int32'): Storage =>
  scalarStorage(
    dtype,
    () => 0,
    () => {},
  );
