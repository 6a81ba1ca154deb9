// Why there is no GPU to use: NVIDIA's own runtime, in the addon that has it, on a fake driver that fails in each of the ways
// that are known. Every one in a process of its own, which must go on with the CPU and end well.
import { execFileSync, spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

interface Startup {
  readonly code: string | null;
  readonly message: string | null;
  readonly driver: number;
  readonly runtime: number;
  readonly gpus: readonly unknown[];
}
interface Found {
  readonly startup: Startup;
  /** Hash of what a training left. */
  readonly trained: string;
}
interface Failure {
  readonly when: string;
  /** The library that is found: the fake one, a file that is none, or what the system has. */
  readonly library?: 'fake' | 'damaged' | 'system';
  readonly environment?: NodeJS.ProcessEnv;
  readonly code: string;
  readonly message: string;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const addon = here('../../build-cmake/Release/keras_optimizers.node');

const failures: readonly Failure[] = [
  {
    when: 'there is no driver',
    library: 'system',
    code: 'ERR_CUDA_NO_DRIVER',
    message:
      'There is no NVIDIA driver: libcuda.so.1 could not be loaded. ' +
      'Install one (this build needs driver >= 580 for CUDA 13), or start the container with --gpus all.',
  },
  {
    when: "the driver's library is damaged",
    library: 'damaged',
    code: 'ERR_CUDA_NO_DRIVER',
    message:
      'There is no NVIDIA driver: libcuda.so.1 could not be loaded. ' +
      'Install one (this build needs driver >= 580 for CUDA 13), or start the container with --gpus all.',
  },
  {
    when: 'the driver is too old',
    environment: { FAKE_DRIVER_VERSION: '11080' },
    code: 'ERR_CUDA_DRIVER_TOO_OLD',
    message:
      'The NVIDIA driver is too old: it supports CUDA 11.8, this build has CUDA 13.0. ' +
      'Update it: this build needs driver >= 580 for CUDA 13.',
  },
  {
    when: 'there is no GPU',
    environment: { FAKE_DEVICES: '0' },
    code: 'ERR_CUDA_NO_DEVICE',
    message:
      'The NVIDIA driver finds no GPU, and CUDA_VISIBLE_DEVICES is not set. ' +
      'See whether nvidia-smi -L lists one, or start the container with --gpus all.',
  },
  {
    when: 'CUDA_VISIBLE_DEVICES hides the GPU',
    environment: { CUDA_VISIBLE_DEVICES: '-1' },
    code: 'ERR_CUDA_NO_DEVICE',
    message:
      'The NVIDIA driver shows no GPU, and CUDA_VISIBLE_DEVICES is set to "-1". ' +
      'Unset it, or set it to one that nvidia-smi -L lists.',
  },
  {
    when: 'CUDA_VISIBLE_DEVICES is empty',
    environment: { CUDA_VISIBLE_DEVICES: '' },
    code: 'ERR_CUDA_NO_DEVICE',
    message:
      'The NVIDIA driver shows no GPU, and CUDA_VISIBLE_DEVICES is set to "". ' +
      'Unset it, or set it to one that nvidia-smi -L lists.',
  },
  {
    when: 'the initialization fails',
    environment: { FAKE_CUINIT: '3' },
    code: 'ERR_CUDA_INIT',
    message:
      'CUDA could not be initialized (cudaGetDeviceCount gives 3, cudaErrorInitializationError, initialization error). ' +
      'See whether nvidia-smi works, and whether this user may open /dev/nvidia*.',
  },
  {
    when: 'the reason is unknown',
    environment: { FAKE_CUINIT: '999' },
    code: 'ERR_CUDA_INIT',
    message:
      'CUDA could not be initialized, and does not say why (cudaGetDeviceCount gives 999, cudaErrorUnknown, unknown error). ' +
      'See whether nvidia-smi works; after a suspend reload the kernel module nvidia_uvm; if all else fails reboot.',
  },
  {
    when: 'the library is a stub',
    environment: { FAKE_CUINIT: '34' },
    code: 'ERR_CUDA_STUB',
    message:
      "The libcuda.so.1 that was loaded is the CUDA toolkit's stub, which is for linking only " +
      '(cudaGetDeviceCount gives 34, cudaErrorStubLibrary, CUDA driver is a stub library). ' +
      "Remove the toolkit's lib64/stubs from LD_LIBRARY_PATH, or start the container with --gpus all, which brings the driver's.",
  },
  {
    when: 'library and kernel module are of different drivers',
    environment: { FAKE_CUINIT: '803' },
    code: 'ERR_CUDA_DRIVER_MISMATCH',
    message:
      "libcuda.so.1 and the kernel's NVIDIA module are of different drivers (cudaGetDeviceCount gives 803, " +
      'cudaErrorSystemDriverMismatch, system has unsupported display driver / cuda driver combination). ' +
      "After an update of the driver reboot or reload the module; in a container use the host's libcuda.so.1, not the image's.",
  },
  {
    when: 'the GPU has no forward compatibility',
    environment: { FAKE_CUINIT: '804' },
    code: 'ERR_CUDA_DRIVER_MISMATCH',
    message:
      'The libcuda.so.1 that was loaded is of a forward-compatibility package, which this GPU does not support ' +
      '(cudaGetDeviceCount gives 804, cudaErrorCompatNotSupportedOnDevice, forward compatibility was attempted on non supported HW). ' +
      "Remove cuda-compat from LD_LIBRARY_PATH, or use a container image whose CUDA is not newer than the host's driver.",
  },
  {
    when: 'the fabric is not ready',
    environment: { FAKE_CUINIT: '802' },
    code: 'ERR_CUDA_INIT',
    message:
      'The GPUs are not ready: their NVLink fabric is not up ' +
      '(cudaGetDeviceCount gives 802, cudaErrorSystemNotReady, system not yet initialized). ' +
      'Start nvidia-fabricmanager in the version of the driver, wait until it is done, and start this process again.',
  },
  {
    when: 'there is no memory left',
    environment: { FAKE_CUINIT: '2' },
    code: 'ERR_CUDA_OOM',
    message:
      'There is no memory left for CUDA to start with (cudaGetDeviceCount gives 2, cudaErrorMemoryAllocation, out of memory). ' +
      "See with nvidia-smi who holds the GPU's, and whether this process may allocate more (ulimit -v).",
  },
  {
    when: 'the GPU is busy, as anything else that CUDA says',
    environment: { FAKE_CUINIT: '46' },
    code: 'ERR_CUDA_INIT',
    message:
      'CUDA does not start (cudaGetDeviceCount gives 46, cudaErrorDevicesUnavailable, ' +
      'CUDA-capable device(s) is/are busy or unavailable). See whether nvidia-smi works, and start this process again.',
  },
  {
    when: 'the driver does not know the runtime, after it was initialized',
    code: 'ERR_CUDA_INIT',
    message:
      'CUDA does not start (cudaGetDeviceCount gives 500, cudaErrorSymbolNotFound, named symbol not found). ' +
      'See whether nvidia-smi works, and start this process again.',
  },
];

/** The messages above are those of a build with CUDA 13.0. */
const madeWith = (runtime: number, message: string): string =>
  message
    .replace('has CUDA 13.0', `has CUDA ${Math.trunc(runtime / 1000)}.${Math.trunc((runtime % 1000) / 10)}`)
    .replace('driver >= 580 for CUDA 13', runtime < 13000 ? 'driver >= 525 for CUDA 12' : 'driver >= 580 for CUDA 13');

function systemHasDriver(): boolean {
  try {
    process.dlopen({ exports: {} }, 'libcuda.so.1');
  } catch (error) {
    return !String(error).includes('cannot open shared object file');
  }
  return true;
}

/** A process with nothing in its environment that changes what CUDA says, but this. */
function run(environment: NodeJS.ProcessEnv, ...args: string[]): string {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, args, {
    cwd: here('../..'),
    env: { ...process.env, CUDA_VISIBLE_DEVICES: undefined, ...environment },
    encoding: 'utf8',
  });
  assert.deepEqual({ stderr, status, signal }, { stderr: '', status: 0, signal: null });
  return stdout;
}

describe('the start of CUDA', () => {
  let folder = '';
  let expected: string; // hash of the training in a process that never heard of CUDA

  before(function () {
    const built =
      existsSync(addon) && (createRequire(import.meta.url)(addon) as { cuda: { built: boolean } }).cuda.built;
    if (!built) {
      console.log('      not run: build-cmake/ has no CUDA (npm run build:addon -- --CDCUDA=ON)');
      return this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
    for (const library of ['fake', 'damaged', 'system']) mkdirSync(join(folder, library));
    const flags = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-Werror'];
    execFileSync('cc', [...flags, here('fake_driver.c'), '-o', join(folder, 'fake/libcuda.so.1')]);
    writeFileSync(join(folder, 'damaged/libcuda.so.1'), 'no library');
    const program = "import { train } from './test/lifecycle/train.mjs'; process.stdout.write(await train(false));";
    expected = run({ KERAS_OPTIMIZERS_ADDON: undefined }, '--input-type=module', '--eval', program);
  });
  after(() => {
    if (folder !== '') rmSync(folder, { recursive: true });
  });

  for (const { when, library = 'fake', environment, code, message } of failures)
    it(`says what is wrong and what to do when ${when}, and leaves the CPU alone`, function () {
      if (library === 'system' && systemHasDriver()) return this.skip();
      const path = [join(folder, library), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
      const output = run({ KERAS_OPTIMIZERS_ADDON: addon, LD_LIBRARY_PATH: path, ...environment }, here('startup.mjs'));
      const found = JSON.parse(output) as Found[];
      const runtime = found[0]?.startup.runtime ?? 0;
      assert.isAtLeast(runtime, 12040);
      const driver = library === 'fake' ? Number(environment?.FAKE_DRIVER_VERSION ?? 13000) : 0;
      const startup = { code, message: madeWith(runtime, message), driver, runtime, gpus: [] };
      assert.deepEqual(
        found,
        Array.from({ length: 4 }, () => ({ startup, trained: expected })),
      );
    });
});
