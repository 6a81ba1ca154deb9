// What the figures are to reach, each with what was found.
import { quantile } from '../../lib/bench/measure.ts';
import type { Outcome } from './trial.ts';

export interface Goal {
  readonly goal: string;
  readonly found: string;
  /** Undefined where it was not measured. */
  readonly met: boolean | undefined;
}

const kLarge = 1e8; // elements, from which on memory alone is the limit
const kClipped = (1.05 * 32) / 28; // a norm reads the gradients once more

/** The least or largest of the figures, and where it was found. */
function worst(
  all: readonly Outcome[],
  of: (outcome: Outcome) => number | undefined,
  better: 'more' | 'less',
): { readonly value: number; readonly where: string } | undefined {
  const found = all.flatMap((outcome) => {
    const value = of(outcome);
    return value === undefined || Number.isNaN(value) ? [] : [{ value, where: nameOf(outcome) }];
  });
  const sign = better === 'more' ? 1 : -1;
  return found.sort((a, b) => sign * (a.value - b.value))[0];
}

export const nameOf = ({ rule, work, clips }: Pick<Outcome, 'rule' | 'work' | 'clips'>): string =>
  `${rule} ${work}${clips ? ' clipped' : ''}`;

const times = (lane: string) => (outcome: Outcome) => outcome.lanes[lane]?.ours?.median;

/** Clipped steps over those without, of the same optimizer and work. */
function clipRatio(all: readonly Outcome[]) {
  return (clipped: Outcome): number | undefined => {
    const plain = all.find(({ rule, work, clips }) => rule === clipped.rule && work === clipped.work && !clips);
    return (clipped.lanes.ours?.gpu_ms.median ?? NaN) / (plain?.lanes.ours?.gpu_ms.median ?? NaN);
  };
}

export function goalsOf(all: readonly Outcome[]): Goal[] {
  const large = all.filter(({ elements }) => elements >= kLarge);
  const small = all.filter(({ work, clips }) => work === '10000x64' && !clips);
  const of = (
    goal: string,
    found: ReturnType<typeof worst>,
    met: (value: number) => boolean,
    show: (value: number) => string,
  ): Goal => ({
    goal,
    found: found === undefined ? 'not measured' : `${show(found.value)} (${found.where})`,
    met: found && met(found.value),
  });
  const percent = (x: number): string => `${(100 * x).toFixed(1)} %`;
  const factor = (x: number): string => `${x.toFixed(2)} times`;
  const microseconds = (x: number): string => `${x.toFixed(1)} us`;
  const clipped = large.filter(({ clips }) => clips);
  const ours = ({ lanes }: Outcome): number | undefined => 1000 * (lanes.ours?.gpu_ms.median ?? NaN);
  return [
    of(
      'at least 93 % of the copy, from 1e8 elements on',
      worst(large, (x) => x.of_copy, 'more'),
      (x) => x >= 0.93,
      percent,
    ),
    of('never behind AdamW(fused=True)', worst(all, times('torch fused'), 'more'), (x) => x >= 1, factor),
    of('at least 2 times NAdam(foreach=True)', worst(all, times('torch foreach'), 'more'), (x) => x >= 2, factor),
    of('10,000 tensors of 64 elements in 30 us', worst(small, ours, 'less'), (x) => x <= 30, microseconds),
    of(
      `a norm at most ${kClipped.toFixed(2)} times, from 1e8 on`,
      worst(clipped, clipRatio(all), 'less'),
      (x) => x <= kClipped,
      factor,
    ),
    of(
      'under 5 us of host time a step',
      worst(all, (x) => x.host_us, 'less'),
      (x) => x < 5,
      microseconds,
    ),
  ];
}

/** Of all large copies. */
export const copyRate = (all: readonly Outcome[]): number =>
  quantile(
    all.filter(({ elements }) => elements >= kLarge).map(({ copy_gb_s }) => copy_gb_s),
    0.5,
  );
