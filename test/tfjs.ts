// TensorFlow.js for the tests: one copy, its backends that run anywhere.
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';

setWasmPaths(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')) + sep);
tf.env().set('IS_TEST', true); // it advises against its own JavaScript backend otherwise

export { tf };
export const backends = ['cpu', 'wasm'] as const;

/** Has the tests of a `describe` run on a backend, and fail if they leave tensors. */
export function on(backend: (typeof backends)[number]): void {
  let tensors = 0;
  before(async () => {
    await tf.setBackend(backend);
    tensors = tf.memory().numTensors;
  });
  after(() => {
    tf.disposeVariables();
    const left = tf.memory().numTensors - tensors;
    if (left !== 0) throw new Error(`${left} tensors are left`);
  });
}
