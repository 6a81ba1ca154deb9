// NCCL as a transport between GPUs, one a process.
import { addon } from '../native.ts';
import { ConnectionTransport, errorOf, opened } from './connection.ts';
import type { Transport } from './transport.ts';

/** A rank of a group of GPUs. */
export interface NcclOptions {
  readonly rank: number;
  readonly size: number;
  /** From rank 0's `newNcclId`, the same on all ranks. */
  readonly id: Uint8Array;
  /** Index of the GPU; no two ranks have the same one. */
  readonly gpu: number;
  /**
   * Carries handshakes, tells the others of an abort, and is closed with it. Without it handshakes go through the GPUs, nobody
   * knows who has not come, and a rank that waits for one that has aborted learns it from its own time-out.
   */
  readonly side?: Transport | undefined;
  /** Milliseconds in which all ranks have to start; default: any time. */
  readonly timeout?: number | undefined;
  /** Its name or path; default: `KERAS_OPTIMIZERS_NCCL`, or libnccl.so.2. */
  readonly library?: string | undefined;
}

const librariesOf = (library = process.env.KERAS_OPTIMIZERS_NCCL): readonly string[] =>
  library ? [library] : ['libnccl.so.2', 'libnccl.so'];

/**
 * What rank 0 makes and tells all others, 128 bytes, and NCCL's version. Needs neither GPU nor driver.
 *
 * @throws CommunicatorError `ERR_COMM_UNAVAILABLE`: there is no NCCL, or one before 2.14
 */
export function newNcclId(library?: string): { readonly id: Uint8Array; readonly version: string } {
  try {
    return addon.distributed.newNcclId(librariesOf(library));
  } catch (error) {
    throw errorOf(error);
  }
}

/**
 * All ranks together.
 *
 * @throws CommunicatorError `ERR_COMM_UNAVAILABLE`: there is no NCCL, or it does not start (it says why); or `ERR_CUDA_...` where there
 *   is no GPU
 */
export async function ncclTransport({
  rank,
  size,
  id,
  gpu,
  side,
  timeout,
  library,
}: NcclOptions): Promise<ConnectionTransport> {
  const libraries = librariesOf(library);
  const connection = await opened((done) => addon.distributed.openNccl(libraries, id, rank, size, gpu, done), timeout);
  return new ConnectionTransport('nccl', connection, { device: gpu, side });
}
