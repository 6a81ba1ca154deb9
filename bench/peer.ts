// A process of a driver, Node or Python, as one question and one answer at a time.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { hostOf, pythonHosts } from './drivers.ts';
import type { Reply, Request } from './host.ts';
import { LineProcess } from './line_process.ts';
import { python, settings } from './python.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const taskset = ['/usr/bin/taskset', '/bin/taskset'].find((path) => existsSync(path));

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

function commandOf(driver: string, threads: number): readonly string[] {
  const host = hostOf(driver);
  const command = pythonHosts.includes(host)
    ? [python, '-u', here(`python/${host}_peer.py`)]
    : [process.execPath, ...process.execArgv, here('serve.ts')];
  const cores = processors(threads);
  return cores === undefined ? command : [taskset as string, '-c', cores, ...command];
}

export class Peer {
  readonly #process: LineProcess<Request, Reply>;
  /** Of what it measures, when it has made something. */
  version: string | undefined;

  constructor(driver: string, threads: number) {
    this.#process = new LineProcess(commandOf(driver, threads), settings(threads));
  }

  /** Rejects with the reason if it cannot answer. */
  async ask(request: Request): Promise<Reply> {
    const reply = await this.#process.ask(request);
    if (reply.version) this.version = reply.version;
    return reply;
  }

  close(): void {
    this.#process.close();
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
