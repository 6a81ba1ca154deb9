// What is checked. Each throws an AssertionError where the two sides differ, another error where Keras refuses. What Keras is given
// in place of ours is something else in the self-test only.
import { assert } from 'chai';

import { deserialize, get, serialize, stringify, type Configurable, type Serialized } from '../../lib/index.ts';
import type { Configuration } from '../promise.ts';
import { sameForm, sameRun } from './compare.ts';
import type { Keras, Training } from './keras.ts';
import {
  fromTheBeginning,
  sparseGradientsOf,
  startAfter,
  trainKeras,
  trainOurs,
  type Numbers,
  type Start,
} from './training.ts';

export const configurable = ({ class: class_name, args: config }: Configuration): Configurable =>
  deserialize({ class_name, config });

/** Our config, read and written by Keras, is what it was, and comes back. */
export async function checkRoundTrip(
  keras: Keras,
  kind: 'optimizers' | 'schedules',
  ours: Configurable,
  given = ours,
): Promise<void> {
  const { form } = await keras.ask('reread', { kind, text: stringify(given) });
  sameForm(serialize(ours), form);
  assert.equal(JSON.stringify(serialize(deserialize(form))), JSON.stringify(form));
}

const unnumbered = ({ config, ...rest }: Serialized): Serialized => ({
  ...rest,
  config: { ...config, name: String(config.name).replace(/_\d+$/, '') }, // both count the instances
});

/** Without options a class is the same in both. */
export async function checkDefaults(keras: Keras, name: string, ours: Configurable = get(name)): Promise<void> {
  const { form } = await keras.ask('default', { name });
  sameForm(unnumbered(serialize(ours)), unnumbered(form));
}

/** A schedule with nothing but what it requires is the same in both. */
export async function checkScheduleDefaults(
  keras: Keras,
  { class: class_name, args: config }: Configuration,
  ours: Configurable = deserialize({ class_name, config }),
): Promise<void> {
  const { form } = await keras.ask('reread', { kind: 'schedules', text: JSON.stringify({ class_name, config }) });
  sameForm(serialize(ours), form);
}

type Both = readonly [ours: Training<Numbers>, keras: Training<Numbers>];
const kSteps = 6;
const kHanded = 3; // steps before the other side goes on

/** Some steps of both. */
export async function checkSteps(keras: Keras, c: Configuration, given = c): Promise<Both> {
  const ours = trainOurs(c, fromTheBeginning, kSteps);
  const theirs = await trainKeras(keras, given, fromTheBeginning, kSteps);
  sameRun(c, 0, ours, theirs);
  return [ours, theirs];
}

/** Keras's own sparse updates, of rows that come once, are ours. */
export async function checkSparseSteps(keras: Keras, c: Configuration, given = c): Promise<void> {
  const ours = trainOurs(c, fromTheBeginning, kSteps, sparseGradientsOf);
  sameRun(c, 0, ours, await trainKeras(keras, given, fromTheBeginning, kSteps, sparseGradientsOf));
}

const rest = (run: Training<Numbers>): Training<Numbers> => ({ ...run, moments: run.moments.slice(kHanded) });
const asItIs = (start: Start): Start => start;

/** Keras goes on with our state as we do. */
export async function checkStateForKeras(keras: Keras, c: Configuration, [ours]: Both, handed = asItIs): Promise<void> {
  const start = startAfter(ours, kHanded);
  sameRun(c, kHanded, rest(ours), await trainKeras(keras, c, handed(start), kSteps - kHanded));
}

/** We go on with Keras's state as Keras does. */
export function checkStateOfKeras(c: Configuration, [, theirs]: Both, handed = asItIs): void {
  const start = startAfter(theirs, kHanded);
  sameRun(c, kHanded, trainOurs(c, handed(start), kSteps - kHanded), rest(theirs));
}
