// What carries bytes between ranks, one implementation for each backend. It checks nothing and adds nothing: the communicator does.
//
// Calls are started in the order in which they are made, the same on all ranks, and do not wait for each other's promise. Memory that
// is passed stays where it is and unchanged by its owner until the promise settles: library memory whose handle is held, or a
// SharedArrayBuffer; native code holds it alive besides. A promise that rejects means that the transport is of no use any more.
import type { Memory } from '../native.ts';

/** How many bytes a rank says of itself before every collective. */
export const kHandshake = 64;

/** Bytes that may go with them where a transport has room: what is small enough needs no other message. */
export const kPayload = 8 << 10;

/** A part of the memory of a GPU. */
export interface DeviceBytes {
  readonly memory: Memory;
  /** Bytes from its beginning on. */
  readonly offset: number;
  readonly byteLength: number;
}

/** What is moved: on the host, or on the GPU that the transport says is its own. */
export type Bytes = Uint8Array | DeviceBytes;

/** The backends by name. */
export type Kind = 'self' | 'local' | 'mpi' | 'nccl';

/** A handshake that is under way. */
export interface Exchange {
  /** What every rank sent, in the order of ranks, and anything behind it; for whoever gets it, until the next exchange. */
  readonly done: Promise<readonly Uint8Array[]>;
  /** Whose bytes have come, by rank; for the message of a time-out. */
  arrived(): readonly boolean[];
}

export interface Transport {
  readonly rank: number;
  readonly size: number;
  readonly kind: Kind;
  /** The index of the GPU whose memory it moves, beside that of the host; undefined if there is none. */
  readonly device?: number | undefined;
  /** Whether it copies what it is given, on the event loop, so that memory of the caller's may go away at any time. */
  readonly copies?: boolean;
  /** Whether `abort` ends the processes of the job, and not just what is between them. */
  readonly endsJob: boolean;
  /** Bytes that may be sent with a handshake; default 0. */
  readonly payload?: number;
  /** Sends kHandshake bytes and a payload, which are copied at the call, to every rank, point to point. */
  exchange(send: Uint8Array): Exchange;
  /** Part i of `send` goes to rank i, part i of `receive` comes from rank i: size parts of `partBytes` each, apart in memory. */
  allToAll(send: Bytes, receive: Bytes, partBytes: number): Promise<void>;
  /** `receive` is size x `send`, in the order of ranks; `send` may be the own part of it, in place. */
  allGather(send: Bytes, receive: Bytes): Promise<void>;
  /**
   * Where ranks see each other's memory, both parts of a sum in one: `add` leaves the sum of what it gets, part r of every rank's
   * `data` on rank r, in the first; all of these sums come to all ranks' `data`.
   */
  sum?(data: Uint8Array, partBytes: number, add: (parts: readonly Uint8Array[]) => Promise<void>): Promise<void>;
  /** Of `root` to all others. */
  broadcast(bytes: Bytes, root: number): Promise<void>;
  /**
   * Ends it for all ranks: those that wait are told or ended, and none is left waiting. Backends that can only end the job
   * (MPI) do so, with `exitCode`. Calls that are under way reject, or never settle; all later ones reject.
   */
  abort(exitCode: number, reason: string): void;
  /** Lets go of everything. All ranks do it together; with `force`, after a failure, it waits for nobody. Doing it again does nothing. */
  close(force?: boolean): Promise<void>;
}
