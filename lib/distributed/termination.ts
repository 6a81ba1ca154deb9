// A signal that ends the processes of a job, as a number that all ranks agree about: a checkpoint is written together.
import type { Communicator } from './communicator.ts';

/** What `onTermination` returns. */
export interface Termination {
  /**
   * Whether any rank has got a signal: a collective, which all ranks call at the same place between their steps. The answer is the same
   * on all of them, so that they save together.
   *
   * @throws (rejects) CommunicatorError as every collective
   */
  requested(): Promise<boolean>;
  /** Listens no more: the next signal does what it did before. */
  dispose(): void;
  /** The same, for `using`. */
  [Symbol.dispose](): void;
}

/**
 * Keeps signals from ending this process at once, so that it can save and leave between two steps. Launchers kill what has not ended
 * after a grace: docs/scale.md has how to make it long enough.
 *
 * @param signals default `SIGTERM`
 * @example
 * const termination = onTermination(communicator);
 * for (;;) {
 *   await optimizer.apply_async(gradients());
 *   if (!(await termination.requested())) continue;
 *   await optimizer.save('checkpoint', { variables: true });
 *   break;
 * }
 */
export function onTermination(
  communicator: Communicator,
  signals: readonly NodeJS.Signals[] = ['SIGTERM'],
): Termination {
  let count = 0;
  const note = () => void count++;
  for (const signal of signals) process.on(signal, note);
  const dispose = () => {
    for (const signal of signals) process.off(signal, note);
  };
  const requested = async () => {
    const all = Float64Array.of(count);
    await communicator.allReduce(all);
    return (all[0] as number) > 0;
  };
  return { requested, dispose, [Symbol.dispose]: dispose };
}
