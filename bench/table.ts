// The table of a trial on the terminal: a line for each driver.
import type { Figure } from './figures.ts';
import type { Measurement, Outcome } from './trial.ts';

/** Three digits. */
export const short = (x: number): string =>
  Math.abs(x) >= 100 ? x.toFixed(0) : x.toFixed(Math.abs(x) >= 10 ? 1 : Math.abs(x) >= 1 ? 2 : 3);

export const times = (x: number): string => `${x >= 100 ? x.toFixed(0) : x >= 0.1 ? x.toFixed(2) : x.toPrecision(2)}x`;

/** 262144 as 256K. */
export function sizeName(elements: number): string {
  if (elements % 2 ** 20 === 0) return `${elements / 2 ** 20}M`;
  return elements % 2 ** 10 === 0 ? `${elements / 2 ** 10}K` : elements.toLocaleString('en-US');
}

export const threadsName = (threads: number): string => `${threads} thread${threads > 1 ? 's' : ''}`;

export const titleOf = ({ rule, work, variant, threads, tensors, elements, bytes }: Outcome): string =>
  `${rule}${variant === 'plain' ? '' : ` with ${variant}`}, ${work}, ${threadsName(threads)}` +
  ` (${tensors > 1 ? `${tensors} tensors, ` : ''}${sizeName(elements)} elements${bytes > 0 ? `, ${bytes} bytes an element` : ''})`;

/** With the rule that a driver does, if another. */
export const nameOf = ({ driver, as }: Measurement): string => (as === undefined ? driver : `${driver} (${as})`);

const kNoisy = 0.2;
const kName = 28; // characters, at least

const columns = (...texts: string[]): string => texts.map((text) => text.padStart(11)).join('');

function line(measurement: Measurement, { elements, bytes }: Outcome, width: number): string {
  const { seconds, limit, ours, driver } = measurement;
  const noisy = seconds.high - seconds.low > kNoisy * seconds.median ? '~' : '';
  const nanoseconds = (1e9 * seconds.median) / elements;
  // One half of the arrays is copied onto the other, which is less than the step moves; the other loops' traffic is as named.
  const rate = driver === 'read' || driver === 'memcpy' || bytes === 0 ? '' : short(bytes / nanoseconds);
  const cells = [`${noisy}${short(1e6 * seconds.median)}`, short(nanoseconds), rate];
  return (
    nameOf(measurement).padEnd(width) + columns(...cells, ...[limit, ours].map((one) => (one ? times(one.median) : '')))
  );
}

export const figureText = ({ median, unit }: Figure): string => (unit === 'x' ? times(median) : `${short(median)} us`);

export function table(outcome: Outcome): string {
  const width = Math.max(kName, ...outcome.measurements.map((one) => nameOf(one).length));
  return [
    titleOf(outcome),
    ''.padEnd(width) + columns('us', 'ns/element', 'GB/s', 'limit', 'ours'),
    ...outcome.measurements.map((measurement) => line(measurement, outcome, width)),
    ...outcome.figures.map((figure) => `  ${figure.name}: ${figureText(figure)}`),
    ...outcome.skipped.map((reason) => `  skipped: ${reason}`),
    ...outcome.wrong.map((reason) => `  WRONG: ${reason}`),
    '',
  ].join('\n');
}
