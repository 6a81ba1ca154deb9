// GPUs and engines between processes, which WebAssembly does not reach: as an addon says it that is built without CUDA.
import { stateError } from '../errors.ts';
import type { Addon } from '../native.ts';

const code = 'ERR_CUDA_NOT_BUILT';
const message =
  "keras-optimizers runs on its WebAssembly kernels here, which have no CUDA. Use device 'cpu', or the native addon.";

export const absentCuda = (): Error => stateError(code, message);

const refuse = (): never => {
  throw absentCuda();
};

export const cuda: Addon['cuda'] = {
  built: false,
  emulated: false,
  startup: () => ({ code, message, driver: 0, runtime: 0, gpus: [] }),
  liveBytes: refuse,
  stream: refuse,
  useStream: refuse,
  borrow: refuse,
  waitFor: refuse,
  waitIn: refuse,
  write: refuse,
  copy: refuse,
  read: refuse,
  readNow: refuse,
  putRows: refuse,
  mark: refuse,
};

const refuseEngine = (): never => {
  throw stateError(
    'ERR_COMM_UNAVAILABLE',
    'keras-optimizers runs on its WebAssembly kernels here, which open neither MPI nor NCCL: use the native addon, or a LocalGroup',
  );
};

export const distributed: Addon['distributed'] = {
  collectives: [],
  openMpi: refuseEngine,
  openNccl: refuseEngine,
  newNcclId: refuseEngine,
};
