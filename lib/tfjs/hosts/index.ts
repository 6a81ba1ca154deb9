// The one list of backends.
import type { Backend, TensorFlow } from '../tensorflow.ts';
import { CpuHost } from './cpu.ts';
import { ReadingHost, WasmHost } from './copying.ts';
import type { Host } from './host.ts';
import { TensorHost } from './tensors.ts';

export type { Host };

/** Hosts by what they are for: those of a TensorFlow.js are shared by all its optimizers. */
export type Hosts = Map<string, Host>;

/**
 * The host of the current backend. `built`: the one that the variables were made by; they stay where they are, in native memory or
 * in tensors.
 */
export function hostOf(tf: TensorFlow, hosts: Hosts, built?: Host): Host {
  if (built instanceof TensorHost) return built; // its operations run on every backend
  const host = named(hosts, tf.getBackend(), (name) => make(tf, name));
  if (built === undefined || !(host instanceof TensorHost)) return host;
  return named(hosts, 'read and assigned', () => new ReadingHost(tf));
}

function named(hosts: Hosts, name: string, make: (name: string) => Host): Host {
  const host = hosts.get(name) ?? make(name);
  hosts.set(name, host);
  return host;
}

function make(tf: TensorFlow, name: string): Host {
  if (name === 'cpu') return new CpuHost(tf);
  if (name === 'wasm') return new WasmHost(tf);
  if (name === 'tensorflow' && !isOnGpu(tf.backend())) return new ReadingHost(tf);
  return new TensorHost(tf);
}

const isOnGpu = (backend: Backend): boolean => (backend as { isUsingGpuDevice?: unknown }).isUsingGpuDevice === true;
