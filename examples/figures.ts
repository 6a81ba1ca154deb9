// The charts: of one training, and of several over each other.
import { lineChart, type Panel, type Point, type Series } from '../lib/charts/lines.ts';
import { colors } from '../lib/charts/svg.ts';
import type { History } from './history.ts';

/** The text of an SVG file: losses, accuracies and rate of one training. */
export function figureOfOne(history: History, title: string, subtitle: string): string {
  return lineChart({ title, subtitle, x: 'epoch', panels: [lossOf(history), accuracyOf(history), rateOf(history)] });
}

function lossOf(history: History): Panel {
  const train = history.smoothedLosses;
  const test = history.perEpoch(({ test: { loss } }) => loss);
  return {
    title: 'Loss, logarithmic; faint: every step',
    height: 220,
    log: true,
    series: [
      { points: history.losses, color: 'blue', look: 'faint' },
      { points: train, color: 'blue', label: `training ${last(train).toFixed(3)}` },
      { points: test, color: 'orange', look: 'dotted', label: `test ${last(test).toFixed(3)}` },
    ],
  };
}

function accuracyOf(history: History): Panel {
  const train = history.perEpoch(({ train: { accuracy } }) => 100 * accuracy);
  const test = history.perEpoch(({ test: { accuracy } }) => 100 * accuracy);
  return {
    title: 'Accuracy in %',
    height: 170,
    series: [
      { points: train, color: 'blue', look: 'dotted', label: `training ${last(train).toFixed(2)}` },
      { points: test, color: 'orange', look: 'dotted', label: `test ${last(test).toFixed(2)}` },
    ],
  };
}

function rateOf({ rates }: History): Panel {
  const label = `${Number(last(rates).toPrecision(2))}`;
  return { title: 'Learning rate', height: 120, series: [{ points: rates, color: 'green', label }] };
}

/** What is shown of every training in a panel of its own. */
interface Shown {
  readonly title: string;
  readonly points: (history: History) => Point[];
  readonly digits: number;
  readonly height: number;
  readonly look?: 'dotted';
}

const shown: readonly Shown[] = [
  {
    title: 'Training loss, smoothed, logarithmic',
    points: ({ smoothedLosses }) => thinned(smoothedLosses),
    digits: 3,
    height: 420,
  },
  {
    title: 'Test loss, logarithmic',
    points: (history) => history.perEpoch(({ test: { loss } }) => loss),
    digits: 3,
    height: 320,
    look: 'dotted',
  },
  {
    title: 'Test error in %, logarithmic',
    points: (history) => history.perEpoch(({ test: { accuracy } }) => 100 * (1 - accuracy)),
    digits: 2,
    height: 320,
    look: 'dotted',
  },
];

/** The text of an SVG file: a line for each training in every panel. */
export function figureOfAll(histories: readonly History[], title: string, subtitle: string): string {
  const panels = shown.map(({ title, points, digits, height, look }): Panel => {
    const series = histories.map((history, i): Series => {
      const line = points(history);
      const label = `${history.name} ${last(line).toFixed(digits)}`;
      return { points: line, label, ...(look && { look }), ...styleOf(i) };
    });
    return { title, height, log: true, series };
  });
  return lineChart({ title, subtitle, x: 'epoch', panels });
}

function styleOf(i: number): Pick<Series, 'color' | 'dashed'> {
  return { color: colors[i % colors.length] ?? 'grey', dashed: i % 2 === 1 };
}

/** At most about 200 of them, with the last one. */
const thinned = (points: readonly Point[]): Point[] => {
  const every = Math.ceil(points.length / 200);
  return points.filter((_, i) => (points.length - 1 - i) % every === 0);
};
const last = (points: readonly Point[]): number => points.at(-1)?.[1] ?? NaN;
