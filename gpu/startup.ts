// What a run begins with: everything is loaded, the CPU steps, and there is a GPU to use or a reason why not.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { devices, info, Nadam, Variable, type Info, type Gpu, type Unusable } from '../lib/index.ts';
import { addon } from '../lib/native.ts';
import { findExample } from './example.ts';
import { sibling } from './sibling.ts';

export interface Startup {
  readonly info: Info;
  readonly gpus: readonly Gpu[];
  readonly unusable: Unusable | null;
  readonly emulated: boolean;
  /** The kernel module's own line. */
  readonly driver: string | null;
  /** Clocks, and what else the GPU does: the numbers of a busy one mean little. */
  readonly load: string | null;
}

/** Programs that the parts run, which only have to be there; and what they are made of, which is loaded. */
const programs = ['checks/run', 'checks/sticky_child', 'bench/run'];
const modules = ['checks/index', 'bench/trial', 'bench/torch', 'bench/table'];

/** Throws if a part could not run whatever GPU there were. */
export async function loadAll(): Promise<string[]> {
  const loaded: string[] = [];
  for (const path of modules) {
    await import(sibling(import.meta.url, path));
    loaded.push(path);
  }
  for (const path of programs) assert.ok(existsSync(sibling(import.meta.url, path)), `${path} is missing`);
  const example = findExample();
  if ('program' in example) {
    createRequire(import.meta.url)(example.addon);
    loaded.push("the example's addon");
  }
  const variable = new Variable([1, 2, 3]);
  new Nadam({ learning_rate: 0.5 }).apply([[1, -1, 0]], [variable]);
  assert.ok(variable.value[0] !== undefined && variable.value[0] < 1 && variable.value[2] === 3, 'a step of the CPU');
  return [...loaded, 'the native addon, which has made a step on the CPU'];
}

export function startup(): Startup {
  const { cuda: gpus, unusable } = devices();
  return { info: info(), gpus, unusable, emulated: addon.cuda.emulated, driver: driverLine(), load: load() };
}

function load(): string | null {
  const asked = 'clocks.sm,clocks.mem,temperature.gpu,power.draw,utilization.gpu,memory.used,compute_mode';
  const { status, stdout } = spawnSync('nvidia-smi', [`--query-gpu=${asked}`, '--format=csv'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

export function driverLine(): string | null {
  try {
    return readFileSync('/proc/driver/nvidia/version', 'utf8').split('\n')[0]?.trim() ?? null;
  } catch {
    return null;
  }
}

/** The release that this line names: 580.65.06. */
export const driverRelease = (): string | null => / (\d+\.\d+(?:\.\d+)?) /.exec(driverLine() ?? '')?.[1] ?? null;

export function lines({ info: about, gpus, unusable, emulated, driver, load: used }: Startup): string[] {
  const { version, node, backend, threads, cuda } = about;
  const built = cuda.built
    ? `built with CUDA ${cuda.runtime ?? '?'}, driver ${cuda.requiredDriver ?? '?'} or newer`
    : 'no CUDA';
  return [
    `keras-optimizers ${version} (${built}), Node ${node}, ${backend} on ${threads} threads`,
    `driver: ${driver ?? 'no NVIDIA kernel module'}; it supports CUDA ${cuda.driver ?? 'none'}`,
    ...gpus.map(
      (gpu) =>
        `${gpu.device}: ${gpu.name}, ${(gpu.memory / 1e9).toFixed(1)} GB, capability ${gpu.capability}, ${gpu.processors} processors, ${gpu.uuid}`,
    ),
    ...(used === null ? [] : used.split('\n')),
    ...(emulated ? ['EMULATED: this addon is the one for tests, its GPU is this process'] : []),
    ...(unusable === null ? [] : [`no GPU to use: ${unusable.code}: ${unusable.message}`]),
  ];
}
