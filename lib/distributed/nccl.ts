// Ranks that have a GPU each.
import { CommunicatorError } from './errors.ts';
import type { Transport } from './transport.ts';

/** A rank of NCCL's. */
export interface NcclRank {
  readonly rank: number;
  readonly size: number;
  /** The index of its GPU. */
  readonly device: number;
  /** Of rank 0. */
  readonly id: Uint8Array;
}

/** Bytes of what the ranks know each other by. */
export const kNcclId = 128;

/**
 * Makes what the ranks know each other by; rank 0 does, and the others get it. Needs libnccl.so.2, and no GPU.
 *
 * @throws CommunicatorError `ERR_COMM_UNAVAILABLE` where there is no such library
 */
export function newNcclId(): Uint8Array {
  throw new CommunicatorError('ERR_COMM_UNAVAILABLE', 'this build has no NCCL');
}

/**
 * Joins the ranks that have the same id.
 *
 * @throws CommunicatorError `ERR_COMM_UNAVAILABLE`
 */
export function openNccl(_rank: NcclRank): Promise<Transport> {
  return Promise.reject(new CommunicatorError('ERR_COMM_UNAVAILABLE', 'this build has no NCCL'));
}
