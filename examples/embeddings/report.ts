// What the trainings came to: the figure, and two tables.
import { lineChart } from '../../lib/charts/lines.ts';
import { colors } from '../../lib/charts/svg.ts';
import type { Corpus } from './corpus.ts';
import { nearest } from './neighbours.ts';
import type { Training } from './training.ts';

const kShown = ['king', 'father', 'gold', 'bread', 'sea', 'sheep', 'moses', 'jerusalem', 'seven'];
const kNearest = 5; // words

/** The text of an SVG file: a line for each training. */
export function figureOf(trainings: readonly Training[], title: string, subtitle: string): string {
  const series = trainings.map(({ name, losses }, i) => ({
    points: losses,
    color: colors[i % colors.length] ?? ('grey' as const),
    look: 'dotted' as const,
    label: `${name} ${lastLoss(losses)}`,
  }));
  return lineChart({ title, subtitle, x: 'epoch', panels: [{ title: 'Loss of held-out pairs', height: 320, series }] });
}

/** A row for each training; then the neighbours of some words by the best. */
export function tablesOf(corpus: Corpus, trainings: readonly Training[]): string {
  const best = trainings.reduce((a, b) => (Number(lastLoss(b.losses)) < Number(lastLoss(a.losses)) ? b : a));
  return `${tableOf(trainings)}\n\n${neighboursOf(corpus, best)}`;
}

function tableOf(trainings: readonly Training[]): string {
  const rows = trainings.map(({ name, rate, losses, microseconds, share }) => [
    name,
    rate,
    lastLoss(losses),
    (100 * share).toFixed(1),
    microseconds.toFixed(0),
  ]);
  return markdown(['optimizer', 'rate', 'held-out loss', 'rows with a gradient in %', 'us of a step'], rows);
}

function neighboursOf(corpus: Corpus, { name, vectors }: Training): string {
  const rows = kShown.map((word) => [word, nearest(corpus, vectors, word, kNearest).join(', ')]);
  return markdown(['word', `nearest by ${name}`], rows);
}

const lastLoss = (losses: Training['losses']): string => (losses.at(-1)?.[1] ?? NaN).toFixed(4);

const markdown = (head: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
