// Values for an optimizer's variables, checked before the first is written; and which variables the weight decay leaves out.
import { dtypeOf, type FloatArray } from './arrays.ts';
import { isPlainObject } from './configurable.ts';
import { nameOf } from './devices.ts';
import { describe, rangeError, typeError } from './errors.ts';
import type { Trainable } from './state.ts';
import {
  copyStorage,
  nativeStorage,
  reaches,
  type DeviceStorage,
  type NativeStorage,
  type Storage,
} from './storage.ts';
import {
  checkNumbers,
  deviceStorageOf,
  isVariable,
  Variable,
  type DeviceArray,
  type Numbers,
  type VariableDtype,
} from './variable.ts';

/** What may be written into a variable of an optimizer: numbers, or one number for a scalar. */
export type Weight = Numbers | Variable | Variable<DeviceArray> | BigInt64Array | Int32Array | number;

/** The values of a variable, by its dtype: int64 is the counter's, int32 that of places which are only kept. */
export type WeightArray = FloatArray | BigInt64Array | Int32Array;

/** The values of a variable as they are now. */
export const copyOf = (variable: Variable): WeightArray => (Variable.storageOf(variable).value() as FloatArray).slice();

/** Adds `sign` times numbers to a variable, element by element. */
export function addTo(variable: Variable, value: unknown, sign: 1 | -1): void {
  const { length } = Variable.storageOf(variable);
  const numbers = checkNumbers(`"${variable.path}"`, value, length);
  const sum = Float64Array.from(variable.value, Number);
  for (let i = 0; i < length; i++) sum[i] = (sum[i] as number) + sign * (numbers[i] as number);
  variable.assign(sum);
}

/** Writes one weight into each variable, after all have been checked. */
export function setWeights(who: string, variables: readonly Variable[], weights: unknown): void {
  if (!Array.isArray(weights))
    throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects an array of weights, got ${describe(weights)}`);
  if (weights.length !== variables.length)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects ${variables.length} arrays, one for each variable, got ${weights.length}`,
    );
  const copies: Copies = new Map();
  const writes = variables.map((variable, i) =>
    checkedWrite(`weights[${i}] ("${variable.path}")`, variable, weights[i], copies),
  );
  for (const variable of variables) Variable.checkAttached(variable); // a getter in a weight may have taken it away
  try {
    copyThose(variables, copies);
    for (const write of writes) write();
  } finally {
    for (const copy of copies.values()) copy?.release();
  }
}

/** Of weights on a GPU: a copy of those that are written before they are read, undefined for others. */
type Copies = Map<DeviceStorage, NativeStorage | undefined>;

function copyThose(variables: readonly Variable[], copies: Copies): void {
  const written = new Set<Storage>(variables.map((variable) => Variable.storageOf(variable)));
  for (const from of [...copies.keys()].filter((from) => written.has(from))) {
    const copy = nativeStorage(from.dtype as 'float32', from.length, 0, from.site);
    copies.set(from, copy);
    copyStorage(from, copy);
  }
}

/** The same for a weight on a GPU. */
function checkedCopy(who: string, from: DeviceStorage, to: Storage, copies: Copies): () => void {
  if (!reaches(from, to))
    throw typeError(
      'ERR_OPT_DEVICE',
      `${who} expects numbers on ${nameOf(to.site)}, got some on ${nameOf(from.site)}: give what await read() gives`,
    );
  if (from.length !== to.length)
    throw rangeError('ERR_OPT_LENGTH', `${who} expects ${to.length} elements, got ${from.length}`);
  if (from !== to) copies.set(from, undefined);
  return () => copyStorage(copies.get(from) ?? from, to);
}

function checkedWrite(who: string, variable: Variable, weight: unknown, copies: Copies): () => void {
  const storage = Variable.storageOf(variable);
  const there = deviceStorageOf(weight);
  if (there !== undefined) return checkedCopy(who, there, storage, copies);
  const data = new Float64Array(storage.length); // a copy: a weight may show a variable that is written before it
  data.set(checkNumbers(who, plainNumbers(weight, storage.dtype), storage.length));
  const [first] = data;
  if (storage.readOnly && !(Number.isSafeInteger(first) && (first as number) >= 0))
    throw rangeError('ERR_OPT_CONFIG_RANGE', `${who} expects a whole number >= 0, got ${describe(first)}`);
  if (storage.number !== undefined && !Number.isFinite(first))
    throw rangeError('ERR_OPT_CONFIG_RANGE', `${who} expects a finite number, got ${describe(first)}`);
  return () => storage.write(data);
}

function plainNumbers(weight: unknown, dtype: VariableDtype): unknown {
  const exact = isVariable(weight) ? Variable.storageOf(weight).number?.() : undefined;
  const value: unknown = exact ?? (isVariable(weight) ? weight.value : weight);
  if (value instanceof BigInt64Array || (dtype === 'int32' && value instanceof Int32Array))
    return Array.from(value, Number);
  return typeof value === 'number' ? [value] : value;
}

/** What the weight decay leaves out. */
export interface Exclusion {
  /** These variables. */
  readonly var_list?: readonly Trainable[] | null;
  /** The variables in whose path one of these regular expressions is found. */
  readonly var_names?: readonly string[] | null;
}

/** Whether a variable is excluded. */
export function exclusion(who: string, options: Exclusion): (variable: Variable) => boolean {
  if (!isPlainObject(options) || Object.keys(options).some((key) => key !== 'var_list' && key !== 'var_names'))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects { var_list, var_names }, got ${describe(options)}`);
  const { var_list, var_names } = options;
  const excluded = new Set<unknown>(listOf(who, 'var_list', var_list));
  for (const variable of excluded)
    if (!isVariable(variable) && dtypeOf(variable) === undefined)
      throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects variables in var_list, got ${describe(variable)}`);
  const patterns = listOf(who, 'var_names', var_names).map((pattern) => regularExpression(who, pattern));
  return (variable) =>
    excluded.has(variable) ||
    excluded.has(Variable.storageOf(variable).array ?? variable) ||
    patterns.some((pattern) => pattern.test(variable.path));
}

function listOf(who: string, name: string, value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) return [...(value as unknown[])];
  throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects ${name} to be an array or null, got ${describe(value)}`);
}

function regularExpression(who: string, pattern: unknown): RegExp {
  try {
    if (typeof pattern === 'string') return new RegExp(pattern);
  } catch {
    // not a regular expression: the error below says so
  }
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects var_names to be regular expressions, got ${describe(pattern)}`,
  );
}
