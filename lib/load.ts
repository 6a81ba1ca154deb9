// Finds the addon: the only file that knows where it may be. In browsers lib/browser/load.ts stands in its place.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { stateError } from './errors.ts';
import type { Addon } from './native.ts';
import { wasmAddon } from './wasm/addon.ts';
import type { WasmModule } from './wasm/kernels.ts';

const places = ['../build-cmake/Release/keras_optimizers.node', '../build/Release/keras_optimizers.node'];

function load(): Addon {
  const forced = process.env.KERAS_OPTIMIZERS_ADDON;
  if (forced === 'wasm') return wasmAddon(createRequire(import.meta.url)('../dist/wasm/module.cjs') as WasmModule);
  const candidates = forced ? [forced] : places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw stateError(
      'ERR_ADDON_LOAD',
      `keras-optimizers found no native addon, looked at ${candidates.join(', ')}: run "npm run build:addon" in its folder`,
    );
  try {
    return createRequire(import.meta.url)(resolve(found)) as Addon;
  } catch (error) {
    throw loadError(found, error as NodeJS.ErrnoException);
  }
}

function loadError(path: string, error: NodeJS.ErrnoException): Error {
  const disabled = error.code === 'ERR_DLOPEN_DISABLED';
  const advice = disabled
    ? 'start node with --allow-addons (and without --no-addons)'
    : 'run "npm run build:addon" again';
  const message = `keras-optimizers could not load ${path}: ${error.message}: ${advice}`;
  return stateError(disabled ? 'ERR_ADDON_DISABLED' : 'ERR_ADDON_LOAD', message);
}

export const loaded = { addon: load() };
