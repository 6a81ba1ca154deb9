// Line charts as SVG: panels one above the other over a common x axis; dark where the reader's system is.
import { linear, logarithmic, type Axis } from './axis.ts';

export type Point = readonly [x: number, y: number];

export interface Series {
  readonly points: readonly Point[];
  readonly color: 'blue' | 'orange' | 'green';
  /** Stands beside the last point. */
  readonly label?: string;
  /** faint: thin, and without a say in the range of the y axis; dotted: with a dot at every point. */
  readonly look?: 'faint' | 'dotted';
}

export interface Panel {
  /** What its y axis shows. */
  readonly title: string;
  readonly height: number; // pixels
  /** Logarithmic y axis, which leaves out points that are not positive. */
  readonly log?: boolean;
  readonly series: readonly Series[];
}

export interface Chart {
  readonly title: string;
  readonly subtitle: string;
  /** What the x axis shows. */
  readonly x: string;
  readonly panels: readonly Panel[];
}

const kWidth = 900; // pixels, as all that follow
const kMargin = 28;
const kLeft = 76;
const kRight = kWidth - 140;
const kHead = 84;
const kTitle = 32; // of a panel
const kGap = 28;
const kFoot = 42;
const kLine = 17; // of text
const kMaxPoints = 1500; // of a line: two for each pixel of the width

const style = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #5b6472 }
  .title { font-size: 21px } .title, .panel { font-weight: 600; fill: #18202c } .label { font-weight: 600; fill: currentColor }
  .tick { font-size: 12px } .end { text-anchor: end } .middle { text-anchor: middle }
  .paper { fill: #fff } .blue { color: #2563eb } .orange { color: #ea580c } .green { color: #0d9464 }
  .grid { stroke: #e7eaee } .axis { stroke: #98a1ad } circle { fill: currentColor; stroke: #fff; stroke-width: 1.5 }
  path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round } .faint { stroke-width: 1; opacity: 0.22 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9aa5b3 } .title, .panel { fill: #e8edf3 } .label { fill: currentColor } circle { stroke: #0f141b }
    .paper { fill: #0f141b } .blue { color: #6ea8fe } .orange { color: #fb9a4b } .green { color: #3ecf99 }
    .grid { stroke: #232b36 } .axis { stroke: #5c6775 }
  }
`;

/** The text of an SVG file. */
export function lineChart({ title, subtitle, x, panels }: Chart): string {
  const points = panels.flatMap(({ series }) => series.flatMap((one) => one.points));
  const across = linear(first(points), { start: kLeft, end: kRight, count: 10 });
  let bottom = kHead - kGap;
  const drawn = panels.map((panel) => drawPanel(panel, across, (bottom += kGap + kTitle + panel.height)));
  const size = `width="${kWidth}" height="${bottom + kFoot}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${kWidth} ${bottom + kFoot}" ${size} role="img">`,
    `<title>${escape(title)}</title><style>${style}</style><rect class="paper" ${size} rx="8"/>`,
    text('title', kMargin, 40, title) + text('', kMargin, 64, subtitle),
    ...drawn,
    ...across.ticks.map((tick) => text('tick middle', tick.place, bottom + 20, tick.text)),
    text('panel', kRight + 14, bottom + 20, x) + '</svg>\n',
  ].join('\n');
}

function drawPanel({ title, height, log, series }: Panel, across: Axis, bottom: number): string {
  const top = bottom - height;
  const values = second(series.flatMap(({ look, points }) => (look === 'faint' ? [] : points)));
  const up = (log ? logarithmic : linear)(values, { start: bottom, end: top, count: height / 36 });
  return [
    text('panel', kMargin, top - 14, title),
    ...across.ticks.map(({ place }) => rule('grid', place, bottom, place, top)),
    ...up.ticks.map(({ place }) => rule('grid', kLeft, place, kRight, place)),
    ...up.ticks.map((tick) => text('tick end', kLeft - 10, tick.place + 4, tick.text)),
    rule('axis', kLeft, bottom, kRight, bottom),
    ...series.map((one) => drawLine(one, across, up)),
    ...drawLabels(series, up),
  ].join('\n');
}

function drawLine({ points, color, look }: Series, across: Axis, up: Axis): string {
  const every = Math.ceil(points.length / kMaxPoints);
  const places = points
    .filter((_, i) => i % every === 0 || i === points.length - 1)
    .map(([x, y]) => [across.place(x).toFixed(1), up.place(y).toFixed(1)] as const)
    .filter((place) => !place.includes('NaN'));
  const dots = look === 'dotted' ? places.map(([x, y]) => `<circle cx="${x}" cy="${y}" r="4"/>`) : [];
  const path = places.length > 1 ? `<path class="${look ?? ''}" d="M${places.join(' ')}"/>` : '';
  return `<g class="${color}">${path}${dots.join('')}</g>`;
}

/** From top to bottom, each moved down where it would touch the one before. */
function drawLabels(series: readonly Series[], up: Axis): string[] {
  let free = -Infinity;
  return series
    .flatMap(({ label, color, points }) => (label ? { label, color, y: up.place(points.at(-1)?.[1] ?? NaN) } : []))
    .filter(({ y }) => !Number.isNaN(y))
    .sort((a, b) => a.y - b.y)
    .map(({ label, color, y }) => {
      const place = Math.max(y, free);
      free = place + kLine;
      return `<g class="${color}">${text('label', kRight + 14, place + 4, label)}</g>`;
    });
}

const first = (points: readonly Point[]): number[] => points.map(([x]) => x);
const second = (points: readonly Point[]): number[] => points.map(([, y]) => y);
const escape = (raw: string): string => raw.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
const text = (names: string, x: number, y: number, content: string): string =>
  `<text class="${names}" x="${x.toFixed(1)}" y="${y.toFixed(1)}">${escape(content)}</text>`;
const rule = (names: string, x1: number, y1: number, x2: number, y2: number): string =>
  `<line class="${names}" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"/>`;
