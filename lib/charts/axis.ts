// Where the values of a chart's axis lie, and the round ones among them.
export interface Axis {
  readonly ticks: readonly { readonly place: number; readonly text: string }[];
  /** In pixels; values outside lie at the end of the axis. NaN for what has no place on it. */
  place(value: number): number;
}

/** A tick that is asked for. */
export interface Mark {
  readonly at: number;
  readonly text: string;
}

/** From the pixel `start` to the pixel `end`, with about `count` ticks. */
export interface Span {
  readonly start: number;
  readonly end: number;
  readonly count: number;
}

/** Begins and ends at a tick. */
export function linear(values: readonly number[], span: Span): Axis {
  let [least, most] = range(values);
  if (least === most) [least, most] = [Math.min(least, 0), Math.max(most, 0) || 1]; // a level line
  const step = roundStep((most - least) / span.count);
  const [first, last] = [Math.floor(least / step + 1e-9), Math.ceil(most / step - 1e-9)]; // in steps
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  const decimals = Math.max(0, -Math.floor(Math.log10(step)));
  const text = (tick: number) => (decimals > 6 ? `${Number(tick.toPrecision(3))}` : tick.toFixed(decimals));
  return axis((value) => (value / step - first) / (last - first), span, ticks, text);
}

/** Begins and ends a little outside the values, of which those <= 0 have no place. */
export function logarithmic(values: readonly number[], span: Span): Axis {
  const { low, high, share } = scale(values);
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) }, (_, i) => Math.floor(low) + i);
  const digits = digitsFor(span.count / (high - low));
  const ticks = decades.flatMap((decade) => digits.map((digit) => Number(`${digit}e${decade}`)));
  return axis(share, span, inside(ticks, share), String);
}

/** Of the ticks, when so many are wanted in a decade. */
function digitsFor(count: number): readonly number[] {
  if (count < 1.5) return [1];
  return count < 9 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 7];
}

/** The same with these ticks. */
export function marked(values: readonly number[], span: Span, marks: readonly Mark[]): Axis {
  const { share } = scale(values);
  const text = (tick: number): string => marks.find(({ at }) => at === tick)?.text ?? '';
  const ticks = marks.map(({ at }) => at);
  return axis(share, span, inside(ticks, share), text);
}

function scale(values: readonly number[]) {
  const [least, most] = range(values.filter((value) => value > 0));
  const [low, high] = [Math.log10(least / 1.2), Math.log10(most * 1.2)];
  return { low, high, share: (value: number) => (value > 0 ? (Math.log10(value) - low) / (high - low) : NaN) };
}

const inside = (ticks: readonly number[], share: (value: number) => number): number[] =>
  ticks.filter((tick) => share(tick) >= 0 && share(tick) <= 1);

function axis(
  share: (value: number) => number,
  { start, end }: Span,
  ticks: readonly number[],
  text: (tick: number) => string,
): Axis {
  const place = (value: number) => start + Math.min(Math.max(share(value), 0), 1) * (end - start);
  return { place, ticks: ticks.map((tick) => ({ place: place(tick), text: text(tick) })) };
}

/** The least of 1, 2, 5, 10, 20, ... that is no smaller. */
function roundStep(step: number): number {
  const decade = Math.floor(Math.log10(step));
  const digit = [1, 2, 5].find((candidate) => candidate >= step / 10 ** decade - 1e-9);
  return Number(digit === undefined ? `1e${decade + 1}` : `${digit}e${decade}`);
}

/** The least and the greatest finite number; 1 and 1 if there is none. */
function range(values: readonly number[]): readonly [number, number] {
  const finite = values.filter(Number.isFinite);
  const pick = (of: typeof Math.min) => finite.reduce((a, b) => of(a, b), finite[0] ?? 1);
  return [pick(Math.min), pick(Math.max)];
}
