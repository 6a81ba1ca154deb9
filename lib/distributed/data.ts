// What collectives move: arrays and variables, found where they are.
import type { DeviceArray } from '../device_array.ts';
import type { Variable } from '../variable.ts';

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
