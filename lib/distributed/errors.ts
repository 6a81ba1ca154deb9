// What can go wrong between ranks, in one class with stable codes.
import type { ErrorCode } from '../errors.ts';

/** The stable `code` of an error between ranks. */
export type CommunicatorErrorCode = Extract<ErrorCode, `ERR_COMM_${string}`>;

/** What is known of a failure. */
export interface Failure {
  /** Of the rank that throws. */
  readonly rank?: number;
  /** The collective: `allReduce`, `barrier`, ... */
  readonly op?: string;
  /** Its place in the order of all collectives of the communicator, from 1. */
  readonly sequence?: number;
  /** Bytes that it moves on this rank. */
  readonly bytes?: number;
  /** Milliseconds. */
  readonly waited?: number;
  /** The ranks that have not arrived, or that differ. */
  readonly suspects?: readonly number[];
  /** What it follows from. */
  readonly cause?: unknown;
}

/**
 * An error between ranks. `code` says what:
 *
 * - `ERR_COMM_TIMEOUT` a collective did not end in time; `suspects` have not arrived
 * - `ERR_COMM_PEER_LOST` a rank has died, exited, or given up
 * - `ERR_COMM_MISMATCH` ranks asked for different collectives; all of them get this error, and may go on
 * - `ERR_COMM_UNAVAILABLE` there is no such backend here
 * - `ERR_COMM_ABORTED` the communicator has been aborted, or has failed before
 * - `ERR_COMM_WORLD_SIZE` there are not as many ranks as the launcher or the caller says
 * - `ERR_COMM_CLOSED` the communicator has been closed
 */
export class CommunicatorError extends Error {
  /** `CommunicatorError`. */
  override readonly name = 'CommunicatorError';
  /** What has happened. */
  readonly code: CommunicatorErrorCode;
  /** Of the rank that throws; undefined before it is known. */
  readonly rank: number | undefined;
  /** The collective: `allReduce`, `barrier`, ... */
  readonly op: string | undefined;
  /** Its place in the order of all collectives of the communicator, from 1. */
  readonly sequence: number | undefined;
  /** Bytes that it moves on this rank. */
  readonly bytes: number | undefined;
  /** How long it has been waited for, in milliseconds. */
  readonly waited: number | undefined;
  /** The ranks that have not arrived, have died, or differ. */
  readonly suspects: readonly number[];

  constructor(code: CommunicatorErrorCode, message: string, failure: Failure = {}) {
    super(message, failure.cause === undefined ? {} : { cause: failure.cause });
    this.code = code;
    this.rank = failure.rank;
    this.op = failure.op;
    this.sequence = failure.sequence;
    this.bytes = failure.bytes;
    this.waited = failure.waited;
    this.suspects = failure.suspects ?? [];
  }
}
