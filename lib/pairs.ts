// Gradients and variables that come in pairs, by a tape, or by name; checked and brought into two lists.
import { isPlainObject } from './configurable.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import type { Gradient } from './gradients.ts';
import { isMap } from './platform.ts';
import { checkList, type Trainable } from './trainables.ts';

/** A gradient and its variable. */
export type GradientAndVariable = readonly [Gradient, Trainable];

/** Whatever differentiates: called with what `minimize` was given, it returns one gradient for each variable. */
export interface Tape<L = unknown> {
  /** One gradient for each variable; null for one that the loss does not depend on. */
  gradient(loss: L, variables: readonly Trainable[]): readonly Gradient[];
}

/** Throws unless it is a non-empty list of pairs. */
export function checkPairs(who: string, pairs: unknown): readonly GradientAndVariable[] {
  const list: readonly unknown[] | undefined = Array.isArray(pairs) ? pairs : undefined;
  if (list === undefined || !list.every((pair) => Array.isArray(pair) && pair.length === 2))
    throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects an array of [gradient, variable], got ${describe(pairs)}`);
  if (list.length === 0) throw rangeError('ERR_OPT_LENGTH', `${who} expects a non-empty array, got none`);
  return list.map((pair) => [...(pair as GradientAndVariable)]);
}

/** Two lists of it. */
export const unzipped = (pairs: readonly GradientAndVariable[]) => ({
  gradients: pairs.map(([gradient]) => gradient),
  variables: pairs.map(([, variable]) => variable),
});

const isTape = (value: unknown): value is Tape =>
  (typeof value === 'object' || typeof value === 'function') &&
  value !== null &&
  typeof (value as { readonly gradient?: unknown }).gradient === 'function';

const advice =
  'this package does not differentiate: pass { gradient: (loss, variables) => one gradient for each variable }, or compute the gradients and call apply';

/** The gradients of a loss by a tape, with their variables. */
export function taped(who: string, loss: unknown, variables: unknown, tape: unknown): GradientAndVariable[] {
  checkList(who, variables);
  if (!isTape(tape))
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects tape to be an object with a method gradient(loss, variables), got ${describe(tape)}; ${advice}`,
    );
  const list = [...variables] as Trainable[];
  const gradients: unknown = tape.gradient(loss, list);
  if (!Array.isArray(gradients))
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects tape.gradient to return an array of gradients, got ${describe(gradients)}`,
    );
  if (gradients.length !== list.length)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects tape.gradient to return ${list.length} gradients, one for each variable, got ${gradients.length}`,
    );
  return list.map((variable, i) => [gradients[i] as Gradient, variable]);
}

/** Values by name. */
export type Named<V> = ReadonlyMap<string, V> | Readonly<Record<string, V>>;

/** The entries of a Map or of an object literal, each read once. */
export function entriesOf(who: string, what: string, named: unknown): ReadonlyMap<string, unknown> {
  const entries: readonly [unknown, unknown][] | undefined = isMap(named)
    ? mapEntries(named)
    : isPlainObject(named)
      ? Object.entries(named)
      : undefined;
  if (entries === undefined || !entries.every(([key]) => typeof key === 'string'))
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects ${what} to be a Map or an object by names, got ${describe(named)}`,
    );
  return new Map(entries as readonly [string, unknown][]);
}

/** The entries of a Map, whatever iterator it says it has. */
function mapEntries(map: ReadonlyMap<unknown, unknown>): [unknown, unknown][] {
  const entries: [unknown, unknown][] = [];
  Map.prototype.forEach.call(map, (value: unknown, key: unknown) => entries.push([key, value]));
  return entries;
}

/** The names, if no two of them are the same. */
export function checkUnique(who: string, names: readonly string[]): readonly string[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw rangeError('ERR_OPT_ALIAS', `${who} expects variables of different names, two are named "${twice}"`);
  return names;
}

/** Throws unless `found` has exactly the keys of `expected`. */
export function checkKeys(
  who: string,
  what: string,
  found: ReadonlyMap<string, unknown>,
  expected: readonly string[],
): void {
  const known = new Set(expected);
  const missing = expected.find((key) => !found.has(key));
  if (missing !== undefined)
    throw stateError('ERR_OPT_NO_GRADIENT', `${who} expects ${what} for ${listed(expected)}, "${missing}" is missing`);
  const extra = [...found.keys()].find((key) => !known.has(key));
  if (extra !== undefined)
    throw stateError('ERR_OPT_UNKNOWN_VARIABLE', `${who} expects ${what} for ${listed(expected)}, got "${extra}" too`);
}

const listed = (keys: readonly string[]): string =>
  keys
    .slice(0, 8)
    .map((key) => `"${key}"`)
    .join(', ') + (keys.length > 8 ? `, ... (${keys.length})` : '');
