// The commands of `keras-optimizers`, one table.
import type { parseArgs, ParseArgsConfig } from 'node:util';

/** Where a command writes, and what can be shown there: if it is not said, 80 characters a line, ASCII, without colours. */
export interface Terminal {
  readonly out: (text: string) => void;
  readonly error: (text: string) => void;
  /** Characters of a line. */
  readonly width?: number;
  /** Whether it shows other characters than ASCII's. */
  readonly unicode?: boolean;
  readonly color?: boolean;
  /** All that comes in. */
  readonly input?: () => Promise<string>;
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
  /** Name of those that may come behind these, as many as wanted. */
  readonly more?: string;
  run(given: readonly string[], values: Values, terminal: Terminal): Promise<void>;
}

/** A command before it is needed: the program's `--help`, `info` and `build` work where no addon loads. */
export interface Entry {
  readonly summary: string;
  load(): Promise<Command>;
}

export const commands: Readonly<Record<string, Entry>> = {
  info: {
    summary: 'show what runs here: addon, instruction sets, GPUs, and why what does not is not used',
    load: async () => (await import('./info.ts')).info,
  },
  bench: {
    summary: 'measure steps on this machine beside what memory allows and plain JavaScript',
    load: async () => (await import('./bench.ts')).bench,
  },
  plot: {
    summary: 'draw the curve of a learning-rate schedule in the terminal or as an SVG',
    load: async () => (await import('./plot.ts')).plot,
  },
  build: {
    summary: 'compile the native part of this package for this machine, in place',
    load: async () => (await import('./build.ts')).build,
  },
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
