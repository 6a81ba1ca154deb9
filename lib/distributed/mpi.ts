// Ranks that are processes of an MPI job.
import { CommunicatorError } from './errors.ts';
import type { Transport } from './transport.ts';

/**
 * Opens the MPI library of this system and starts it.
 *
 * @throws CommunicatorError `ERR_COMM_UNAVAILABLE` where there is none
 */
export function openMpi(): Promise<Transport> {
  return Promise.reject(new CommunicatorError('ERR_COMM_UNAVAILABLE', 'this build has no MPI'));
}
