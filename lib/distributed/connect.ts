// The one entry of processes: which backend, and whether the world is as large as it should be.
import { isPlainObject } from '../configurable.ts';
import { devices, gpuOf, type CudaDevice } from '../devices.ts';
import { describe, rangeError, typeError } from '../errors.ts';
import { checkBehaviour, Communicator, type CommunicatorOptions } from './communicator.ts';
import { CommunicatorError } from './errors.ts';
import { kTemporaryFailure, report } from './failures.ts';
import { fileStore } from './file_store.ts';
import { checkSize, launcherOf, type Launcher } from './launcher.ts';
import { mpiTransport } from './mpi.ts';
import { ncclTransport, newNcclId } from './nccl.ts';
import { SelfTransport } from './self.ts';
import { overCommunicator, share, type Store } from './store.ts';
import { tcpStore } from './tcp_store.ts';
import type { Transport } from './transport.ts';

const backends = ['auto', 'self', 'mpi', 'nccl'] as const;

/** How processes come together. */
export interface ConnectOptions extends CommunicatorOptions {
  /** `auto` (default): `mpi` under a launcher of MPI, else `self`. */
  readonly backend?: (typeof backends)[number];
  /** How many ranks there have to be; `ERR_COMM_WORLD_SIZE` if there are not. Default: as many as the launcher says. */
  readonly expectSize?: number;
  /** Of NCCL: the GPU of this rank. Default: that of its place on its machine, as the launcher says. */
  readonly device?: CudaDevice;
  /**
   * Of NCCL: how the ranks find each other. `mpi`: by MPI, which started them. `tcp`: at MASTER_ADDR and MASTER_PORT, by RANK and
   * WORLD_SIZE, as torchrun and Slurm scripts set them. A directory that all see, by the same two. Default: `mpi` under a launcher of
   * MPI, else `tcp`.
   */
  readonly store?: 'mpi' | 'tcp' | DirectoryStore;
}

/** A directory in which ranks find each other. */
export interface DirectoryStore {
  /** Its path; all ranks see it. */
  readonly directory: string;
  /** A name that tells this run from all others in there; default: SLURM_JOB_ID, else `job`. */
  readonly job?: string;
}

const known = ['backend', 'expectSize', 'device', 'store', 'timeout', 'onFailure'];
const kTimeout = 60_000; // ms

/**
 * Joins the other processes of the job that this one was started in.
 *
 * @example
 * const comm = await connect({ expectSize: 4 });   // mpirun -n 4 node train.js
 * await comm.allReduce(gradients);
 * await comm.close();
 *
 * @throws it rejects with a `CommunicatorError`: `ERR_COMM_UNAVAILABLE` where the backend is missing, `ERR_COMM_WORLD_SIZE` where the
 *   world is not as large as the launcher or `expectSize` says, `ERR_COMM_TIMEOUT` where ranks do not come; with a TypeError
 *   `ERR_OPT_CONFIG_TYPE` or a RangeError `ERR_OPT_CONFIG_RANGE` for options that are none; with an Error `ERR_CUDA_...` where NCCL has
 *   no GPU. MPI cannot be stopped halfway: a process whose MPI has not started in time, and that goes on (`onFailure: 'throw'`), ends by
 *   `process.exit` only
 */
export async function connect(options: ConnectOptions = {}): Promise<Communicator> {
  const { backend, expectSize, ...rest } = checked(options);
  const launcher = launcherOf(process.env);
  const chosen = backend === 'auto' ? (launcher?.mpi ? 'mpi' : 'self') : backend;
  if (chosen === 'self') {
    checkSize(1, backend === 'auto' ? launcher : undefined, expectSize);
    return new Communicator(new SelfTransport(), rest);
  }
  if (chosen === 'nccl') return overNccl(launcher, expectSize, rest);
  const behaviour = withDefault(launcher, rest);
  return new Communicator(await openMpi(launcher, expectSize, behaviour), behaviour);
}

/** Ranks of a launcher of MPI end together, if nothing else is asked for. */
const withDefault = <O extends CommunicatorOptions>(launcher: Launcher | undefined, options: O): O => ({
  onFailure: launcher?.mpi ? 'abort' : 'throw',
  ...options,
});

/** The world of MPI, if it comes in time and is as large as it should be. */
async function openMpi(
  launcher: Launcher | undefined,
  expectSize: number | undefined,
  { timeout = kTimeout, onFailure }: CommunicatorOptions,
): Promise<Transport> {
  const transport = await mpiTransport({ timeout }).catch((error: unknown) => {
    const isLate = error instanceof CommunicatorError && error.code === 'ERR_COMM_TIMEOUT';
    if (isLate && onFailure === 'abort') leave(error); // MPI, which could end the job, has not started
    throw error;
  });
  try {
    checkSize(transport.size, launcher?.mpi ? launcher : undefined, expectSize);
    return transport;
  } catch (error) {
    await transport.close(true);
    throw error;
  }
}

async function overNccl(launcher: Launcher | undefined, expectSize: number | undefined, options: ConnectOptions) {
  const { store = launcher?.mpi ? 'mpi' : 'tcp', timeout = kTimeout } = options;
  const gpu = gpuOf('connect', options.device ?? localDevice()) ?? 0;
  const id = () => newNcclId().id;
  if (store === 'mpi') {
    const rest = withDefault(launcher, options);
    return besideMpi(await openMpi(launcher, expectSize, rest), { timeout, gpu, id }, rest);
  }
  const place = placeOf(launcher);
  checkSize(place.size, undefined, expectSize);
  const found = await share(storeOf(store), { ...place, timeout }, id);
  return new Communicator(await ncclTransport({ ...place, gpu, id: found, timeout }), options);
}

/** Ends this process, and with it the job: its launcher sees to that. */
function leave(error: CommunicatorError): never {
  report(error);
  process.exit(kTemporaryFailure);
}

/** NCCL between ranks of MPI, which brings the id, carries the handshakes, and ends with it. */
async function besideMpi(
  side: Transport,
  { timeout, gpu, id }: { readonly timeout: number; readonly gpu: number; readonly id: () => Uint8Array },
  options: CommunicatorOptions,
): Promise<Communicator> {
  try {
    const { rank, size } = side;
    const found = await share(overCommunicator(new Communicator(side, options)), { rank, size, timeout }, id);
    return new Communicator(await ncclTransport({ rank, size, gpu, id: found, side, timeout }), options);
  } catch (error) {
    await side.close(true);
    throw error;
  }
}

function placeOf(launcher: Launcher | undefined): { readonly rank: number; readonly size: number } {
  const { rank, size } = launcher ?? {};
  if (rank !== undefined && size !== undefined && rank < size) return { rank, size };
  throw new CommunicatorError(
    'ERR_COMM_WORLD_SIZE',
    `connect expects RANK and WORLD_SIZE in the environment, got ${process.env.RANK} and ${process.env.WORLD_SIZE}`,
  );
}

function storeOf(store: 'tcp' | DirectoryStore): Store {
  const { MASTER_ADDR: host, MASTER_PORT: port, SLURM_JOB_ID: id } = process.env;
  if (store !== 'tcp') return fileStore(store.directory, store.job ?? id ?? 'job');
  if (host !== undefined && /^\d{1,5}$/.test(port ?? '')) return tcpStore(host, Number(port));
  throw new CommunicatorError(
    'ERR_COMM_UNAVAILABLE',
    `connect expects MASTER_ADDR and MASTER_PORT in the environment, got ${host} and ${port}`,
  );
}

const localRanks = [
  'OMPI_COMM_WORLD_LOCAL_RANK',
  'MPI_LOCALRANKID',
  'MV2_COMM_WORLD_LOCAL_RANK',
  'SLURM_LOCALID',
  'LOCAL_RANK',
];

/** The GPU of this rank's place on its machine; the only one, where each rank sees but one. */
function localDevice(): CudaDevice {
  const variable = localRanks.find((name) => /^\d{1,6}$/.test(process.env[name] ?? ''));
  const local = variable === undefined ? 0 : Number(process.env[variable]);
  return devices().cuda.length === 1 ? 'cuda:0' : `cuda:${local}`;
}

function checked(given: unknown) {
  if (!isPlainObject(given))
    throw typeError('ERR_OPT_CONFIG_TYPE', `connect expects an object of options, got ${describe(given)}`);
  const unknown = Object.keys(given).find((name) => !known.includes(name));
  if (unknown !== undefined)
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `connect expects only options that it knows (${known.join(', ')}), got "${unknown}"`,
    );
  const { backend = 'auto', expectSize, store, ...rest } = given as ConnectOptions;
  checkBehaviour('connect', rest);
  if (!backends.includes(backend))
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `connect expects backend to be one of ${backends.join(', ')}, got ${describe(backend)}`,
    );
  if (expectSize !== undefined && !(Number.isInteger(expectSize) && expectSize >= 1))
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `connect expects expectSize to be a whole number from 1 on, got ${describe(expectSize)}`,
    );
  const isStore = store === undefined || store === 'mpi' || store === 'tcp' || typeof store?.directory === 'string';
  if (!isStore)
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `connect expects store to be "mpi", "tcp" or { directory }, got ${describe(store)}`,
    );
  return { backend, expectSize, ...rest, ...(store === undefined ? {} : { store }) };
}
