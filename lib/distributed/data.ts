// What collectives move: arrays and variables, found where they are.
import { bufferOf, checkMemory, classOf, lengthOf, memoryOf, spanOf } from '../arrays.ts';
import type { DeviceArray } from '../device_array.ts';
import { describe, typeError } from '../errors.ts';
import type { Memory } from '../native.ts';
import { sizes, type DeviceStorage } from '../storage.ts';
import { deviceStorageOf, isVariable, Variable } from '../variable.ts';

/** Numbers of the host, of any element type. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

/** What a collective reads and writes: arrays, variables, and on a GPU variables and their gradients. */
export type Data = TypedArray | Variable | Variable<DeviceArray> | DeviceArray;

// The order is part of the handshake.
const elements = {
  float32: { class: 'Float32Array', size: 4 },
  float64: { class: 'Float64Array', size: 8 },
  int8: { class: 'Int8Array', size: 1 },
  uint8: { class: 'Uint8Array', size: 1 },
  uint8_clamped: { class: 'Uint8ClampedArray', size: 1 },
  int16: { class: 'Int16Array', size: 2 },
  uint16: { class: 'Uint16Array', size: 2 },
  int32: { class: 'Int32Array', size: 4 },
  uint32: { class: 'Uint32Array', size: 4 },
  int64: { class: 'BigInt64Array', size: 8 },
  uint64: { class: 'BigUint64Array', size: 8 },
  float16: { class: 'Float16Array', size: 2 },
  bfloat16: { class: '', size: 2 },
} as const;

/** An element type by name. */
export type Element = keyof typeof elements;
export const elementNames = Object.keys(elements) as readonly Element[];

/** Numbers where they are: on the host as bytes, or the memory of a GPU. */
export interface Located {
  readonly element: Element;
  /** Elements, and bytes of one. */
  readonly length: number;
  readonly size: number;
  /** Of the host; empty for a GPU. */
  readonly bytes: Uint8Array;
  readonly device?: DeviceStorage;
  /** Library memory that they lie in. */
  readonly memory?: Memory | undefined;
  /** Whether nobody can take the memory away as long as `memory` is held and the variable is in use. */
  readonly stays: boolean;
  readonly variable?: Variable;
}

/** Finds data; `who` expects it, and writes it or not. Throws as for the arguments of an optimizer. */
export function located(who: string, data: unknown, written: boolean): Located {
  const device = deviceStorageOf(data);
  if (device !== undefined) return onDevice(device);
  if (!isVariable(data)) return inArray(who, data, written);
  const storage = Variable.storageOf(data);
  if (storage.raw === undefined)
    throw typeError(
      'ERR_OPT_READ_ONLY',
      `${who} expects a variable with memory, "${data.path}" is a number of an optimizer`,
    );
  const found = inArray(who, storage.raw(), written);
  return { ...found, element: storage.dtype, variable: data };
}

function onDevice(device: DeviceStorage): Located {
  const element = device.dtype as Element;
  const { memory, length } = device;
  return { element, length, size: sizes[element as keyof typeof sizes], bytes: nothing, device, memory, stays: true };
}

const nothing = new Uint8Array(0);

function inArray(who: string, data: unknown, written: boolean): Located {
  const name = classOf(data);
  const element = elementNames.find((one) => elements[one].class === name);
  if (element === undefined || name === undefined)
    throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects a typed array or a variable, got ${describe(data)}`);
  const array = data as Float32Array; // as good as any
  checkMemory(who, array, written);
  const { begin, end } = spanOf(array);
  const [buffer, memory] = [bufferOf(array), memoryOf(array)];
  const stays = memory !== undefined || Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';
  const bytes = new Uint8Array(buffer, begin, end - begin);
  return { element, length: lengthOf(array), size: elements[element].size, bytes, memory, stays };
}
