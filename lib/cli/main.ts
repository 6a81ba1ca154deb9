// Finds the command, and says what went wrong: in one line, with the code of the error, never with a stack.
import { parseArgs } from 'node:util';

import { commands, UsageError, type Command, type Terminal } from './commands.ts';
import { version } from './package.ts';
import { columns, printable } from './text.ts';

const kProgram = 'keras-optimizers';
const codes = { done: 0, failed: 1, usage: 2 } as const;

/** Runs the program with its arguments; returns its exit code. */
export async function main(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name = '', ...rest] = args;
  const program = [kProgram, ...(Object.hasOwn(commands, name) ? [name] : [])].join(' ');
  try {
    await dispatch(name, rest, terminal);
    return codes.done;
  } catch (error) {
    terminal.error(printable(`${program}: ${messageOf(error)}\n`));
    if (!isUsage(error)) return codes.failed;
    terminal.error(`Try: ${program} --help\n`);
    return codes.usage;
  }
}

async function dispatch(name: string, rest: readonly string[], terminal: Terminal): Promise<void> {
  if (name === '--help' || name === '-h' || name === 'help') return terminal.out(help());
  if (name === '--version') return terminal.out(`${version()}\n`);
  const entry = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (entry === undefined) throw new UsageError(unknown(name));
  const command = await entry.load();
  if (rest.includes('--help') || rest.includes('-h')) return terminal.out(helpOf(command));
  const { values, positionals } = parseArgs({ args: [...rest], options: command.options, allowPositionals: true });
  const { expects, more } = command;
  const fits = positionals.length === expects.length || (more !== undefined && positionals.length > expects.length);
  if (!fits) throw new UsageError(`expects ${expects.join(' and ') || 'no'} arguments, got ${positionals.length}`);
  await command.run(positionals, values, terminal);
}

function unknown(name: string): string {
  const known = Object.keys(commands).join(', ');
  return name === '' ? `expects a command: ${known}` : `expects a command (${known}), got ${JSON.stringify(name)}`;
}

const isUsage = (error: unknown): boolean =>
  String((error as { readonly code?: unknown }).code).startsWith('ERR_PARSE_ARGS');

/** With the stable code of an error of this package. */
function messageOf(error: unknown): string {
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  const text = typeof message === 'string' ? message : String(error);
  return typeof code === 'string' && !isUsage(error) ? `${code}: ${text}` : text;
}

const help = (): string => `Usage: ${kProgram} COMMAND [OPTIONS]

Keras's optimizers for Node.js from the command line: what runs here and how fast, schedules as curves, checkpoints.

Commands:
${columns(Object.entries(commands).map(([name, { summary }]) => [name, summary]))}
Options:
${columns([
  ['--help', 'show this; behind a command, what that one does'],
  ['--version', 'show the version'],
])}
Exit codes: 0 done; 1 it could not be done (the message begins with its code, as ERR_CKPT_HASH); 2 the command line is wrong.
`;

const helpOf = ({ usage, help }: Command): string => `Usage: ${kProgram} ${usage}\n\n${help}`;
