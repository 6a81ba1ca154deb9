// What the library asks of Node.js, where there is none.
import module from '../wasm/module.cjs';

/** As Node.js has it: the options are its own affair. */
export type InspectOptions = object;

const custom = Symbol.for('nodejs.util.inspect.custom');
const asText = (_: string, value: unknown): unknown =>
  typeof value === 'bigint' || typeof value === 'function' ? String(value) : value;
export const inspect = Object.assign((value: unknown, _?: InspectOptions): string => JSON.stringify(value, asText), {
  custom,
} as const);

/** Of the largest array that some browsers make; what is too large for one says so when it is allocated. */
export const maxBytes: number = 2 ** 33;

export const isMap = (value: unknown): value is Map<unknown, unknown> =>
  Object.prototype.toString.call(value) === '[object Map]';

export const environment: Readonly<Record<string, string | undefined>> = {};

export const warn = (message: string): void => console.warn(message);

export const availableParallelism = (): number => 1;

export const versions = (): { readonly version: string; readonly node: string } => ({
  version: module.version,
  node: '',
});
