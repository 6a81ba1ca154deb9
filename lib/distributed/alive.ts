// What a rank does by itself for longer than a collective may take, such as writing a file.
import { told } from '../distribution.ts';
import type { CollectiveOptions, Communicator } from './communicator.ts';

const kBeats = 4; // in a time-out, of a rank that is not ready

/**
 * Runs the own part of every rank. Resolves when those of all have ended, or rejects on all ranks if one has failed, and not before:
 * what a part uses may be taken away then.
 *
 * Meanwhile the ranks add up how many are not ready, so that a part may take longer than the time-out. A rank that is blocked or dead does
 * not come to that, and is noticed; one whose part never ends although its event loop goes on is waited for, as in one process.
 */
export async function together<R>(
  communicator: Communicator,
  part: () => R | Promise<R>,
  options: CollectiveOptions = {},
): Promise<R> {
  let isReady = false;
  const running = (async () => part())().finally(() => (isReady = true));
  const ended = running.then(
    () => {},
    () => {}, // told below
  );
  const pending = new Float64Array(1);
  try {
    do {
      await within(communicator.timeout / kBeats, ended);
      pending[0] = Number(!isReady);
      await communicator.allReduce(pending, options);
    } while (pending[0] > 0);
  } catch (error) {
    await ended;
    throw error;
  }
  const result = await told(communicator, () => running);
  await communicator.barrier(options);
  return result;
}

/** Resolves after so many milliseconds, or before if `ended` does. */
async function within(milliseconds: number, ended: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const slept = new Promise<void>((resolve) => (timer = setTimeout(resolve, milliseconds)));
  await Promise.race([slept, ended]);
  clearTimeout(timer);
}
