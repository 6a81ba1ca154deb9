// The table that a run ends with.
import type { Goal } from './goals.ts';
import type { Outcome } from './trial.ts';

const head = [
  'optimizer',
  'work',
  'norm',
  'ms',
  'wall ms',
  'GB/s',
  'copy',
  'of copy',
  'host us',
  'fused',
  'foreach',
  'graph',
];
const kLeft = 3; // columns of words

const times = (outcome: Outcome, lane: string): string => {
  const ratio = outcome.lanes[`torch ${lane}`]?.ours?.median;
  return ratio === undefined ? '' : `${ratio.toFixed(2)}x`;
};

const digits = (x: number | undefined): string => (x === undefined ? '' : x < 100 ? x.toPrecision(3) : x.toFixed(0));

const rowOf = (outcome: Outcome): string[] => [
  outcome.rule,
  outcome.work,
  outcome.clips ? 'global' : '',
  digits(outcome.lanes.ours?.gpu_ms.median),
  digits(outcome.lanes.ours?.wall_ms.median),
  outcome.step_gb_s.toFixed(0),
  outcome.copy_gb_s.toFixed(0),
  `${(100 * outcome.of_copy).toFixed(1)} %`,
  outcome.host_us.toFixed(1),
  ...['fused', 'foreach', 'graph'].map((lane) => times(outcome, lane)),
];

export function table(outcomes: readonly Outcome[]): string {
  const rows = [head, ...outcomes.map(rowOf)];
  const widths = head.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const pad = (cell: string, i: number): string =>
    i < kLeft ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0);
  return rows.map((row) => row.map(pad).join('  ')).join('\n');
}

export const goalLines = (goals: readonly Goal[]): string =>
  goals
    .map(({ goal, found, met }) => `${met === undefined ? '-     ' : met ? 'met   ' : 'MISSED'}  ${goal}: ${found}`)
    .join('\n');
