// The trainings side by side, as Markdown that reads well on a terminal too.
import type { History } from './history.ts';

export interface Training {
  readonly history: History;
  /** A key of `schedules`. */
  readonly schedule: string;
}

interface Column {
  readonly head: string;
  readonly cell: (history: History, schedule: string) => string;
}

const columns: readonly Column[] = [
  { head: 'optimizer', cell: ({ name }) => name },
  { head: 'schedule', cell: (_, schedule) => schedule },
  { head: 'peak rate', cell: ({ peakRate }) => `${Number(peakRate.toPrecision(3))}` },
  { head: 'training loss', cell: ({ last }) => last.train.loss.toFixed(4) },
  { head: 'test loss', cell: ({ last }) => last.test.loss.toFixed(4) },
  { head: 'test accuracy in %', cell: ({ last }) => (100 * last.test.accuracy).toFixed(2) },
  { head: 'seconds', cell: ({ seconds }) => seconds.toFixed(1) },
  { head: 'us of a step', cell: ({ microseconds }) => microseconds.toFixed(0) },
];
const kWords = 2; // columns from the left; the others are numbers, to the right

/** A row for each. */
export function table(trainings: readonly Training[]): string {
  const body = trainings.map(({ history, schedule }) => columns.map(({ cell }) => cell(history, schedule)));
  const rows = [columns.map(({ head }) => head), ...body];
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const pad = (text: string, i: number) => (i < kWords ? text.padEnd(widths[i] ?? 0) : text.padStart(widths[i] ?? 0));
  const [head, ...lines] = rows.map((row) => `| ${row.map(pad).join(' | ')} |`);
  const rule = widths.map((width, i) => (i < kWords ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [head, `| ${rule.join(' | ')} |`, ...lines].join('\n');
}
