// The commands of `keras-optimizers`, one table.
import type { parseArgs, ParseArgsConfig } from 'node:util';

/** Where a command writes. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
}

/** The options that were given, by their names. */
export type Values = ReturnType<typeof parseArgs>['values'];

/** What the module of a command has. */
export interface Command {
  /** Behind the name of the program. */
  readonly usage: string;
  /** What `--help` shows below. */
  readonly help: string;
  readonly options: NonNullable<ParseArgsConfig['options']>;
  /** Names of the arguments, all of which it needs. */
  readonly expects: readonly string[];
  run(given: readonly string[], values: Values, terminal: Terminal): Promise<void>;
}

/** A command before it is needed: `--help` works where the addon does not load. */
export interface Entry {
  readonly summary: string;
  load(): Promise<Command>;
}

export const commands: Readonly<Record<string, Entry>> = {
  inspect: {
    summary: 'show what a checkpoint holds: class, config, iteration, arrays with their norms',
    load: async () => (await import('./inspect.ts')).inspect,
  },
  convert: {
    summary: 'convert a checkpoint between .safetensors, .keras and .weights.h5',
    load: async () => (await import('./convert.ts')).convert,
  },
};

/** Words that make no sense; said with the way to the help, and the exit code 2. */
export class UsageError extends Error {
  readonly code = 'ERR_PARSE_ARGS'; // that of parseArgs begins so
}
