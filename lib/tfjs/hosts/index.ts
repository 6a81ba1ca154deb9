// The one list of backends.
import type { Backend, TensorFlow } from '../tensorflow.ts';
import { CpuHost } from './cpu.ts';
import { TensorflowHost, WasmHost } from './copying.ts';
import type { Host } from './host.ts';
import { NativeHost } from './native.ts';
import { TensorHost } from './tensors.ts';

export type { Host };

/** The host of the current backend; a new one for a name that `known` does not have. */
export function hostOf(tf: TensorFlow, known: Map<string, Host>): Host {
  return knownBy(known, tf.getBackend(), (name) => {
    if (name === 'cpu' || name === 'wasm' || (name === 'tensorflow' && !isOnGpu(tf.backend()))) return native(tf, name);
    return new TensorHost(tf);
  });
}

/** The host for what `built` began, on the backend as it is now: variables in native memory stay there, others stay tensors. */
export function hostAfter(tf: TensorFlow, known: Map<string, Host>, built: Host): Host {
  const now = hostOf(tf, known);
  if (!(built instanceof NativeHost)) return built;
  return now instanceof NativeHost ? now : knownBy(known, `native on ${tf.getBackend()}`, (name) => native(tf, name));
}

function native(tf: TensorFlow, name: string): Host {
  if (name === 'cpu') return new CpuHost(tf);
  return name === 'wasm' ? new WasmHost(tf) : new TensorflowHost(tf);
}

function knownBy(known: Map<string, Host>, name: string, make: (name: string) => Host): Host {
  const host = known.get(name) ?? make(name);
  known.set(name, host);
  return host;
}

const isOnGpu = (backend: Backend): boolean => (backend as { isUsingGpuDevice?: unknown }).isUsingGpuDevice === true;
