import type { Data } from './data.ts';
import type { Kind, Transport } from './transport.ts';

/** How a communicator behaves. */
export interface CommunicatorOptions {
  /** Milliseconds without progress after which a collective has failed; default 60,000. */
  readonly timeout?: number;
  /**
   * What a lost rank or a time-out does: `abort` reports it on stderr and ends the job with exit code 75, which supervisors
   * take for a failure that may pass; `throw` only rejects. Default: `abort` for MPI under a launcher, else `throw`.
   */
  readonly onFailure?: 'abort' | 'throw';
}

/** Of any collective. */
export interface CollectiveOptions {
  /** 64 bits that have to be the same on all ranks: a hash of what the numbers are. Default 0n. */
  readonly layout?: bigint;
}

/** Of a sum. */
export interface SumOptions extends CollectiveOptions {
  /**
   * Summands of all ranks together, a multiple of `size`: micro-batches. Rank r has [r leaves / size, (r + 1) leaves / size) of them.
   * Default: one a rank.
   */
  readonly leaves?: number;
  /** The sums of this rank's subtrees after the first, as `subtreesOf` (tree.ts) orders them. */
  readonly further?: readonly Data[];
}

/**
 * Ranks that work together. All of them call the same collectives in the same order; a call need not wait for the one before.
 * Every method returns a promise that rejects with a `CommunicatorError`, or with the error that an argument deserves.
 */
export interface CommunicatorFace {
  /** 0 to size - 1. */
  readonly rank: number;
  readonly size: number;
  readonly kind: Kind;
  /** Replaces `data` (float32, float64) by the sum over ranks, in place; the same bits on all of them. */
  allReduce(data: Data, options?: SumOptions): Promise<void>;
  /** Part r of the sum of `full` into `shard` of rank r: `full` has size x as many elements. `full` stays as it is. */
  reduceScatter(full: Data, shard: Data, options?: SumOptions): Promise<void>;
  /** The shards of all ranks, in their order, into `full` of all; `shard` may be the own part of it. */
  allGather(shard: Data, full: Data, options?: CollectiveOptions): Promise<void>;
  /** `data` of rank `root` (default 0) into that of all others. */
  broadcast(data: Data, root?: number, options?: CollectiveOptions): Promise<void>;
  /** Resolves when all ranks have called it. */
  barrier(options?: CollectiveOptions): Promise<void>;
  /**
   * Takes the place of a collective that this rank cannot take part in: the others get `ERR_COMM_MISMATCH` at once, in place of a
   * wait. Rejects with `error` itself when they know.
   */
  fail(error: unknown): Promise<never>;
  /** Ends it for all ranks at once. */
  abort(reason: Error | string): void;
  /** All ranks together, after all that has been called before. Doing it again does nothing. */
  close(): Promise<void>;
}

export type NewCommunicator = new (transport: Transport, options?: CommunicatorOptions) => CommunicatorFace;
