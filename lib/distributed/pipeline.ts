// One collective after the other, and what this process has to do for them meanwhile.
import { setImmediate } from 'node:timers/promises';

/** What is done for every one of them. */
export interface Stage<T> {
  /** Before it begins: while the one before runs. */
  readonly prepare?: (of: T) => void;
  readonly run: (of: T) => Promise<void>;
  /** When it has ended: while the next one runs. */
  readonly finish?: (of: T) => void;
}

/**
 * Runs them in their order, at most one at a time, so that all ranks know of each other's failures at the same collective: when a
 * `prepare` has thrown, the collective before has ended, and its own has not begun.
 */
export async function pipelined<T>(all: readonly T[], { prepare, run, finish }: Stage<T>): Promise<void> {
  const [first] = all;
  if (first !== undefined) prepare?.(first);
  for (const [i, one] of all.entries()) {
    const [before, next] = [all[i - 1], all[i + 1]];
    const running = run(one);
    running.catch(() => {}); // it is waited for below
    try {
      if (before !== undefined || next !== undefined) await setImmediate(); // it is on its way
      if (before !== undefined) finish?.(before);
      if (next !== undefined) prepare?.(next);
    } finally {
      await running; // its error comes first: the others have it too
    }
  }
  const last = all.at(-1);
  if (last !== undefined) finish?.(last);
}
