// A process of a driver, Node or Python, as one question and one answer at a time.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

import { hostOf, pythonHosts } from './drivers.ts';
import type { Reply, Request } from './host.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
export const python = here('../build-python/bin/python');
const taskset = ['/usr/bin/taskset', '/bin/taskset'].find((path) => existsSync(path));
const kPatience = 300; // seconds for an answer: Keras traces a step of 1000 variables for half a minute

/** The last of the processors that this process may use, as many as threads; undefined where they cannot be chosen. */
function processors(threads: number): string | undefined {
  if (taskset === undefined) return undefined;
  const [, list = ''] = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const all = list.split(',').flatMap((range) => {
    const [first = NaN, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return all.slice(-threads).join(',');
}

/** How a process is kept to its threads, for the head of a result. */
export const pinning = (threads: number): string =>
  taskset === undefined ? 'not pinned: there is no taskset' : `pinned to processor ${processors(threads)}`;

/** Read by the frameworks when they are loaded. */
const settings = (threads: number): NodeJS.ProcessEnv => ({
  ...process.env,
  ...Object.fromEntries(
    ['KERAS_OPTIMIZERS', 'OMP', 'MKL', 'OPENBLAS', 'TF_INTRAOP', 'TF_INTEROP'].map((name) => [
      name.startsWith('TF_') ? `TF_NUM_${name.slice(3)}_THREADS` : `${name}_NUM_THREADS`,
      `${threads}`,
    ]),
  ),
  XLA_FLAGS: threads === 1 ? '--xla_cpu_multi_thread_eigen=false' : '',
  KERAS_BACKEND: 'tensorflow',
  JAX_PLATFORMS: 'cpu',
  CUDA_VISIBLE_DEVICES: '-1',
  TF_CPP_MIN_LOG_LEVEL: '3',
});

function start(driver: string, threads: number): ChildProcess {
  const host = hostOf(driver);
  const command = pythonHosts.includes(host)
    ? [python, '-u', here(`python/${host}_peer.py`)]
    : [process.execPath, ...process.execArgv, here('serve.ts')];
  const cores = processors(threads);
  const pinned = cores === undefined ? command : [taskset as string, '-c', cores, ...command];
  return spawn(pinned[0] as string, pinned.slice(1), {
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    env: settings(threads),
  });
}

export class Peer {
  readonly #child: ChildProcess;
  #errors = ''; // the end of what it wrote there
  #ended: string | undefined; // why it cannot answer
  #settle: ((reply: Reply) => void) | undefined;
  /** Of what it measures, when it has made something. */
  version: string | undefined;

  constructor(driver: string, threads: number) {
    this.#child = start(driver, threads);
    this.#child.stdin?.on('error', () => undefined); // its end is reported by `exit`
    this.#child.stderr?.on('data', (text: Buffer) => (this.#errors = (this.#errors + text.toString()).slice(-4000)));
    this.#child.on('error', ({ message }) => this.#end(message));
    this.#child.on('close', (code, signal) => this.#end(`ended with ${signal ?? code}: ${this.#lastError}`));
    const replies = createInterface({ input: this.#child.stdio[3] as Readable });
    replies.on('line', (line) => this.#settle?.(JSON.parse(line) as Reply));
  }

  get #lastError(): string {
    return this.#errors.trim().split('\n').at(-1) ?? '';
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    this.#settle?.({ error: this.#ended });
  }

  /** Rejects with the reason if it cannot answer. */
  async ask(request: Request): Promise<Reply> {
    if (this.#ended !== undefined) throw new Error(this.#ended);
    let timer: NodeJS.Timeout | undefined;
    const { error, ...reply } = await new Promise<Reply>((resolve) => {
      this.#settle = resolve;
      timer = setTimeout(() => (this.#end(`no answer for ${kPatience} s`), this.close()), 1000 * kPatience);
      this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    });
    clearTimeout(timer);
    if (reply.version) this.version = reply.version;
    if (error !== undefined) throw new Error(error.split('\n')[0]?.slice(0, 160));
    return reply;
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

/** The processes of a trial, each started when it is first asked for. */
export class Peers {
  readonly #threads: number;
  readonly #open = new Map<string, Peer>();

  constructor(threads: number) {
    this.#threads = threads;
  }

  /** One for each driver; the modes of a Python framework share one. */
  of(driver: string): Peer {
    const host = hostOf(driver);
    const key = pythonHosts.includes(host) ? host : driver;
    const peer = this.#open.get(key) ?? new Peer(driver, this.#threads);
    this.#open.set(key, peer);
    return peer;
  }

  /** Of what the processes measure, by their names. */
  get versions(): Record<string, string> {
    return Object.fromEntries(
      [...this.#open].flatMap(([name, { version }]) => (version ? [[hostOf(name), version]] : [])),
    );
  }

  close(): void {
    for (const peer of this.#open.values()) peer.close();
    this.#open.clear();
  }
}
