// Line charts as SVG: panels one above the other over a common x axis.
import { linear, logarithmic, marked, type Axis, type Mark } from './axis.ts';
import { frame, kHead, kLine, kMargin, kWidth, rule, text, type Color, type Head } from './svg.ts';

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly points: readonly Point[];
  readonly color: Color;
  /** Stands beside the last point. */
  readonly label?: string;
  /** faint: thin, and without a say in the range of the y axis; dotted: with a dot at every point. */
  readonly look?: 'faint' | 'dotted';
  /** Tells lines of like colours apart. */
  readonly dashed?: boolean;
}

export interface Panel {
  /** What its y axis shows. */
  readonly title: string;
  readonly height: number; // pixels
  /** Logarithmic y axis, which leaves out points that are not positive. */
  readonly log?: boolean;
  readonly series: readonly Series[];
}

export interface Chart extends Head {
  /** What the x axis shows. */
  readonly x: string;
  /** Makes the x axis logarithmic, with these ticks. */
  readonly marks?: readonly Mark[];
  readonly panels: readonly Panel[];
}

const kLeft = 76; // pixels, as all that follow
const kLabels = 140; // the least width that labels beside the lines have
const kLetter = 8.5; // of a label, in the widest of the fonts
const kTitle = 32; // of a panel
const kGap = 28;
const kFoot = 42;
const kMaxPoints = 1500; // of a line: two for each pixel of the width

/** The text of an SVG file. */
export function lineChart({ x, marks, panels, ...head }: Chart): string {
  const all = panels.flatMap(({ series }) => series);
  const points = all.flatMap((one) => one.points);
  const longest = Math.max(...all.map(({ label }) => label?.length ?? 0));
  const span = { start: kLeft, end: kWidth - Math.max(kLabels, 14 + kLetter * longest), count: 10 };
  const across = marks === undefined ? linear(first(points), span) : marked(first(points), span, marks);
  let bottom = kHead - kGap;
  const drawn = panels.map((panel) => drawPanel(panel, across, span.end, (bottom += kGap + kTitle + panel.height)));
  return frame(head, bottom + kFoot, [
    ...drawn,
    ...across.ticks.map((tick) => text('tick middle', tick.place, bottom + 20, tick.text)),
    text('panel', span.end + 14, bottom + 20, x),
  ]);
}

function drawPanel({ title, height, log, series }: Panel, across: Axis, right: number, bottom: number): string {
  const top = bottom - height;
  const values = second(series.flatMap(({ look, points }) => (look === 'faint' ? [] : points)));
  const up = (log ? logarithmic : linear)(values, { start: bottom, end: top, count: height / 36 });
  return [
    text('panel', kMargin, top - 14, title),
    ...across.ticks.map(({ place }) => rule('grid', place, bottom, place, top)),
    ...up.ticks.map(({ place }) => rule('grid', kLeft, place, right, place)),
    ...up.ticks.map((tick) => text('tick end', kLeft - 10, tick.place + 4, tick.text)),
    rule('axis', kLeft, bottom, right, bottom),
    ...series.map((one) => drawLine(one, across, up)),
    ...drawLabels(series, up, right, bottom),
  ].join('\n');
}

function drawLine({ points, color, look, dashed }: Series, across: Axis, up: Axis): string {
  const every = Math.ceil(points.length / kMaxPoints);
  const places = points
    .filter((_, i) => i % every === 0 || i === points.length - 1)
    .map(([x, y]) => [across.place(x).toFixed(1), up.place(y).toFixed(1)] as const)
    .filter((place) => !place.includes('NaN'));
  const dots = look === 'dotted' ? places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="4"/>`) : [];
  const dashes = dashed ? ' stroke-dasharray="7 3"' : '';
  const path = places.length > 1 ? `<path class="${look ?? ''}"${dashes} d="M${places.join(' ')}"/>` : '';
  return `<g class="${color}">${path}${dots.join('')}</g>`;
}

/** From top to bottom, each moved where it would touch another or leave the panel; a thin line leads to one moved far. */
function drawLabels(series: readonly Series[], up: Axis, right: number, bottom: number): string[] {
  const labels = series
    .flatMap(({ label, color, points }) =>
      label ? { label, color, end: up.place(points.at(-1)?.[1] ?? NaN), y: 0 } : [],
    )
    .filter(({ end }) => !Number.isNaN(end))
    .sort((a, b) => a.end - b.end);
  let free = -Infinity;
  for (const one of labels) free = (one.y = Math.max(one.end, free)) + kLine;
  free = bottom;
  for (const one of labels.toReversed()) free = (one.y = Math.min(one.y, free)) - kLine;
  return labels.map(({ label, color, end, y }) => {
    const [x1, x2] = [right + 2, right + 12].map((x) => x.toFixed(1));
    const lead = `<line x1="${x1}" y1="${end.toFixed(1)}" x2="${x2}" y2="${y.toFixed(1)}" stroke="currentColor"/>`;
    const far = Math.abs(y - end) > kLine / 2;
    return `<g class="${color}">${far ? lead : ''}${text('label', right + 14, y + 4, label)}</g>`;
  });
}

const first = (points: readonly Point[]): number[] => points.map(([x]) => x);
const second = (points: readonly Point[]): number[] => points.map(([, y]) => y);
