// One trial: every driver is checked, then all are measured in rounds, in fresh processes.
import { totalmem } from 'node:os';

import { check, Difference } from './check.ts';
import { doneAs, fits, hostOf, pythonHosts, type Trial } from './drivers.ts';
import { figuresOf, type Figure } from './figures.ts';
import { inRounds, summary, type Lane, type Samples, type Summary } from '../lib/bench/measure.ts';
import { Peers } from './peer.ts';
import { ruleNamed } from '../lib/bench/rules.ts';
import { taskFor } from './task.ts';
import { bytesOf, variantNamed } from './variants.ts';
import { shapesOf, totalOf, type Shape } from './work.ts';

export interface Measurement {
  readonly driver: string;
  /** The rule that it does, if another. */
  readonly as?: string;
  /** Of a call. */
  readonly seconds: Summary;
  /** Times the limit, and times ours, of the same round; absent if those were not measured. */
  readonly limit?: Summary;
  readonly ours?: Summary;
}

export interface Outcome extends Trial {
  readonly tensors: number;
  readonly elements: number;
  /** That a call reads and writes for an element. */
  readonly bytes: number;
  readonly measurements: readonly Measurement[];
  readonly figures: readonly Figure[];
  /** Drivers that were not measured, with the reason. */
  readonly skipped: readonly string[];
  /** Drivers whose values are not what they should be. */
  readonly wrong: readonly string[];
  readonly versions: Readonly<Record<string, string>>;
}

export interface Sampling {
  readonly rounds: number;
  /** Length of a sample, about. */
  readonly seconds: number;
}

const kAlways = ['traffic', 'ours']; // what the others are compared with
const kShare = 0.6; // of the machine's memory for the arrays of all drivers together
const kTemporaries = 2; // a Python framework needs about as much again

/** Drivers that fit into memory together, each with those that are in every batch. */
export function batches(drivers: readonly string[], bytes: number, memory = kShare * totalmem()): string[][] {
  const need = (driver: string): number => bytes * (pythonHosts.includes(hostOf(driver)) ? kTemporaries : 1);
  const always = drivers.filter((driver) => kAlways.includes(driver));
  const all: string[][] = [];
  let free = 0;
  for (const driver of drivers.filter((one) => !kAlways.includes(one))) {
    if (all.length === 0 || need(driver) > free) {
      all.push([...always]);
      free = memory - always.length * bytes;
    }
    all.at(-1)?.push(driver);
    free -= need(driver);
  }
  return all.length > 0 ? all : [always];
}

/** Collects what the batches of a trial give. */
class Collected {
  readonly skipped: string[] = [];
  readonly wrong: string[] = [];
  readonly versions: Record<string, string> = {};
  readonly #samples: Samples[] = [];

  fail(driver: string, error: Error): void {
    (error instanceof Difference ? this.wrong : this.skipped).push(`${driver}: ${error.message}`);
  }

  add(samples: Samples): void {
    this.#samples.push(samples);
  }

  /** A number for each round of the batches that have measured all these drivers. */
  of(drivers: readonly string[], value: (...seconds: number[]) => number): number[] {
    return this.#samples.flatMap((samples) => {
      const columns = drivers.map((driver) => samples[driver] ?? []);
      return (columns[0] ?? []).flatMap((_, round) => {
        const row = columns.map((column) => column[round]);
        return row.includes(undefined) ? [] : [value(...(row as number[]))];
      });
    });
  }

  figures(trial: Trial): Figure[] {
    const first = this.#samples.map((samples) => figuresOf(trial, samples)).find((figures) => figures.length > 0);
    return first ?? [];
  }
}

function measurementOf(driver: string, { rule, variant }: Trial, collected: Collected): Measurement | undefined {
  const { calls } = variantNamed(variant);
  const seconds = collected.of([driver], (x) => x / calls);
  if (seconds.length === 0) return undefined;
  const times = (other: string) => {
    const ratios = collected.of([driver, other], (a, b) => a / b);
    return ratios.length > 0 ? summary(ratios) : undefined;
  };
  const [limit, ours, done] = [times('traffic'), times('ours'), doneAs(driver, rule)];
  return {
    driver,
    ...(done !== rule && done !== undefined && { as: done }),
    seconds: summary(seconds),
    ...(limit && driver !== 'traffic' && { limit }),
    ...(ours && driver !== 'ours' && { ours }),
  };
}

async function laneOf(driver: string, trial: Trial, shapes: readonly Shape[], peers: Peers): Promise<Lane> {
  const peer = peers.of(driver);
  await peer.ask({ do: 'make', driver, task: taskFor(driver, trial, shapes) });
  return { driver, run: async (repetitions) => (await peer.ask({ do: 'run', driver, repetitions })).seconds ?? NaN };
}

/** What `act` gives for each driver for which it does not fail. */
async function survivors<T>(drivers: readonly string[], act: (driver: string) => Promise<T>, collected: Collected) {
  const results = new Map<string, T>();
  for (const driver of drivers)
    await act(driver).then(
      (result) => results.set(driver, result),
      (error: Error) => collected.fail(driver, error),
    );
  return results;
}

async function measureBatch(
  drivers: readonly string[],
  trial: Trial,
  shapes: readonly Shape[],
  { rounds, seconds }: Sampling,
  collected: Collected,
): Promise<void> {
  const peers = new Peers(trial.threads);
  try {
    const right = await survivors(drivers, (driver) => check(driver, trial, peers), collected);
    if (!right.has('ours')) return; // there is nothing to compare with
    const lanes = await survivors([...right.keys()], (driver) => laneOf(driver, trial, shapes, peers), collected);
    collected.add(
      await inRounds([...lanes.values()], rounds, seconds, (driver, error) => collected.fail(driver, error)),
    );
    Object.assign(collected.versions, peers.versions);
  } finally {
    peers.close();
  }
}

/** Measures the drivers that have something to measure. */
export async function measure(trial: Trial, names: readonly string[], sampling: Sampling): Promise<Outcome> {
  const shapes = shapesOf(trial.work) ?? [];
  const [elements, { slots, directed = false }] = [totalOf(shapes), ruleNamed(trial.rule)];
  const collected = new Collected();
  const reasons = names.map((name) => fits(name, trial, shapes.length, elements));
  collected.skipped.push(...reasons.filter((reason) => typeof reason === 'string'));
  const drivers = names.filter((_, i) => reasons[i] === true);
  for (const batch of batches(drivers, 4 * elements * (slots + 3)))
    await measureBatch(batch, trial, shapes, sampling, collected);
  return {
    ...trial,
    tensors: shapes.length,
    elements,
    bytes: bytesOf(variantNamed(trial.variant), slots, directed),
    measurements: drivers.flatMap((driver) => measurementOf(driver, trial, collected) ?? []),
    figures: collected.figures(trial),
    skipped: [...new Set(collected.skipped)],
    wrong: [...new Set(collected.wrong)],
    versions: collected.versions,
  };
}
