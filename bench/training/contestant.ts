// A process that trains: asked for an epoch by a line on its stdin, it answers with a line of JSON on its stdout.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface Answer {
  /** Wall time of the epoch, without the test. */
  readonly seconds: number;
  /** The part of it that the optimizer took; null where that was not measured. */
  readonly optimizerSeconds: number | null;
  /** Of each step; of the epoch where it is known only. */
  readonly losses: readonly number[];
  /** On the test images, after the epoch. */
  readonly accuracy: number;
}

export interface Contestant {
  /** From the start of the process to the first step: imports, data, tracing and compilation. */
  readonly startSeconds: number;
  readonly versions: string;
  epoch(): Promise<Answer>;
  end(): void;
}

/** The first processors that this process may use; undefined where there are too few, or no taskset. */
export function processors(count: number): string | undefined {
  if (process.platform !== 'linux' || spawnSync('taskset', ['--version']).status !== 0) return undefined;
  const [, list = ''] = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  const all = list.split(',').flatMap((range) => {
    const [first = NaN, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return all.length >= count ? all.slice(0, count).join() : undefined;
}

/** Every framework's own way to say it. */
const threadVariables = [
  'KERAS_OPTIMIZERS_NUM_THREADS',
  'OMP_NUM_THREADS',
  'TF_NUM_INTRAOP_THREADS',
  'TF_NUM_INTEROP_THREADS',
];

/** Starts the command on so many processors and threads, and waits until it is ready. */
export async function start(command: readonly string[], threads: number): Promise<Contestant> {
  const bound = processors(threads);
  const [file = '', ...args] = bound === undefined ? command : ['taskset', '-c', bound, ...command];
  const env = { ...process.env, ...Object.fromEntries(threadVariables.map((name) => [name, `${threads}`])) };
  const begin = performance.now();
  const child = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (text: Buffer) => (complaints += text.toString()));
  child.on('error', (error) => (complaints += error.message));
  child.stdin.on('error', () => undefined); // it has ended; the missing answer tells
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async (): Promise<unknown> => {
    const line = await lines.next();
    if (line.done) throw new Error(`${command.join(' ')} ended without an answer\n${complaints.slice(-2000)}`);
    return JSON.parse(line.value);
  };
  const { versions } = (await answer()) as { versions: string };
  return {
    versions,
    startSeconds: (performance.now() - begin) / 1000,
    epoch: async () => {
      child.stdin.write('epoch\n');
      return (await answer()) as Answer;
    },
    end: () => child.stdin.end(),
  };
}
