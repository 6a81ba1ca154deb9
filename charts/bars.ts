// Bar charts as SVG: groups one below the other, their bars on a logarithmic axis, from 1 to the right or
// to the left.
import { frame, kHead, kLine, kMargin, kWidth, rule, text, type Color, type Head } from '../lib/charts/svg.ts';

export interface Bar {
  readonly label: string;
  readonly value: number;
  /** Beside the bar's end. */
  readonly text: string;
  readonly color: Color;
}

export interface Group {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const kLeft = 190; // pixels, as all that follow
const kRight = kWidth - 110;
const kBar = 13; // thickness
const kStep = kLine + 4; // from bar to bar
const kTitle = 34; // of a group

/** The text of an SVG file. */
export function barChart(head: Head, groups: readonly Group[]): string {
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value));
  const [low, high] = [Math.min(1, ...values), Math.max(10, ...values)].map(Math.log10) as [number, number];
  const place = (value: number): number => kLeft + ((Math.log10(value) - low) / (high - low)) * (kRight - kLeft);
  const decades = Array.from({ length: Math.floor(high) + 1 }, (_, i) => 10 ** i);
  const bottom = kHead + groups.reduce((sum, { bars }) => sum + kTitle + bars.length * kStep, 0);
  let top = kHead;
  const drawn = groups.flatMap((group) => {
    const lines = drawGroup(group, top, place);
    top += kTitle + group.bars.length * kStep;
    return lines;
  });
  return frame(head, bottom + 44, [
    ...decades.map((decade) => rule('grid', place(decade), kHead, place(decade), bottom + 4)),
    ...decades.map((decade) => text('tick middle', place(decade), bottom + 22, `${decade}x`)),
    ...drawn,
  ]);
}

function drawGroup({ title, bars }: Group, top: number, place: (value: number) => number): string[] {
  const rows = bars.map(({ label, value, text: beside, color }, i) => {
    const y = top + kTitle + i * kStep;
    const [from, to] = [place(Math.min(1, value)), place(Math.max(1, value))];
    const size = `width="${(to - from).toFixed(1)}" height="${kBar}"`;
    const bar = `<rect x="${from.toFixed(1)}" y="${y - kBar + 2}" ${size} rx="2" fill="currentColor"/>`;
    return text('end', kLeft - 10, y, label) + `<g class="${color}">${bar}${text('label', to + 8, y, beside)}</g>`;
  });
  return [text('panel', kMargin, top + 12, title), ...rows];
}
