// What all charts share: the frame, the colours, dark where the reader's system is, and the marks.

export const colors = [
  'blue',
  'orange',
  'green',
  'purple',
  'red',
  'teal',
  'pink',
  'brown',
  'lime',
  'indigo',
  'grey',
] as const;
export type Color = (typeof colors)[number];

export interface Head {
  readonly title: string;
  readonly subtitle: string;
}

export const kWidth = 900; // pixels, as all that follow
export const kMargin = 28;
export const kHead = 84;
export const kLine = 17; // of text

const style = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #5b6472 }
  .title { font-size: 21px } .title, .panel { font-weight: 600; fill: #18202c } .label { font-weight: 600; fill: currentColor }
  .tick { font-size: 12px } .end { text-anchor: end } .middle { text-anchor: middle }
  .paper { fill: #fff } .blue { color: #2563eb } .orange { color: #ea580c } .green { color: #0d9464 }
  .purple { color: #7c3aed } .red { color: #dc2626 } .teal { color: #0891b2 } .pink { color: #db2777 }
  .brown { color: #92650f } .lime { color: #5f9410 } .indigo { color: #4338ca } .grey { color: #6b7280 }
  .grid { stroke: #e7eaee } .axis { stroke: #98a1ad } circle { fill: currentColor; stroke: #fff; stroke-width: 1.5 }
  path { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round } .faint { stroke-width: 1; opacity: 0.22 }
  @media (prefers-color-scheme: dark) {
    text { fill: #9aa5b3 } .title, .panel { fill: #e8edf3 } .label { fill: currentColor } circle { stroke: #0f141b }
    .paper { fill: #0f141b } .blue { color: #6ea8fe } .orange { color: #fb9a4b } .green { color: #3ecf99 }
    .purple { color: #b794f6 } .red { color: #f87171 } .teal { color: #4cc9e0 } .pink { color: #f472b6 }
    .brown { color: #d6a64f } .lime { color: #a3d33f } .indigo { color: #8f88f7 } .grey { color: #9aa5b3 }
    .grid { stroke: #232b36 } .axis { stroke: #5c6775 }
  }
`;

/** The text of an SVG file of that height. */
export function frame({ title, subtitle }: Head, height: number, body: readonly string[]): string {
  const size = `width="${kWidth}" height="${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${kWidth} ${height}" ${size} role="img">`,
    `<title>${escape(title)}</title><style>${style}</style><rect class="paper" ${size} rx="8"/>`,
    text('title', kMargin, 40, title) + text('', kMargin, 64, subtitle),
    ...body,
    '</svg>\n',
  ].join('\n');
}

const escape = (raw: string): string => raw.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
export const text = (names: string, x: number, y: number, content: string): string =>
  `<text class="${names}" x="${x.toFixed(1)}" y="${y.toFixed(1)}">${escape(content)}</text>`;
export const rule = (names: string, x1: number, y1: number, x2: number, y2: number): string =>
  `<line class="${names}" x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}"/>`;
