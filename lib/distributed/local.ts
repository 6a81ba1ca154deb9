// Ranks that are threads of one process, over shared memory.
import { errorMonitor } from 'node:events';
import type { Worker } from 'node:worker_threads';

import { describe, rangeError, typeError } from '../errors.ts';
import { Communicator, type CommunicatorOptions } from './communicator.ts';
import { CommunicatorError } from './errors.ts';
import { LocalTransport, newHandle, type LocalHandle } from './local_transport.ts';
import { Rendezvous } from './rendezvous.ts';

export type { LocalHandle };

const kWindow = 2 << 20; // bytes
const kMostRanks = 1024;

/**
 * A group of ranks that are threads of this process. The thread that makes it passes `handle` on to its workers, which join.
 *
 * @example
 * const group = new LocalGroup(2);
 * for (let rank = 0; rank < 2; rank++)
 *   group.watch(new Worker('./train.js', { workerData: { handle: group.handle, rank } }), rank);
 *
 * // in train.js
 * const comm = joinGroup(workerData.handle, workerData.rank);
 */
export class LocalGroup {
  /** Number of ranks. */
  readonly size: number;
  /** What `joinGroup` takes: `workerData` and `postMessage` pass it on. */
  readonly handle: LocalHandle;
  readonly #rendezvous: Rendezvous;

  /**
   * @param size 1 to 1024
   * @throws RangeError `ERR_OPT_CONFIG_RANGE`
   */
  constructor(size: number) {
    checkRank('LocalGroup expects size', size, 1, kMostRanks);
    this.size = size;
    this.handle = newHandle(size, kWindow);
    this.#rendezvous = new Rendezvous(this.handle.rendezvous, size);
  }

  /**
   * Ends the group when a worker exits before it has closed its communicator: the other ranks, which may wait for it, get
   * `ERR_COMM_PEER_LOST`. A worker that ends by itself tells them without this; one that is terminated cannot.
   *
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` for a rank that there is not
   */
  watch(worker: Worker, rank: number): void {
    checkRank('LocalGroup.watch expects rank', rank, 0, this.size - 1);
    let why = '';
    worker.on(errorMonitor, (error: unknown) => (why = `: ${error instanceof Error ? error.message : String(error)}`));
    worker.once('exit', (code) => {
      if (!this.#rendezvous.hasLeft(rank))
        this.#rendezvous.break('ERR_COMM_PEER_LOST', rank, `rank ${rank} has exited with code ${code}${why}`);
    });
  }

  /** Ends what the ranks wait for, and all that they call later, with `ERR_COMM_ABORTED`. */
  abort(reason: string): void {
    this.#rendezvous.break('ERR_COMM_ABORTED', -1, `the group has been aborted: ${reason}`);
  }
}

/**
 * Joins a local group as one of its ranks: in a worker, or in any thread.
 *
 * @param handle of the `LocalGroup`
 * @param rank 0 to size - 1, a different one in every thread
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for something else than a handle, RangeError `ERR_OPT_CONFIG_RANGE` for a rank that there is
 *   not, `CommunicatorError` `ERR_COMM_UNAVAILABLE` for one that has joined already
 */
export function joinGroup(handle: LocalHandle, rank: number, options: CommunicatorOptions = {}): Communicator {
  const { size, rendezvous, windows } = (handle ?? {}) as Partial<LocalHandle>;
  if (size === undefined || !(rendezvous instanceof SharedArrayBuffer) || !(windows instanceof SharedArrayBuffer))
    throw typeError('ERR_OPT_CONFIG_TYPE', `joinGroup expects the handle of a LocalGroup, got ${describe(handle)}`);
  checkRank('joinGroup expects rank', rank, 0, size - 1);
  const meeting = new Rendezvous(rendezvous, size);
  if (!meeting.join(rank))
    throw new CommunicatorError('ERR_COMM_UNAVAILABLE', `rank ${rank} of the local group has joined already`, { rank });
  return new Communicator(new LocalTransport(handle, meeting, rank), options);
}

function checkRank(expects: string, value: unknown, least: number, most: number): void {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `${expects} to be a whole number from ${least} to ${most}, got ${describe(value)}`,
    );
}
