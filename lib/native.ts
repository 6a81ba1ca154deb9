// Loads the addon and types it: the only file that knows its shape.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { rangeError, stateError } from './errors.ts';

/** Library memory: 64-byte aligned, shown as an ArrayBuffer. `release()` detaches the buffer. */
export interface Memory {
  readonly buffer: ArrayBuffer;
  release(): void;
}

export interface RuleInfo {
  readonly name: string;
  readonly slots: readonly string[];
  readonly scalars: readonly string[];
}

/** An array of a tensor: library memory, or the index of an array that is passed to every run. */
export type Source = Memory | number;

export interface TensorSpec {
  readonly variable: number;
  readonly length: number;
  readonly decay: boolean;
  /** Index of the array whose absence skips the tensor, or -1. */
  readonly needs: number;
  /** The variable, its gradient, and the slots in the rule's order. */
  readonly sources: readonly Source[];
}

export interface PassSpec {
  readonly rule: number;
  readonly dtype: number;
  readonly tensors: readonly TensorSpec[];
}

export interface Plan {
  /** Runs the active passes; returns the L2 norm of the clipped gradients, negative if no norm was asked for. */
  run(control: Float64Array, arrays: readonly (Float32Array | Float64Array | null)[]): number;
}

interface Addon {
  readonly rules: readonly RuleInfo[];
  readonly backends: readonly { readonly name: string; readonly unusable: string | null }[];
  /** Names of the fields of a pass's control that precede the scalars. */
  readonly controls: readonly string[];
  readonly controlSize: number;
  /** Control bits of the processor's floating-point unit; a step leaves them as they were. */
  floatingPointControl(): number;
  readonly Memory: new (bytes: number) => Memory;
  readonly Plan: new (backend: number, passes: readonly PassSpec[], variables: number) => Plan;
}

/** Element types a kernel exists for, in the order of the addon's table. */
export const dtypes = ['float32', 'float64'] as const;
export type Dtype = (typeof dtypes)[number];

const places = ['../build-cmake/Release/keras_optimizers.node', '../build/Release/keras_optimizers.node'];

function load(): Addon {
  const forced = process.env.KERAS_OPTIMIZERS_ADDON;
  const candidates = forced ? [forced] : places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw stateError(
      'ERR_ADDON_LOAD',
      `keras-optimizers found no native addon, looked at ${candidates.join(', ')}: run "npm run build:addon" in its folder`,
    );
  return createRequire(import.meta.url)(found) as Addon;
}

export const addon: Addon = load();

export function ruleNamed(name: string): { readonly id: number; readonly info: RuleInfo } {
  const id = addon.rules.findIndex((rule) => rule.name === name);
  const info = addon.rules[id];
  if (info === undefined) throw rangeError('ERR_OPT_CONFIG_RANGE', `no native rule is named ${name}`);
  return { id, info };
}

/** Index of the backend called `name`, or of the best that runs here. Throws for an unknown or unusable one. */
export function backendNamed(name: string | undefined): number {
  const { backends } = addon;
  if (name === undefined) return backends.findIndex((backend) => backend.unusable === null);
  const index = backends.findIndex((backend) => backend.name === name);
  const known = backends.map((backend) => backend.name).join(', ');
  const backend = backends[index];
  if (backend === undefined)
    throw rangeError('ERR_OPT_BACKEND', `KERAS_OPTIMIZERS_BACKEND expects one of ${known}, got "${name}"`);
  if (backend.unusable !== null)
    throw stateError('ERR_OPT_BACKEND', `KERAS_OPTIMIZERS_BACKEND=${name} cannot be used: ${backend.unusable}`);
  return index;
}

let backend = backendNamed(process.env.KERAS_OPTIMIZERS_BACKEND || undefined);

/** Chooses the backend of the plans built from now on, and returns the name of the one before. For tests and benchmarks. */
export function useBackend(name: string): string {
  const before = addon.backends[backend]?.name ?? '';
  backend = backendNamed(name);
  return before;
}

export const newPlan = (passes: readonly PassSpec[], variables: number): Plan =>
  new addon.Plan(backend, passes, variables);
