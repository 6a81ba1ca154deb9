// Makes the device's context unusable and prints, as a line of JSON, what every use of it says afterwards.
// Usage: sticky_child DEVICE
import { Nadam, SGD, Variable } from '../../lib/index.ts';
import { Foreign } from './foreign.ts';
import { setFault, type Report } from './sticky.ts';
import { variableOn, zerosOn, type GpuName } from './variables.ts';

const kIllegalAddress = 700; // cudaErrorIllegalAddress
const kElements = 2 ** 29; // 2 GiB of float32, far past the end of what is there
const device = (process.argv[2] ?? 'cuda:0') as GpuName;

/** A step that reads where there is nothing; in a test build one whose launch is made to fail. */
function faultyStep(): () => Promise<unknown> {
  if (setFault !== undefined) {
    const variable = variableOn(device, [1, 2, 3]);
    const sgd = new SGD();
    sgd.build([variable]);
    return async () => {
      setFault?.('cudaLaunchKernel', 1, kIllegalAddress);
      await sgd.apply_async();
    };
  }
  const variable = zerosOn(device, [kElements]);
  const sgd = new SGD();
  sgd.build([variable]);
  const gradient = { ...new Foreign(device, 64).put(new Float32Array(16), [16]), shape: [kElements] };
  return () => sgd.apply_async([gradient], [variable]);
}

async function errorOf(use: string, act: () => unknown) {
  try {
    await act();
    return undefined;
  } catch (error) {
    const { code, message } = error as Error & { readonly code?: string };
    return { use, ...(code !== undefined && { code }), message };
  }
}

async function report(): Promise<Report> {
  const other = variableOn(device, [1, 2, 3]);
  const nadam = new Nadam();
  nadam.build([other]);
  const step = faultyStep();
  const first = await errorOf('the step', step);
  if (first === undefined) return { skipped: 'no fault: what lies behind the end of an array could be read' };
  if (first.code === 'ERR_CUDA_POINTER' || first.code === 'ERR_OPT_LENGTH')
    return { skipped: `an array that is too short was refused: ${first.message}` };
  const uses: readonly (readonly [string, () => unknown])[] = [
    ['read', () => other.read()],
    ['apply', () => nadam.apply([[1, 1, 1]], [other])],
    ['apply_async', () => nadam.apply_async([[1, 1, 1]], [other])],
    ['assign', () => other.assign([1, 2, 3])],
    ['new Variable', () => variableOn(device, [1, 2, 3])],
  ];
  const errors = [first];
  for (const [use, act] of uses) errors.push((await errorOf(use, act)) ?? { use, message: 'it threw nothing' });
  const onCpu = new Variable([1, 2, 3]);
  new SGD({ learning_rate: 1 }).apply([[1, 1, 1]], [onCpu]);
  other.dispose();
  nadam.dispose();
  return { errors, cpu: onCpu.value.join() === '0,1,2' };
}

console.log(JSON.stringify(await report()));
