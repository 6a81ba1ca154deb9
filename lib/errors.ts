// One form for every error: who expects what, and what came; TypeError for a wrong kind, RangeError for a wrong value,
// Error for a wrong order of calls, each with a stable `code`.

/** The stable `code` of an error thrown by this package. */
export type ErrorCode =
  | 'ERR_OPT_ARRAY_TYPE'
  | 'ERR_OPT_LENGTH'
  | 'ERR_OPT_ALIAS'
  | 'ERR_OPT_INDEX'
  | 'ERR_OPT_CONFIG_TYPE'
  | 'ERR_OPT_CONFIG_RANGE'
  | 'ERR_OPT_NOT_BUILT'
  | 'ERR_OPT_NO_MODEL'
  | 'ERR_OPT_FILE'
  | 'ERR_OPT_NOT_IMPLEMENTED'
  | 'ERR_OPT_DISPOSED'
  | 'ERR_OPT_NO_GRADIENT'
  | 'ERR_OPT_UNKNOWN_VARIABLE'
  | 'ERR_OPT_READ_ONLY'
  | 'ERR_OPT_TOO_LARGE'
  | 'ERR_OPT_OOM'
  | 'ERR_OPT_BACKEND'
  | 'ERR_OPT_BLAS'
  | 'ERR_OPT_BUSY'
  | 'ERR_OPT_DETACHED'
  | 'ERR_OPT_RESIZABLE'
  | 'ERR_OPT_IMMUTABLE'
  | 'ERR_OPT_NOT_ASYNC_SAFE'
  | 'ERR_OPT_DEVICE'
  | 'ERR_OPT_CUDA'
  | 'ERR_OPT_POISONED'
  | 'ERR_OPT_DISTRIBUTED'
  | 'ERR_CUDA_NOT_BUILT'
  | 'ERR_CUDA_NO_DRIVER'
  | 'ERR_CUDA_DRIVER_TOO_OLD'
  | 'ERR_CUDA_DRIVER_MISMATCH'
  | 'ERR_CUDA_STUB'
  | 'ERR_CUDA_NO_DEVICE'
  | 'ERR_CUDA_INIT'
  | 'ERR_CUDA_OOM'
  | 'ERR_CUDA_POINTER'
  | 'ERR_ADDON_DISABLED'
  | 'ERR_ADDON_LOAD'
  | 'ERR_COMM_TIMEOUT'
  | 'ERR_COMM_PEER_LOST'
  | 'ERR_COMM_MISMATCH'
  | 'ERR_COMM_UNAVAILABLE'
  | 'ERR_COMM_ABORTED'
  | 'ERR_COMM_WORLD_SIZE'
  | 'ERR_COMM_CLOSED';

export const typeError = (code: ErrorCode, message: string): TypeError =>
  Object.assign(new TypeError(message), { code });
export const rangeError = (code: ErrorCode, message: string): RangeError =>
  Object.assign(new RangeError(message), { code });
export const stateError = (code: ErrorCode, message: string): Error => Object.assign(new Error(message), { code });

/** A short text for what came. Runs no code of the value: no getter, no toString. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return 'a symbol';
    case 'function':
      return describeFunction(value);
    case 'object':
      return value === null ? 'null' : describeObject(value);
    default:
      return Object.is(value, -0) ? '-0' : String(value);
  }
}

export const isClass = (value: object): boolean => /^class\b/.test(Function.prototype.toString.call(value));

function describeFunction(value: object): string {
  if (!isClass(value)) return 'a function';
  const name: unknown = Object.getOwnPropertyDescriptor(value, 'name')?.value;
  return typeof name === 'string' ? `the class ${name}: make an instance with new ${name}({ ... })` : 'a class';
}

const tag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag);

function describeObject(value: object): string {
  if (ArrayBuffer.isView(value)) return `a ${(tag?.get?.call(value) as string | undefined) ?? 'DataView'}`;
  return Array.isArray(value) ? 'an array' : 'an object';
}
