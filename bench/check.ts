// Correctness first: the variables after a few steps of a small work, of every driver beside ours.
import { doneAs, driverNamed, hostOf, type Trial } from './drivers.ts';
import type { Task } from './host.ts';
import type { Peers } from './peer.ts';
import { ruleNamed } from '../lib/bench/rules.ts';
import { taskOf } from './task.ts';
import { variantNamed } from './variants.ts';
import type { Shape } from './work.ts';

/** A driver does not what it should. */
export class Difference extends Error {}

const kSteps = 5;
const kShapes: readonly Shape[] = [[3, 5], [7], [1], [16, 16], [1000]];
const kNormRounding = 1e-6; // sums in another order

type Values = Float32Array<ArrayBuffer>;

async function valuesOf(driver: string, peers: Peers, task: Task): Promise<Values | undefined> {
  const peer = peers.of(driver);
  await peer.ask({ do: 'make', driver, task });
  await peer.ask({ do: 'run', driver, repetitions: kSteps });
  const { values } = await peer.ask({ do: 'values', driver });
  await peer.ask({ do: 'drop', driver });
  return values === undefined ? undefined : new Float32Array(new Uint8Array(Buffer.from(values, 'base64')).buffer);
}

function largestDifference(a: Values, b: Values): number {
  let largest = a.length === b.length ? 0 : NaN;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)));
  return largest; // NaN, once in it, stays
}

const bits = (values: Values): Buffer => Buffer.from(values.buffer);

/** Who says what a driver's values have to be; undefined where nobody can. */
function truthOf(driver: string, rule: string, variant: string): { driver: string; variant: string } | undefined {
  const ours = ruleNamed(rule).className !== undefined;
  if (driver !== 'ours' && ours) return { driver: 'ours', variant };
  const plain = variantNamed(variant).javascript !== undefined && doneAs('javascript', rule) !== undefined;
  return plain || !ours ? { driver: 'javascript', variant: 'plain' } : undefined;
}

function toleranceOf(driver: string, truth: string, rule: string, variant: string): number {
  const { norm = false, narrow = false, javascript = 0 } = variantNamed(variant);
  const { tolerance = 0, tolerances = {} } = driverNamed(driver);
  const most = tolerances[rule] ?? tolerance;
  if (truth === 'javascript') return Math.max(most, javascript, (narrow && ruleNamed(rule).narrow) || 0);
  return most + (norm && hostOf(driver) !== 'ours' ? kNormRounding : 0); // the same order in every backend of ours
}

/** What was found, in words. Throws a Difference, or why it could not be asked; undefined if there is nothing to compare. */
export async function check(driver: string, trial: Trial, peers: Peers): Promise<string | undefined> {
  const { variant, threads } = trial;
  const rule = doneAs(driver, trial.rule);
  const { tolerance: comparable, lazy = [] } = driverNamed(driver);
  if (rule === undefined || comparable === undefined) return undefined;
  if (variantNamed(variant).rows !== undefined && lazy.includes(rule)) return undefined;
  const truth = truthOf(driver, rule, variant);
  if (truth === undefined) return undefined;
  const expected = await valuesOf(truth.driver, peers, taskOf(rule, truth.variant, threads, kShapes));
  const values = await valuesOf(driver, peers, taskOf(rule, variant, threads, kShapes));
  if (values === undefined || expected === undefined) return undefined;
  if (bits(values).equals(bits(expected))) return `the bits of ${truth.driver}`;
  const [difference, tolerance] = [
    largestDifference(values, expected),
    toleranceOf(driver, truth.driver, rule, variant),
  ];
  const found = `differs from ${truth.driver} by ${difference.toExponential(1)}`;
  if (difference <= tolerance) return `${found} of ${tolerance.toExponential(1)} allowed`;
  throw new Difference(`${rule} ${variant} ${found} after ${kSteps} steps`);
}
