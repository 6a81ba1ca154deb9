// The process of a driver that runs in Node: requests as lines of JSON on stdin, a reply to each on descriptor 3, as in
// bench/python/protocol.py.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { hostOf, modeOf } from './drivers.ts';
import type { Pass } from './variants.ts';
import type { Shape } from './work.ts';

/** What a driver has to make. */
export interface Task {
  readonly rule: string;
  readonly className: string | null;
  /** Keras's, those of the variant included. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Those of the rule alone. */
  readonly plain: Readonly<Record<string, unknown>>;
  readonly slots: number;
  readonly variant: string;
  /** Of apply in a repetition. */
  readonly calls: number;
  readonly passes: readonly Pass[];
  readonly gradients: 'bfloat16' | 'float16' | null;
  /** Of every tensor with a gradient; null: all. */
  readonly rows: number | null;
  readonly shapes: readonly Shape[];
  readonly threads: number;
}

export type Request =
  | { readonly do: 'make'; readonly driver: string; readonly task: Task }
  | { readonly do: 'run'; readonly driver: string; readonly repetitions: number }
  | { readonly do: 'values' | 'drop'; readonly driver: string };

export interface Reply {
  readonly error?: string;
  /** Of all repetitions. */
  readonly seconds?: number;
  /** The variables one after the other, base64 of their float32. */
  readonly values?: string;
  /** Of what the driver measures. */
  readonly version?: string;
}

export interface Instance {
  /** Does that many repetitions; returns the seconds they took. */
  readonly run: (repetitions: number) => number | Promise<number>;
  /** The variables as they are now; absent where no rule is computed. */
  readonly values?: () => readonly ArrayLike<number>[];
  readonly drop?: () => void;
  readonly version?: string;
}

/** What a file of bench/hosts exports; `mode` is what follows the colon in a driver's name. */
export type Make = (task: Task, mode: string) => Instance | Promise<Instance>;

const kFiles: Readonly<Record<string, string>> = { memcpy: 'traffic', read: 'traffic' };
const instances = new Map<string, Instance>();

async function made(driver: string, task: Task): Promise<Instance> {
  const host = hostOf(driver);
  const { make } = (await import(`./hosts/${kFiles[host] ?? host}.ts`)) as { readonly make: Make };
  return make(task, modeOf(driver) || host);
}

const encoded = (arrays: readonly ArrayLike<number>[]): string =>
  Buffer.concat(arrays.map((array) => Buffer.from(Float32Array.from(array).buffer))).toString('base64');

async function answer(request: Request): Promise<Reply> {
  if (request.do === 'make') {
    const instance = await made(request.driver, request.task);
    instances.set(request.driver, instance);
    return { version: instance.version ?? '' };
  }
  const instance = instances.get(request.driver) as Instance;
  if (request.do === 'run') return { seconds: await instance.run(request.repetitions) };
  if (request.do === 'values') return instance.values === undefined ? {} : { values: encoded(instance.values()) };
  instance.drop?.();
  instances.delete(request.driver);
  return {};
}

/** Answers until stdin ends. */
export async function serve(): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const reply = await answer(JSON.parse(line) as Request).catch((error: unknown) => ({ error: String(error) }));
    writeSync(3, `${JSON.stringify(reply)}\n`);
  }
}
