// All checks of a class, counted.
import { isInexact, type Configuration } from '../promise.ts';
import { random } from '../random.ts';
import * as checks from './checks.ts';
import { configurations, randomConfiguration, scheduleConfigurations } from './configurations.ts';
import type { Keras } from './keras.ts';
import { Tally } from './tally.ts';

const kLeast = 20; // configurations of an optimizer: with fewer its descriptors would not have been read

/** Names of the classes that both sides have. */
export interface Common {
  readonly optimizers: readonly string[];
  readonly schedules: readonly string[];
}

export async function checkSchedule(keras: Keras, name: string): Promise<Tally> {
  const tally = new Tally(name);
  const all = scheduleConfigurations(name);
  await tally.check('defaults', name, () => checks.checkScheduleDefaults(keras, all[0] as Configuration));
  for (const c of all)
    await tally.check('configs', c, () => checks.checkRoundTrip(keras, 'schedules', checks.configurable(c)));
  return tally;
}

async function checkConfiguration(keras: Keras, tally: Tally, c: Configuration): Promise<void> {
  await tally.check('configs', c, () => checks.checkRoundTrip(keras, 'optimizers', checks.configurable(c)));
  const runs = isInexact(c) ? 'runs within the tolerance' : 'runs to the bit';
  const both = await tally.check(runs, c, () => checks.checkSteps(keras, c));
  if (both === undefined) return;
  await tally.check('states for Keras', c, () => checks.checkStateForKeras(keras, c, both));
  await tally.check('states of Keras', c, () => checks.checkStateOfKeras(c, both));
}

/**
 * Keras raises a TypeError for a loss scale: it divides an IndexedSlices. Where a divisor is 0, it mixes rows up that do not come in
 * order. A schedule has nothing to do with the gradients. Its Adafactor makes NaN of a matrix with an empty row and an empty column.
 */
const takesSparse = ({ class: name, args }: Configuration): boolean =>
  name !== 'Adafactor' &&
  (args.loss_scale_factor ?? null) === null &&
  args.epsilon !== 0 &&
  typeof args.learning_rate !== 'object';

export async function checkOptimizer(keras: Keras, name: string, { schedules }: Common): Promise<Tally> {
  const tally = new Tally(name);
  await tally.check('defaults', name, () => checks.checkDefaults(keras, name));
  const all = configurations(name, schedules);
  if (all.length < kLeast) tally.fail(`${name} has ${all.length} configurations, ${kLeast} are expected`);
  for (const c of all) await checkConfiguration(keras, tally, c);
  for (const c of all.filter(takesSparse)) await tally.check('sparse runs', c, () => checks.checkSparseSteps(keras, c));
  return tally;
}

/** `count` random configurations of any class. */
export async function checkRandom(keras: Keras, seed: string, count: number, common: Common): Promise<Tally> {
  const [tally, next] = [new Tally(`random, seed ${seed}`), random(seed)];
  for (let i = 0; i < count; i++)
    await checkConfiguration(keras, tally, randomConfiguration(next, common.optimizers, common.schedules));
  return tally;
}
