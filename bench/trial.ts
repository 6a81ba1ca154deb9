// One trial in a process of its own: a rule and a number of elements. Every driver is checked first, then all are measured
// in rounds. Forked by run.ts, which sends the task and gets the outcome.
import { makeDriver, type Driver } from './drivers.ts';
import { inRounds } from './measure.ts';
import { rules, type Rule } from './rules.ts';

export interface Task {
  readonly rule: string;
  readonly elements: number;
  readonly drivers: readonly string[];
  readonly rounds: number;
  /** Length of a sample, about. */
  readonly seconds: number;
}

export interface Measurement {
  readonly name: string;
  /** Bytes read and written in a step. */
  readonly bytes: number;
  /** Seconds a step, of each round. */
  readonly seconds: readonly number[];
}

const kSteps = 5;
const kElements = 1000;
// TensorFlow.js adds epsilon to the root of the corrected second moment, Keras to that of the uncorrected one.
const tolerances: Readonly<Record<string, number>> = { tfjs: 1e-4 };
const kTolerance = 1e-6; // the roundings of a few float32 steps on numbers below 1

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = a.length === b.length ? 0 : NaN;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)));
  return largest; // NaN, once in it, stays
}

/** Throws unless a few steps of the driver give the values that the JavaScript step gives. */
async function check(name: string, rule: Rule): Promise<void> {
  const [driver, truth] = [await makeDriver(name, rule, kElements), await makeDriver('javascript', rule, kElements)];
  if (driver.values === undefined || truth.values === undefined) return;
  for (const { run } of [driver, truth]) run(kSteps);
  const difference = largestDifference(driver.values(), truth.values());
  if (!(difference <= (tolerances[name] ?? kTolerance)))
    throw new Error(
      `${name} is not what it should be: after ${kSteps} steps it differs from JavaScript by ${difference}`,
    );
}

async function measure({ rule: ruleName, elements, drivers: names, rounds, seconds }: Task): Promise<Measurement[]> {
  const rule = rules[ruleName] as Rule;
  for (const name of names) await check(name, rule);
  const drivers: Driver[] = [];
  for (const name of names) drivers.push(await makeDriver(name, rule, elements));
  const samples = inRounds(drivers, rounds, seconds);
  return drivers.map(({ name, bytes }, i) => ({ name, bytes, seconds: samples[i] ?? [] }));
}

process.once('message', (task) => {
  void measure(task as Task).then((measurements) => process.send?.(measurements, () => process.disconnect()));
});
