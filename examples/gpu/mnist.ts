// Trains the network of examples/mnist.ts on a GPU, forward, backward and step, beside the CPU: npm run example:gpu -- --help
import { devices, type Gpu } from 'keras-optimizers';

import { circumstances, writeResult } from '../../bench/circumstances.ts';
import { loadMnist } from '../mnist-data.ts';
import { load, type Addon } from './addon.ts';
import { handovers } from './network.ts';
import { exitCodes, kScript, kTolerance, readOptions } from './options.ts';
import { reportOf } from './report.ts';
import { trainOnCpu, trainOnGpu } from './training.ts';

const options = readOptions();
const { addon, gpu } = usable();
const data = loadMnist(options.train);
console.log(`gradients: ${handovers[options.handover]}`);
const onCpu = await trainOnCpu(options, data);
const onGpu = await trainOnGpu(addon, options, data);
const { text, difference } = reportOf(onCpu, onGpu);
console.log(text);
const { json, ...asked } = options;
const result = { ...circumstances(kScript), gpu, options: asked, tolerance: kTolerance, difference, onCpu, onGpu };
if (json !== undefined) writeResult(json, result);
if (!(difference <= kTolerance)) process.exitCode = exitCodes.differs;

/** Ends the process if there is none. */
function usable(): { readonly addon: Addon; readonly gpu: Gpu } {
  const { cuda, unusable } = devices();
  const [gpu] = cuda;
  if (gpu === undefined) return end(`no GPU to use: ${unusable?.code}: ${unusable?.message}`);
  const found = load(gpu.name === 'emulated' ? 'emulated' : 'cuda');
  if (typeof found === 'string') return end(found);
  const problem = found.problem();
  if (problem !== null) return end(`the example's addon finds no GPU to use: ${problem}`);
  console.log(`${gpu.device}: ${gpu.name}, CUDA ${gpu.driver}`);
  return { addon: found, gpu };
}

function end(reason: string): never {
  console.error(reason);
  process.exit(exitCodes.noGpu);
}
