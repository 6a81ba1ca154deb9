// A schedule as a curve: how far it is worth to be seen, and its points.
import type { Point } from '../charts/lines.ts';
import { isPlainObject } from '../configurable.ts';
import type { LearningRateSchedule } from '../index.ts';

const kDefault = 1000; // steps
const kCounts = /(steps|step_size|boundaries|milestones)$/; // of the names in a config that count steps

/** All step counts in a config, and in those inside, one after the other. */
function stepsIn(value: unknown, name = ''): number {
  if (Array.isArray(value))
    return kCounts.test(name)
      ? Math.max(0, ...value.map(Number))
      : value.reduce<number>((sum, x) => sum + stepsIn(x), 0);
  if (isPlainObject(value)) return Object.entries(value).reduce((sum, [key, x]) => sum + stepsIn(x, key), 0);
  return typeof value === 'number' && kCounts.test(name) ? value : 0;
}

/** Until a little after it has become constant; four times as long as its config counts, if it does not. */
export function lengthOf(schedule: LearningRateSchedule): number {
  const counted = stepsIn(schedule.get_config()) || kDefault;
  const [first, ...later] = [2, 4.1, 5.3, 7.7].map((times) => schedule(Math.ceil(times * counted)));
  const steps = counted * (later.every((value) => value === first) ? 1.25 : 4);
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(steps)) - 1);
  return Math.ceil(steps / unit) * unit;
}

/** About `count` points from step 0 to step `steps`, at whole steps. */
export function curveOf(schedule: LearningRateSchedule, steps: number, count: number): Point[] {
  const last = Math.min(steps, count);
  const at = (i: number): number => Math.round((i / last) * steps);
  return Array.from({ length: last + 1 }, (_, i) => [at(i), schedule(at(i))]);
}
