// The trainings side by side, as Markdown that reads well on a terminal too.
import type { History } from './history.ts';

export interface Training {
  readonly history: History;
  /** A key of `schedules`. */
  readonly schedule: string;
}

interface Column {
  readonly head: string;
  /** Differs from run to run. */
  readonly isTime?: boolean;
  readonly cell: (history: History, schedule: string) => string;
}

const columns: readonly Column[] = [
  { head: 'optimizer', cell: ({ name }) => name },
  { head: 'schedule', cell: (_, schedule) => schedule },
  { head: 'peak rate', cell: ({ peakRate }) => `${Number(peakRate.toPrecision(3))}` },
  { head: 'training loss', cell: ({ last }) => last.train.loss.toFixed(4) },
  { head: 'test loss', cell: ({ last }) => last.test.loss.toFixed(4) },
  { head: 'test accuracy in %', cell: ({ last }) => (100 * last.test.accuracy).toFixed(2) },
  { head: 'seconds', isTime: true, cell: ({ seconds }) => seconds.toFixed(1) },
  { head: 'us of a step', isTime: true, cell: ({ microseconds }) => microseconds.toFixed(0) },
];
const kWords = 2; // columns from the left; the others are numbers, to the right

/** A row for each; `timed`: with the times, which other work on the machine changes. */
export function table(trainings: readonly Training[], timed: boolean): string {
  const shown = columns.filter(({ isTime = false }) => timed || !isTime);
  const body = trainings.map(({ history, schedule }) => shown.map(({ cell }) => cell(history, schedule)));
  const rows = [shown.map(({ head }) => head), ...body];
  const widths = shown.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const pad = (text: string, i: number) => (i < kWords ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0));
  const [head, ...lines] = rows.map((row) => `| ${row.map(pad).join(' | ')} |`);
  const rule = widths.map((width, i) => (i < kWords ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [head, `| ${rule.join(' | ')} |`, ...lines].join('\n');
}
