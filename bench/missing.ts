// What cannot be measured here, and why. Builds the loops in C++ on the way.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { addon } from '../dist/native.js';
import { drivers, hostOf, modeOf, pythonHosts } from './drivers.ts';
import { trafficAddon } from './hosts/traffic.ts';
import { pythonFailure } from './python.ts';
import { tfjsNodeFailure } from './tfjs/node.ts';

/** Why the loops in C++ could not be built; undefined if they were. */
function trafficFailure(): string | undefined {
  const [source, build] = [fileURLToPath(new URL('.', import.meta.url)), dirname(trafficAddon)];
  const commands = [
    ['-S', source, '-B', build],
    ['--build', build],
  ];
  for (const args of commands) {
    const { error, status, stdout, stderr } = spawnSync('cmake', args, { encoding: 'utf8' });
    if (error !== undefined) return error.message;
    if (status !== 0) return `cmake ${args.join(' ')}\n${stderr || stdout}`.trim();
  }
  return undefined;
}

/** Why there is no such backend of TensorFlow.js; undefined if there is. */
export function tensorflowFailure(backend: string): string | undefined {
  if (backend === 'tensorflow') return tfjsNodeFailure();
  const { resolve } = createRequire(import.meta.url);
  try {
    for (const name of ['core', 'backend-cpu', 'backend-wasm']) resolve(`@tensorflow/tfjs-${name}`);
    return undefined;
  } catch (error) {
    return (error as Error).message.split('\n')[0];
  }
}

function backendFailure(mode: string): string | undefined {
  const { name, unusable } = addon.backends.find((backend) => backend.name === mode) ?? {};
  return name === undefined ? 'not built' : (unusable ?? undefined);
}

/** Reasons by driver, of those that cannot run at all. */
export function missingDrivers(names: readonly string[]): Map<string, string> {
  const [traffic, python] = [trafficFailure(), pythonFailure()];
  const reason = (name: string): string | undefined => {
    const host = hostOf(name);
    if (['traffic', 'memcpy', 'read'].includes(name)) return traffic;
    if (['tfjs', 'adapter'].includes(host)) return tensorflowFailure(modeOf(name));
    if (pythonHosts.includes(host)) return python;
    return host === 'ours' && drivers[name]?.when === 'named' ? backendFailure(modeOf(name)) : undefined;
  };
  return new Map(
    names.flatMap((name) => [[name, reason(name)] as const].filter((one) => one[1] !== undefined)) as [
      string,
      string,
    ][],
  );
}
