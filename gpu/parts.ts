// The parts of a run, each a program of its own: what it is given, how long it may take.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { findExample } from './example.ts';
import { sibling } from './sibling.ts';

export interface Part {
  readonly name: string;
  /** The program and its arguments; or why there is nothing to run. */
  readonly command: readonly string[] | { readonly skipped: string };
  /** Seconds, after which it is ended and has failed. */
  readonly budget: number;
  /** Where the program leaves what it found; its text is all there is without. */
  readonly json?: string;
}

export interface Setting {
  readonly quick: boolean;
  readonly emulated: boolean;
  /** Where results go. */
  readonly output: string;
  readonly budgets: Readonly<Record<string, number>>;
}

/** Seconds; together they leave something of eight minutes. */
const budgets = { checks: 240, example: 90, soak: 60, memcheck: 80, racecheck: 80, benchmark: 210 } as const;
export type PartName = keyof typeof budgets;
export const partNames = Object.keys(budgets) as PartName[];

const kSoak = 'memory: constant';
/** A rule of each kind, reductions, rows and halves: every access is looked at, at a hundredth of the speed. */
const kSanitized = [
  'bits: (Nadam|Lamb), float32',
  'norms: gradient_norm',
  'gradients: bfloat16',
  'gradients: of some rows',
  'order: a read',
].join('|');

const program = (path: string, ...args: readonly string[]): string[] => [
  process.execPath,
  ...process.execArgv,
  path,
  ...args,
];
const node = (path: string, ...args: readonly string[]): string[] => program(sibling(import.meta.url, path), ...args);

function example({ quick, output }: Setting): Part['command'] {
  const found = findExample();
  return 'program' in found
    ? program(found.program, ...(quick ? found.quick : found.full), '--json', join(output, 'example.json'))
    : { skipped: found.missing };
}

/** NVIDIA's compute-sanitizer, in the path or where toolkits put it. */
function sanitizer(): string | undefined {
  const folders = [
    ...(process.env.PATH ?? '').split(delimiter),
    '/usr/local/cuda/bin',
    '/usr/local/cuda/compute-sanitizer',
    '/opt/cuda/bin',
  ];
  return folders.map((folder) => join(folder, 'compute-sanitizer')).find((path) => existsSync(path));
}

function sanitized(tool: string, { emulated, output }: Setting): Part['command'] {
  if (emulated) return { skipped: 'nothing runs on a GPU' };
  const found = sanitizer();
  if (found === undefined) return { skipped: 'there is no compute-sanitizer on this machine' };
  // Errors of calls are asked for and handled; --error-exitcode is for what kernels do.
  const options = ['--tool', tool, '--error-exitcode', '9', '--report-api-errors', 'no', '--print-limit', '20'];
  const json = join(output, `${tool}.json`);
  return [found, ...options, ...node('checks/run', '--small', '--seeds', '1', '--only', kSanitized, '--json', json)];
}

export function parts(setting: Setting): Part[] {
  const { quick, output } = setting;
  const json = (name: string): string => join(output, `${name}.json`);
  const small = quick ? ['--small', '--seeds', '1'] : [];
  const steps = quick ? '300' : '10000';
  const commands: Readonly<Record<PartName, Part['command']>> = {
    checks: node('checks/run', ...small, '--skip', kSoak, '--json', json('checks')),
    example: example(setting),
    soak: node('checks/run', '--seeds', '1', '--only', kSoak, '--steps', steps, '--json', json('soak')),
    memcheck: sanitized('memcheck', setting),
    racecheck: sanitized('racecheck', setting),
    benchmark: node(
      'bench/run',
      ...(quick ? ['--tiny', '--rounds', '3', '--sample', '0.005'] : ['--budget', '150']),
      ...['--json', json('benchmark')],
    ),
  };
  return partNames.map((name) => ({
    name,
    command: commands[name],
    budget: setting.budgets[name] ?? budgets[name],
    json: json(name),
  }));
}
