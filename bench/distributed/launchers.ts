// The launchers of MPI that are here, and jobs under them.
import { spawn, spawnSync } from 'node:child_process';

export interface Launcher {
  readonly name: string;
  readonly command: string;
  readonly options: readonly string[];
}

// Containers run as root, and machines for tests have fewer cores than ranks.
const ofOpenMpi = ['--allow-run-as-root', '--oversubscribe'];

/** Under the names that Debian has for them side by side. */
export const launchers: readonly Launcher[] = [
  { name: 'Open MPI', command: 'mpirun.openmpi', options: ofOpenMpi },
  { name: 'MPICH', command: 'mpirun.mpich', options: [] },
];

/** Why a launcher cannot be used here; undefined if it can. */
export function missing({ command, options }: Launcher): string | undefined {
  const { error, status, stderr } = spawnSync(command, [...options, '-n', '1', 'true'], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  return error?.message ?? (status === 0 ? undefined : stderr.trim());
}

/** The first that can be used: one of those, or whatever mpirun is. */
export function anyLauncher(): Launcher | undefined {
  const { stdout } = spawnSync('mpirun', ['--version'], { encoding: 'utf8' });
  const isOpenMpi = stdout?.includes('Open MPI') ?? false;
  const plain = { name: 'mpirun', command: 'mpirun', options: isOpenMpi ? ofOpenMpi : [] };
  return [...launchers, plain].find((launcher) => missing(launcher) === undefined);
}

/** How a job ended: its code is null where that was a signal. */
export interface Ended {
  readonly code: number | null;
  readonly printed: string;
}

/**
 * Runs a program of Node under a launcher, as a group of processes of its own; without one, and as itself, for 0 ranks.
 *
 * @param limit milliseconds, after which all of it is killed
 * @param see gets the text so far whenever there is more, and the process of the launcher
 */
export function runJob(
  { command, options }: Launcher,
  ranks: number,
  program: readonly string[],
  limit: number,
  see: (printed: string, launcher: number) => void = () => {},
): Promise<Ended> {
  const started = ranks === 0 ? [] : ['-n', String(ranks)];
  const job = spawn(command, [...options, ...started, process.execPath, ...program], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let printed = '';
  for (const stream of [job.stdout, job.stderr])
    stream.on('data', (text) => see((printed += String(text)), job.pid as number)); // there is one if it prints
  const timer = setTimeout(() => process.kill(-(job.pid ?? 0), 'SIGKILL'), limit);
  return new Promise((resolve, reject) => {
    job.on('error', reject);
    job.on('close', (code) => (clearTimeout(timer), resolve({ code, printed })));
  });
}
