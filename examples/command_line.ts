// Command lines: what can be said, what is wrong with it, and what it means. Every check comes before the work, not after it.
import { closeSync, existsSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { aroundPart } from '../charts/page.ts';

class UsageError extends Error {}

/** What `parse` makes of the options; ends the process after `--help`, and with exit code 2 if they mean nothing. */
export function fromCommandLine<D extends object, O extends string, R>(
  { defaults, optional, help }: { readonly defaults: D; readonly optional: readonly O[]; readonly help: string },
  parse: (texts: D & { readonly [name in O]?: string }) => R,
): R {
  try {
    const texts = split(process.argv.slice(2), [...Object.keys(defaults), ...optional]);
    if (texts !== undefined) return parse({ ...defaults, ...texts });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message} (--help shows what is possible)`);
    process.exit(2);
  }
  process.stdout.write(help);
  process.exit(0);
}

/** Undefined for `--help`. */
function split(args: string[], names: readonly string[]): object | undefined {
  const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }] as const));
  try {
    const { values } = parseArgs({ args, options: { ...options, help: { type: 'boolean', short: 'h' } } });
    return values.help === true ? undefined : values;
  } catch (error) {
    throw new UsageError((error as Error).message.replaceAll('\n', ' '));
  }
}

const wrong = (who: string, expected: string, text: string): UsageError =>
  new UsageError(`${who} expects ${expected}, got ${JSON.stringify(text)}`);

export const optional = <T>(read: (text: string) => T, text: string | undefined): T | undefined =>
  text === undefined ? undefined : read(text);

export function oneOf(known: readonly string[], who: string, text: string): string {
  if (known.includes(text.toLowerCase())) return text.toLowerCase();
  throw wrong(who, `one of ${known.join(', ')}`, text);
}

/** Names with commas between them, each once; `all` are all that are known. */
export function several(known: readonly string[], who: string, text: string): string[] {
  const chosen = text.split(',').map((name) => oneOf(['all', ...known], who, name));
  return [...new Set(chosen.flatMap((name) => (name === 'all' ? known : name)))];
}

export function positive(who: string, text: string): number {
  const value = Number(text);
  if (value > 0 && value < Infinity) return value;
  throw wrong(who, 'a number > 0', text);
}

export function whole(least: number, most: number, who: string, text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  throw wrong(who, `a whole number from ${least} to ${most}`, text);
}

export function divisor(of: number, who: string, text: string): number {
  const value = whole(1, of, who, text);
  if (of % value === 0) return value;
  throw wrong(who, `a divisor of ${of}`, text);
}

/** A file name for a chart, or what else `ending` says. */
export function writable(who: string, path: string, ending = '.svg'): string {
  if (!path.endsWith(ending)) throw wrong(who, `a file name that ends in ${ending}`, path);
  try {
    if (!existsSync(dirname(path))) mkdirSync(dirname(path));
    closeSync(openSync(path, 'a'));
    return path;
  } catch (error) {
    throw new UsageError(`${who} expects a file that can be written, got ${(error as Error).message}`);
  }
}

/** A file of one optimizer. */
export function checkpointOf(names: readonly string[], who: string, endings: readonly string[], path: string): string {
  if (names.length > 1) throw new UsageError(`${who} expects one optimizer, got ${names.join()}`);
  if (endings.some((ending) => path.endsWith(ending))) return path;
  throw wrong(who, `a file name that ends in ${endings.join(' or ')}`, path);
}

/** A page with a part for the table of several optimizers. */
export function pageOf(names: readonly string[], script: string, who: string, path: string): string {
  if (names.length === 1) throw new UsageError(`${who} expects several optimizers, got ${names.join()}`);
  try {
    aroundPart(path, script);
    return path;
  } catch (error) {
    throw new UsageError(`${who} expects a page with a part for the table, got ${(error as Error).message}`);
  }
}
