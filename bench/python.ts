// The environment of Python that bench/python/install.sh makes, and how its frameworks are started.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const python = fileURLToPath(new URL('../build-python/bin/python', import.meta.url));

/** Why there is no Python; undefined if there is. */
export const pythonFailure = (): string | undefined =>
  existsSync(python) ? undefined : 'there is no build-python/: npm run bench:python makes it';

/** Read by the frameworks, and by this package, when they are loaded. */
export const settings = (threads: number): NodeJS.ProcessEnv => ({
  ...process.env,
  ...Object.fromEntries(
    ['KERAS_OPTIMIZERS', 'OMP', 'MKL', 'OPENBLAS', 'TF_INTRAOP', 'TF_INTEROP'].map((name) => [
      name.startsWith('TF_') ? `TF_NUM_${name.slice(3)}_THREADS` : `${name}_NUM_THREADS`,
      `${threads}`,
    ]),
  ),
  XLA_FLAGS: threads === 1 ? '--xla_cpu_multi_thread_eigen=false' : '',
  KERAS_BACKEND: 'tensorflow',
  JAX_PLATFORMS: 'cpu',
  CUDA_VISIBLE_DEVICES: '-1',
  TF_CPP_MIN_LOG_LEVEL: '3',
});
