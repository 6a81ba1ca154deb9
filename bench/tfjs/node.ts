// TensorFlow.js on libtensorflow, as scripts/tfjs_node.sh makes it; for the benchmark and for test/tfjs-node/.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import util from 'node:util';
import type * as tfjs from '@tensorflow/tfjs';

const folder = new URL('../../build-tfjs-node/', import.meta.url);

/** Why there is no backend `tensorflow`; undefined if there is. */
export const tfjsNodeFailure = (): string | undefined =>
  existsSync(new URL('installed', folder)) ? undefined : 'there is no tfjs-node: scripts/tfjs_node.sh makes it';

/** The whole of TensorFlow.js, of which tfjs-node shares the copy that imports give; it sets its backend. */
export function loadTfjsNode(): typeof tfjs {
  const failure = tfjsNodeFailure();
  if (failure !== undefined) throw new Error(failure);
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '3'; // libtensorflow's own words on stderr
  Object.assign(util, { isNullOrUndefined: (value: unknown) => value == null }); // Node 24 has it no more, tfjs-node 4.22 calls it
  return createRequire(fileURLToPath(folder))('@tensorflow/tfjs-node') as typeof tfjs;
}
