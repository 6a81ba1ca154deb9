// Errors and warnings as values.
import { assert } from 'chai';

import type { Optimizer, Variable } from '../lib/index.ts';

export type CodedError = Error & { readonly code?: string };

/** What an action throws, undefined if it does not. */
export function thrown(action: () => unknown): CodedError | undefined {
  try {
    action();
  } catch (error) {
    return error as CodedError;
  }
  return undefined;
}

/** The warnings of the process while an action runs. */
export async function warnings(action: () => unknown): Promise<string[]> {
  const seen: string[] = [];
  const see = ({ message }: Error): void => void seen.push(message);
  process.on('warning', see);
  action();
  await new Promise(setImmediate);
  process.off('warning', see);
  return seen;
}

/** What an error is expected to be. */
export interface Refusal {
  readonly type: typeof Error | typeof TypeError | typeof RangeError;
  readonly code: string;
  readonly message: RegExp;
}

/** Asserts class, code and message of an error, and that variables, state and counters are as before the action. */
export async function refusedWith(
  optimizer: Optimizer,
  variables: readonly Variable[],
  action: () => unknown,
  { type, code, message }: Refusal,
): Promise<void> {
  const state = () => ({
    values: [...variables, ...optimizer.variables].map(({ value }) => [...value].map(String)),
    counters: [optimizer.iterations, optimizer.gradient_norm],
  });
  const before = state();
  const error = await rejection(action);
  assert.equal(error?.code, code, String(error));
  assert.strictEqual(error?.constructor, type);
  assert.match(String(error?.message), message);
  assert.deepEqual(state(), before);
}

const typeOfCode = (code: string): Refusal['type'] => {
  if (/ARRAY_TYPE|CONFIG_TYPE|DETACHED|RESIZABLE|IMMUTABLE|NOT_ASYNC_SAFE|READ_ONLY/.test(code)) return TypeError;
  return /LENGTH|ALIAS|RANGE|INDEX|TOO_LARGE|OOM/.test(code) ? RangeError : Error;
};

/** `refusedWith`, the class following from the code. */
export const refused = (
  optimizer: Optimizer,
  variables: readonly Variable[],
  action: () => unknown,
  code: string,
  message: RegExp,
): Promise<void> => refusedWith(optimizer, variables, action, { type: typeOfCode(code), code, message });

/** What an action throws or rejects with. */
export async function rejection(action: () => unknown): Promise<CodedError | undefined> {
  try {
    await action();
  } catch (error) {
    return error as CodedError;
  }
  return undefined;
}
