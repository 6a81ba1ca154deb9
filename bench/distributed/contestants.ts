// What takes part, as jobs that print lines: ours, the program in C, PyTorch. Each says why it cannot run here.
import { spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { python, pythonFailure, settings } from '../python.ts';
import type { Launcher } from './launchers.ts';

/** A number of a job: of a sum or a step of so many bytes or parameters. */
export interface Line {
  readonly who: string;
  readonly ranks: number;
  readonly what: 'allReduce' | 'step';
  /** Bytes of a sum, parameters of a step. */
  readonly of: number;
  /** Microseconds. */
  readonly us: number;
  /** Bytes that a rank sends in a step, and keeps as state; where it is known. */
  readonly sent?: number;
  readonly state?: number;
}

export interface Work {
  readonly sums: readonly number[];
  readonly steps: readonly number[];
}

export type Contestant = (ranks: number, work: Work) => Line[];

const pathOf = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

function outputOf(command: string, args: readonly string[], ranks: number): string {
  const env = settings(Math.max(1, Math.floor(availableParallelism() / ranks)));
  const { status, signal, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} ended with ${status ?? signal}: ${stderr}`);
}

interface Printed {
  readonly what: 'allReduce' | 'step';
  readonly mode?: string;
  readonly bytes?: number;
  readonly parameters?: number;
  readonly us?: number;
  readonly ms?: number;
  readonly sent?: number;
  readonly state?: number;
}

function linesOf(who: string, ranks: number, text: string): Line[] {
  const printed = text.split('\n').filter((line) => line.startsWith('{'));
  return printed.map((line) => {
    const { what, mode, bytes, parameters, us, ms = NaN, ...rest } = JSON.parse(line) as Printed;
    return {
      who: mode === undefined ? who : `${who} ${mode}`,
      ranks,
      what,
      of: bytes ?? parameters ?? NaN,
      us: us ?? 1000 * ms,
      ...rest,
    };
  });
}

const under = ({ command, options }: Launcher, ranks: number, program: readonly string[]): string =>
  outputOf(command, [...options, '-n', `${ranks}`, ...program], ranks);

export const ours =
  (launcher: Launcher): Contestant =>
  (ranks, work) =>
    linesOf('ours', ranks, under(launcher, ranks, [process.execPath, pathOf('rank.mjs'), JSON.stringify(work)]));

/** The program in C, compiled; a text says why it is not. */
export function inC(launcher: Launcher): Contestant | string {
  const program = join(mkdtempSync(join(tmpdir(), 'collectives-')), 'collectives');
  const compiler = launcher.command.replace('mpirun', 'mpicc');
  const { error, status, stderr } = spawnSync(compiler, ['-O3', pathOf('collectives.c'), '-o', program], {
    encoding: 'utf8',
  });
  if (error !== undefined || status !== 0) return `not run: collectives.c, ${error?.message ?? stderr}`;
  const names: Readonly<Record<string, string>> = { allReduce: 'the same in C', MPI_Allreduce: 'MPI_Allreduce' };
  return (ranks, { sums }) => {
    if (sums.length === 0) return [];
    const text = under(launcher, ranks, [program, Object.keys(names).join(), ...sums.map(String)]);
    return text.split('\n').flatMap((line) => {
      const [name = '', bytes, us] = line.split(' ');
      const who = names[name];
      return who === undefined ? [] : [{ who, ranks, what: 'allReduce', of: Number(bytes), us: Number(us) }];
    });
  };
}

/** PyTorch; a text says why it is not there. */
export function torch(): Contestant | string {
  const reason = pythonFailure() ?? importFailure();
  if (reason !== undefined) return `not run: PyTorch, ${reason}`;
  return (ranks, { steps }) =>
    linesOf('PyTorch', ranks, outputOf(python, [pathOf('step.py'), `${ranks}`, ...steps.map(String)], ranks));
}

function importFailure(): string | undefined {
  const script = 'import torch.distributed as d; assert d.is_gloo_available()';
  const { status, stderr } = spawnSync(python, ['-c', script], { encoding: 'utf8' });
  return status === 0 ? undefined : stderr.trim().split('\n').at(-1);
}
