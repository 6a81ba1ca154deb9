// The charts of a result: time and ratio over the size of one tensor, and bars of what others take beside ours.
import { barChart, type Group } from '../charts/bars.ts';
import { lineChart, type Point, type Series } from '../lib/charts/lines.ts';
import type { Color } from '../lib/charts/svg.ts';
import { byRule, type Trial } from './report_trials.ts';
import type { Result } from './run.ts';
import { nameOf, short, sizeName, threadsName } from './table.ts';
import type { Measurement } from './trial.ts';

export interface Drawing {
  readonly name: string;
  readonly title: string;
  readonly svg: string;
}

/** What is drawn of the drivers, in this order. */
const colors: Readonly<Record<string, Color>> = {
  traffic: 'grey',
  ours: 'blue',
  'ours:arrays': 'teal',
  optax: 'green',
  'torch:fused': 'pink',
  'torch:foreach': 'purple',
  'keras:jit': 'orange',
  'keras:function': 'red',
  'keras:eager': 'brown',
  'tfjs:wasm': 'lime',
  javascript: 'indigo',
};
const kShown = 3; // trials of one tensor from which on a line says something

const labels: Readonly<Record<string, string>> = { traffic: 'the limit', ours: 'ours', 'ours:arrays': 'ours, arrays' };
const labelOf = ({ driver, as }: Measurement): string => (labels[driver] ?? driver) + (as === undefined ? '' : ' *');

/** On which machine, when, by what. */
export function subtitleOf(results: readonly Result[]): string {
  const unique = (texts: readonly string[]): string => [...new Set(texts)].join(', ');
  const by =
    results.length === 1 ? unique(results.map(({ command }) => command)) : `npm run bench, ${results.length} times`;
  return `${unique(results.map(({ cpu }) => cpu))}, ${unique(results.map(({ date }) => date.slice(0, 10)))}, ${by}`;
}

/** What a chart goes along. */
interface Along {
  readonly name: 'elements' | 'tensors';
  /** After the rule's name, and in the file's. */
  readonly title: string;
  readonly file: string;
  readonly of: (trials: readonly Trial[]) => readonly Trial[];
}

const kDivided = 2 ** 20; // elements in all, which lists of tensors divide among them
const alongs: readonly Along[] = [
  {
    name: 'elements',
    title: 'one step of one tensor',
    file: 'size',
    of: (trials) => trials.filter(({ tensors }) => tensors === 1),
  },
  {
    name: 'tensors',
    title: 'one step of 1M elements, in one tensor or in many',
    file: 'count',
    of: (trials) => trials.filter(({ elements }) => elements === kDivided),
  },
];

function seriesOf(
  trials: readonly Trial[],
  along: Along,
  value: (of: Measurement, trial: Trial) => number | undefined,
): Series[] {
  return Object.entries(colors).flatMap(([driver, color]) => {
    const found = trials.flatMap((trial) => {
      const measurement = trial.measurements.find((one) => one.driver === driver);
      const y = measurement && value(measurement, trial);
      return measurement === undefined || y === undefined
        ? []
        : [{ measurement, point: [trial[along.name], y] as Point }];
    });
    const [last, points] = [found.at(-1), found.map(({ point }) => point)];
    return last === undefined ? [] : [{ points, color, label: labelOf(last.measurement), look: 'dotted' as const }];
  });
}

function over(along: Along, results: readonly Result[], group: readonly Trial[]): Drawing[] {
  const sorted = [...along.of(group)].sort((a, b) => a[along.name] - b[along.name]);
  const [first] = sorted;
  if (first === undefined || sorted.length < kShown) return [];
  const title = `${first.rule}: ${along.title}, ${threadsName(first.threads)}`;
  const svg = lineChart({
    title,
    subtitle: subtitleOf(results),
    x: along.name,
    marks: sorted.map((trial) => ({ at: trial[along.name], text: sizeName(trial[along.name]) })),
    panels: [
      {
        title: 'Nanoseconds an element, logarithmic; *: a rule like it',
        height: 320,
        log: true,
        series: seriesOf(sorted, along, ({ seconds }, { elements }) => (1e9 * seconds.median) / elements),
      },
      {
        title: 'Times the limit of the same round, logarithmic',
        height: 320,
        log: true,
        series: seriesOf(sorted, along, ({ driver, limit }) => (driver === 'traffic' ? undefined : limit?.median)),
      },
    ],
  });
  return [{ name: `${first.rule}-${along.file}-${first.threads}`, title, svg }];
}

function besidePeers(results: readonly Result[], trials: readonly Trial[]): Drawing[] {
  const [first] = trials;
  const groups = trials.map(groupOf).filter(({ bars }) => bars.length > 0);
  if (first === undefined || groups.length === 0) return [];
  const title = `${first.rule}: a step elsewhere, times ours, ${threadsName(first.threads)}, logarithmic`;
  const svg = barChart({ title, subtitle: subtitleOf(results) }, groups);
  return [{ name: `${first.rule}-peers-${first.threads}`, title, svg }];
}

function groupOf({ work, measurements }: Trial): Group {
  const bars = measurements
    .filter(({ driver }) => driver in colors && !(driver in labels))
    .flatMap((measurement) => {
      const { driver, ours } = measurement;
      const [color, value] = [colors[driver], ours?.median];
      return color === undefined || value === undefined
        ? []
        : [{ label: nameOf(measurement), value, text: `${short(value)}x`, color }];
    });
  return { title: work, bars: bars.sort((a, b) => a.value - b.value) };
}

/** Up to three for each rule and number of threads. */
export function charts(results: readonly Result[], trials: readonly Trial[]): Drawing[] {
  return byRule(trials).flatMap((group) => [
    ...alongs.flatMap((along) => over(along, results, group)),
    ...besidePeers(results, group),
  ]);
}
