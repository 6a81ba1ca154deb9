// TensorFlow.js for the tests: one copy, its backends that run anywhere.
import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { MathBackendCPU } from '@tensorflow/tfjs-backend-cpu';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import { assert } from 'chai';

import { loadTfjsNode } from '../bench/tfjs/node.ts';
import type { TfOptimizer } from '../lib/tfjs/index.ts';
import { thrown } from './errors.ts';

setWasmPaths(dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')) + sep);
tf.enableProdMode(); // it advises against its own JavaScript backend otherwise

// Where no kernel of ours reaches, as it looks to us: the kernels in JavaScript under another name.
tf.registerBackend('elsewhere', () => new MathBackendCPU());
tf.copyRegisteredKernels('cpu', 'elsewhere');

const chosen = process.env['TFJS_BACKENDS']; // by scripts/tfjs_node.sh
/** Those whose steps are native. */
export const nativeBackends: readonly string[] = (chosen ?? 'cpu wasm').split(' ');
export const backends: readonly string[] = chosen === undefined ? [...nativeBackends, 'elsewhere'] : nativeBackends;
if (nativeBackends.includes('tensorflow')) loadTfjsNode();

export { tf };
export type Tensor = ReturnType<typeof tf.tensor>;

/** The numbers of a tensor, as a copy. */
export const read = (tensor: { dataSync(): ArrayLike<number> }): number[] => Array.from(tensor.dataSync());
export const variable = (values: readonly number[], name?: string) =>
  tf.tidy(() => tf.variable(tf.tensor1d([...values]), true, name));

/** One step with these gradients. */
export function step(optimizer: TfOptimizer, gradients: Readonly<Record<string, readonly number[] | null>>): void {
  const named = Object.entries(gradients).map(([name, g]) => ({ name, tensor: g && tf.tensor1d([...g]) }));
  try {
    optimizer.applyGradients(named as { name: string; tensor: Tensor }[]);
  } finally {
    tf.dispose(named.map(({ tensor }) => tensor as Tensor));
  }
}

/** Asserts class, code and message of an error. */
export function refused(action: () => unknown, code: string, message: RegExp): void {
  const error = thrown(action);
  assert.propertyVal(error, 'code', code);
  assert.match(String(error?.message), message);
}

/** Has the tests of a `describe` run on a backend, and fail if they leave tensors. */
export function on(backend: string): void {
  let tensors = 0;
  before(async () => {
    await tf.setBackend(backend);
    tf.disposeVariables(); // of files that ran before in this process
    tensors = tf.memory().numTensors;
  });
  after(() => {
    tf.disposeVariables();
    const left = tf.memory().numTensors - tensors;
    if (left !== 0) throw new Error(`${left} tensors are left`);
  });
}
