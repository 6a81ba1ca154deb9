// The one list of backends.
import type { Backend, TensorFlow } from '../tensorflow.ts';
import { CpuHost } from './cpu.ts';
import { TensorflowHost, WasmHost } from './copying.ts';
import type { Host } from './host.ts';
import { TensorHost } from './tensors.ts';

export type { Host };

/** The host of the current backend; a new one for a name that `known` does not have. */
export function hostOf(tf: TensorFlow, known: Map<string, Host>): Host {
  const name = tf.getBackend();
  const host = known.get(name) ?? make(tf, name);
  known.set(name, host);
  return host;
}

function make(tf: TensorFlow, name: string): Host {
  if (name === 'cpu') return new CpuHost(tf);
  if (name === 'wasm') return new WasmHost(tf);
  if (name === 'tensorflow' && !isOnGpu(tf.backend())) return new TensorflowHost(tf);
  return new TensorHost(tf);
}

const isOnGpu = (backend: Backend): boolean => (backend as { isUsingGpuDevice?: unknown }).isUsingGpuDevice === true;
