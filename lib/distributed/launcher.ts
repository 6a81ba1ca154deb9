// What a launcher says of this process in its environment.
import { CommunicatorError } from './errors.ts';

/** Who has started this process, and as which of how many. */
export interface Launcher {
  readonly name: string;
  /** The variable that says how many there are. */
  readonly variable: string;
  readonly size: number;
  /** Undefined where the launcher does not say. */
  readonly rank: number | undefined;
  /** Whether what it starts are ranks of MPI. */
  readonly mpi: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

// The first that is there counts: a launcher may run within another's allocation.
const launchers = [
  { name: 'Open MPI', size: 'OMPI_COMM_WORLD_SIZE', rank: 'OMPI_COMM_WORLD_RANK', mpi: true },
  { name: 'MVAPICH', size: 'MV2_COMM_WORLD_SIZE', rank: 'MV2_COMM_WORLD_RANK', mpi: true },
  { name: 'MPICH', size: 'PMI_SIZE', rank: 'PMI_RANK', mpi: true },
  { name: 'Slurm', size: 'SLURM_STEP_NUM_TASKS', rank: 'SLURM_PROCID', mpi: true, needs: ['PMI_RANK', 'PMIX_RANK'] },
  { name: 'Slurm', size: 'SLURM_NTASKS', rank: 'SLURM_PROCID', mpi: true, needs: ['PMI_RANK', 'PMIX_RANK'] },
  { name: 'torchrun', size: 'WORLD_SIZE', rank: 'RANK', mpi: false },
] as const;

/** The launcher of this process; undefined if it is on its own. */
export function launcherOf(environment: Environment): Launcher | undefined {
  const found = launchers.find((launcher) => {
    const needs = 'needs' in launcher ? launcher.needs : [];
    const isThere = (name: string) => environment[name] !== undefined;
    return isThere(launcher.size) && (needs.length === 0 || needs.some(isThere));
  });
  if (found === undefined) return undefined;
  const size = numberIn(environment, found.size, 1);
  const rank = environment[found.rank] === undefined ? undefined : numberIn(environment, found.rank, 0);
  return { name: found.name, variable: found.size, size, rank, mpi: found.mpi };
}

function numberIn(environment: Environment, name: string, least: number): number {
  const text = environment[name] ?? '';
  const number = /^\d{1,9}$/.test(text) ? Number(text) : -1;
  if (number >= least) return number;
  throw new CommunicatorError(
    'ERR_COMM_WORLD_SIZE',
    `connect expects the environment variable ${name} to be a whole number from ${least} on, got ${JSON.stringify(text)}`,
  );
}

/** Refuses a world that is not as large as it is said to be: each process would train alone. */
export function checkSize(found: number, launcher: Launcher | undefined, expected: number | undefined): void {
  if (launcher !== undefined && launcher.size !== found)
    throw new CommunicatorError(
      'ERR_COMM_WORLD_SIZE',
      `connect expects as many ranks as ${launcher.name} has started, ${launcher.variable}=${launcher.size}, and found ${found}: ` +
        (launcher.mpi ? 'is the MPI library the one of the launcher?' : 'name the backend'),
    );
  if (expected !== undefined && expected !== found)
    throw new CommunicatorError(
      'ERR_COMM_WORLD_SIZE',
      `connect expects expectSize=${expected} ranks, and found ${found}: were as many started, by the launcher of the library?`,
    );
}
