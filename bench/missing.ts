// What cannot be measured here, and why. Builds the loops in C++ on the way.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { backends, trafficAddon } from './drivers.ts';

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

function tensorflowFailure(): string | undefined {
  const { resolve } = createRequire(import.meta.url);
  try {
    for (const name of ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu']) resolve(name);
    return undefined;
  } catch (error) {
    return (error as Error).message.split('\n')[0];
  }
}

/** The drivers that cannot run at all, with the reason. */
export function missingDrivers(): Map<string, string> {
  const reasons = new Map<string, string>();
  for (const { name, unusable } of backends) if (unusable !== null) reasons.set(name, unusable);
  const traffic = trafficFailure();
  if (traffic !== undefined) reasons.set('traffic', traffic).set('memcpy', 'is built with traffic');
  const tensorflow = tensorflowFailure();
  if (tensorflow !== undefined) reasons.set('tfjs', tensorflow);
  return reasons;
}
