// The table on the terminal: one for each rule, a line for each driver, a group of columns for each size.
import { median, quantile } from './measure.ts';
import type { Measurement } from './trial.ts';

export interface Outcome {
  readonly rule: string;
  readonly elements: number;
  readonly measurements: readonly Measurement[];
}

/** What the samples of a driver say. */
export interface Summary {
  readonly nanosecondsAnElement: number;
  readonly gigabytesASecond: number;
  /** Median over the rounds of its time divided by that of the traffic loop in the same round; null without that loop. */
  readonly timesTraffic: number | null;
  /** The middle half of the samples, as a part of the median. */
  readonly spread: number;
}

export function summary({ bytes, seconds }: Measurement, { elements, measurements }: Outcome): Summary {
  const middle = median(seconds);
  const traffic = measurements.find(({ name }) => name === 'traffic')?.seconds;
  const ratios = traffic?.map((limit, round) => (seconds[round] as number) / limit);
  return {
    nanosecondsAnElement: (middle / elements) * 1e9,
    gigabytesASecond: bytes / middle / 1e9,
    timesTraffic: ratios === undefined ? null : median(ratios),
    spread: (quantile(seconds, 0.75) - quantile(seconds, 0.25)) / middle,
  };
}

/** 262144 as 256K. */
export function sizeName(elements: number): string {
  if (elements % 2 ** 20 === 0) return `${elements / 2 ** 20}M`;
  return elements % 2 ** 10 === 0 ? `${elements / 2 ** 10}K` : `${elements}`;
}

const kNoisy = 0.2;

/** Three digits. */
const short = (x: number): string => (x >= 100 ? x.toFixed(0) : x.toFixed(x >= 10 ? 1 : x >= 1 ? 2 : 3));

const columns = (time: string, rate: string, ratio: string): string =>
  time.padStart(9) + rate.padStart(7) + ratio.padStart(8);

function cell(outcome: Outcome, driver: string): string {
  const measurement = outcome.measurements.find(({ name }) => name === driver);
  if (measurement === undefined) return columns('-', '', '');
  const { nanosecondsAnElement, gigabytesASecond, timesTraffic, spread } = summary(measurement, outcome);
  const ratio = timesTraffic === null ? '' : `${timesTraffic.toFixed(timesTraffic >= 100 ? 0 : 2)}x`;
  return columns(`${spread > kNoisy ? '~' : ''}${short(nanosecondsAnElement)}`, short(gigabytesASecond), ratio);
}

/** The table of one rule, whose outcomes are given. */
export function table(title: string, outcomes: readonly Outcome[]): string {
  const names = [...new Set(outcomes.flatMap(({ measurements }) => measurements.map(({ name }) => name)))];
  const line = (name: string, text: (outcome: Outcome) => string): string =>
    (name.padEnd(11) + outcomes.map(text).join('')).trimEnd();
  return [
    title,
    line('', ({ elements }) => columns(sizeName(elements), '', '')),
    line('', () => columns('ns', 'GB/s', 'limit')),
    ...names.map((name) => line(name, (outcome) => cell(outcome, name))),
  ].join('\n');
}
