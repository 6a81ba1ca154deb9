// What the library asks of Node.js. In browsers lib/browser/platform.ts stands in its place (package.json, "browser").
import { constants } from 'node:buffer';
import { createRequire } from 'node:module';
import { types } from 'node:util';

export { availableParallelism } from 'node:os';
export { inspect, type InspectOptions } from 'node:util';

/** Bytes that an array may have. */
export const maxBytes: number = constants.MAX_LENGTH;

/** Whether it is a Map, of whatever realm. */
export const isMap = (value: unknown): value is Map<unknown, unknown> => types.isMap(value);

export const environment: Readonly<Record<string, string | undefined>> = process.env;

/** Warns once whoever looks after the process. */
export const warn = (message: string): void => process.emitWarning(message);

/** Of this package, and of Node.js. */
export const versions = (): { readonly version: string; readonly node: string } => {
  const { version } = createRequire(import.meta.url)('../package.json') as { readonly version: string };
  return { version, node: process.versions.node };
};
