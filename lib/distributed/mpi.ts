// MPI as a transport: whatever Open MPI or member of MPICH's family is there when it is asked for.
import { addon } from '../native.ts';
import { ConnectionTransport, opened } from './connection.ts';

/** Which library is opened. */
export interface MpiOptions {
  /** Its name or path; default: `KERAS_OPTIMIZERS_MPI`, or the one of the launcher, then any. */
  readonly library?: string | undefined;
  /** Milliseconds in which all ranks have to start; default: any time. */
  readonly timeout?: number | undefined;
  /** Bytes of a message at most, up to 2^30; for tests. */
  readonly piece?: number | undefined;
  /** Ranks from which on allGather passes parts on in a ring; for tests. */
  readonly ring?: number | undefined;
}

const openMpi = ['libmpi.so.40', 'libmpi.so.20'];
const mpich = ['libmpi.so.12', 'libmpich.so.12', 'libmpi_cray.so.12'];

type Variables = Readonly<Record<string, string | undefined>>;

/** Names to try, in this order. With another library than the launcher's every process would be rank 0 of 1. */
export function mpiLibraries(env: Variables, library = env.KERAS_OPTIMIZERS_MPI): readonly string[] {
  if (library) return [library];
  const ofMpich = env.OMPI_COMM_WORLD_SIZE === undefined && env.PMIX_RANK === undefined && env.PMI_RANK !== undefined;
  return [...(ofMpich ? [...mpich, ...openMpi] : [...openMpi, ...mpich]), 'libmpi.so'];
}

const kPiece = 2 ** 30;
const kRing = 9;

/**
 * Starts MPI, which a process can do once, in one of its threads; it goes on until `close` or the end of the process.
 *
 * @throws CommunicatorError `ERR_COMM_UNAVAILABLE`: there is no such library (it says which were tried, and what the system said), or
 *   MPI has been started in this process before
 */
export async function mpiTransport({
  library,
  timeout,
  piece = kPiece,
  ring = kRing,
}: MpiOptions = {}): Promise<ConnectionTransport> {
  const libraries = mpiLibraries(process.env, library);
  const connection = await opened((done) => addon.distributed.openMpi(libraries, piece, ring, done), timeout);
  return new ConnectionTransport('mpi', connection, { endsJob: true });
}
