// A line as characters, for terminals: braille of 2 x 4 dots each, or ASCII.
import { linear, type Axis } from './axis.ts';
import type { Point } from './lines.ts';

/** What the terminal shows. */
export interface Look {
  /** Of a line, in characters. */
  readonly width: number;
  /** Lines of the curve, without the axis below. */
  readonly height: number;
  /** Without braille and lines of boxes. */
  readonly ascii: boolean;
}

interface Cell {
  readonly width: number;
  readonly height: number;
  /** The character with these dots, which are the bits y * width + x. */
  readonly show: (dots: number) => string;
}

const kBits = [0x01, 0x08, 0x02, 0x10, 0x04, 0x20, 0x40, 0x80]; // of the braille patterns, in the order of the dots
const braille: Cell = {
  width: 2,
  height: 4,
  show: (dots) =>
    dots === 0 ? ' ' : String.fromCharCode(kBits.reduce((sum, bit, i) => sum + ((dots >> i) & 1) * bit, 0x2800)),
};
const ascii: Cell = { width: 1, height: 1, show: (dots) => (dots === 0 ? ' ' : '*') };

const boxes = { up: '\u2502', mark: '\u2524', corner: '\u2514', across: '\u2500', below: '\u252c' };
const plain = { up: '|', mark: '+', corner: '+', across: '-', below: '+' };

const kLabels = 12; // characters that a tick of the lower axis has to itself
const kLines = 4; // the same of the left one

/**
 * Lines of text: the curve, the axes, and their ticks.
 *
 * @param points in the order of x; those that are not finite are left out
 * @param x what the lower axis shows
 * @param color of the curve
 */
export function characters(
  points: readonly Point[],
  x: string,
  look: Look,
  color = (text: string): string => text,
): string[] {
  const cell = look.ascii ? ascii : braille;
  const frame = look.ascii ? plain : boxes;
  const { height } = look;
  const finite = points.filter((point) => point.every(Number.isFinite));
  const values = finite.map(([, y]) => y);
  const up = linear(values, { start: height * cell.height - 1, end: 0, count: height / kLines });
  const margin = Math.max(...up.ticks.map(({ text }) => text.length));
  const width = Math.max(look.width - margin - 3 - x.length, kLabels);
  const across = linear(
    finite.map(([at]) => at),
    { start: 0, end: width * cell.width - 1, count: width / kLabels },
  );
  const rows = drawn(finite, across, up, width, height, cell);
  const marks = new Map(up.ticks.map(({ place, text }) => [Math.floor(place / cell.height + 1e-9), text]));
  return [
    ...rows.map((row, i) => {
      const text = marks.get(i);
      return `${(text ?? '').padStart(margin)} ${text === undefined ? frame.up : frame.mark}${color(row)}`.trimEnd();
    }),
    ...below(across, x, width, margin, cell, frame),
  ];
}

/** The curve, which is straight between two points. */
function drawn(points: readonly Point[], across: Axis, up: Axis, width: number, height: number, cell: Cell): string[] {
  const dots = new Uint8Array(width * height);
  const light = (x: number, y: number): void => {
    const place = Math.floor(y / cell.height) * width + Math.floor(x / cell.width);
    dots[place] = (dots[place] as number) | (1 << ((y % cell.height) * cell.width + (x % cell.width)));
  };
  const places = points.map(([x, y]) => [Math.round(across.place(x)), Math.round(up.place(y))] as const);
  places.forEach(([x, y], i) => {
    const [x0, y0] = places[i - 1] ?? [x, y];
    const count = Math.max(x - x0, Math.abs(y - y0), 1); // dots of the longer side
    for (let k = 0; k <= count; k++)
      light(Math.round(x0 + ((x - x0) * k) / count), Math.round(y0 + ((y - y0) * k) / count));
  });
  return Array.from({ length: height }, (_, row) =>
    Array.from(dots.subarray(row * width, (row + 1) * width), cell.show).join(''),
  );
}

/** The lower axis, and its ticks, of which those are left out that have no room. */
function below({ ticks }: Axis, x: string, width: number, margin: number, cell: Cell, frame: typeof plain): string[] {
  const line = Array.from({ length: width }, () => frame.across);
  let text = '';
  for (const tick of ticks) {
    const column = Math.floor(tick.place / cell.width);
    const start = Math.min(
      column + margin + 2 - Math.floor(tick.text.length / 2),
      width + margin + 2 - tick.text.length,
    );
    if (start < text.length + (text === '' ? 0 : 1)) continue;
    line[column] = frame.below;
    text = text.padEnd(start) + tick.text;
  }
  return [`${' '.repeat(margin + 1)}${frame.corner}${line.join('')}`, `${text} ${x}`];
}
