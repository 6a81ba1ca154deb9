// What the processes of one training have to agree about, in 64 bits.
import { createHash } from 'node:crypto';

import { classNameOf } from '../configurable.ts';
import { rateOf } from '../checkpoint/state_to_come.ts';
import { Optimizer } from '../optimizer.ts';
import { Variable } from '../variable.ts';

/** Of texts. */
export const hashOf = (...texts: readonly string[]): bigint =>
  createHash('sha256').update(JSON.stringify(texts)).digest().readBigUInt64LE();

const isAutomatic = (path: string): boolean => /^variable(_\d+)?$/.test(path);

/** Class, options and variables of an optimizer; names that it or they were not given say nothing. */
export function fingerprint(optimizer: Optimizer): string {
  const { state, exclusions } = Optimizer.runnerOf(optimizer);
  const variables = state?.variables.map(({ path, shape, dtype }) => [isAutomatic(path) ? '' : path, shape, dtype]);
  const unnamed = (key: string, value: unknown): unknown => (key === 'name' ? undefined : value);
  return JSON.stringify([classNameOf(optimizer.constructor), optimizer.get_config(), variables, exclusions], unnamed);
}

/** Learning rates that are numbers, which may be set between steps. */
export function rates(optimizer: Optimizer): string {
  const rate = rateOf(optimizer);
  const own = rate && Variable.storageOf(rate).number?.();
  return [own, ...Optimizer.runnerOf(optimizer).wrapped.map(rates)].join();
}

/** Of the values of variables. */
export function digestOf(variables: readonly Variable[]): Uint8Array {
  const hash = createHash('sha256');
  for (const variable of variables) {
    const value = Variable.storageOf(variable).now?.() ?? variable.value;
    hash.update(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  return new Uint8Array(hash.digest());
}
