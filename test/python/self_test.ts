// Differences that are planted, to see that the checks find them: Keras gets one option, or one number of the state, other than ours.
import { AssertionError } from 'chai';

import type { Configuration } from '../promise.ts';
import * as checks from './checks.ts';
import { changed, scheduleConfigurations } from './configurations.ts';
import type { Keras } from './keras.ts';
import { Tally } from './tally.ts';
import type { Start } from './training.ts';

/** A check that has to find a difference; other errors than that are failures. */
export const findsOne = (tally: Tally, what: string, about: unknown, check: () => unknown): Promise<unknown> =>
  tally.check(what, about, async () => {
    try {
      await check();
    } catch (error) {
      if (error instanceof AssertionError) return;
      throw error;
    }
    throw new Error('a planted difference was not found');
  });

export async function plantInSchedule(keras: Keras, name: string): Promise<Tally> {
  const tally = new Tally(name);
  const c = scheduleConfigurations(name)[0] as Configuration;
  const ours = checks.configurable(c);
  for (const other of changed(c)) {
    const given = checks.configurable(other);
    await findsOne(tally, 'in configs', other, () => checks.checkRoundTrip(keras, 'schedules', ours, given));
    await findsOne(tally, 'in defaults', other, () => checks.checkScheduleDefaults(keras, c, given));
  }
  return tally;
}

/** The last of the optimizer's variables, other by a thousandth and a little. */
const otherState = ({ values, state, after }: Start): Start => ({
  values,
  state:
    state?.with(
      -1,
      Array.from(state.at(-1) ?? [], (x) => x * 1.001 + 0.001),
    ) ?? null,
  after,
});

async function plantInSteps(keras: Keras, tally: Tally, name: string, args: Configuration['args']): Promise<void> {
  const c = { class: name, args: { ...args, learning_rate: 0.25 } };
  const other = { class: name, args: { ...args, learning_rate: 0.25025 } };
  await findsOne(tally, 'in steps', other, () => checks.checkSteps(keras, c, other));
  await findsOne(tally, 'in sparse steps', other, () => checks.checkSparseSteps(keras, c, other));
  const both = await checks.checkSteps(keras, c);
  await findsOne(tally, 'in states for Keras', c, () => checks.checkStateForKeras(keras, c, both, otherState));
  await findsOne(tally, 'in states of Keras', c, () => checks.checkStateOfKeras(c, both, otherState));
}

export async function plantInOptimizer(keras: Keras, name: string): Promise<Tally> {
  const tally = new Tally(name);
  const c = { class: name, args: { name: 'same' } };
  const ours = checks.configurable(c);
  for (const other of changed(c)) {
    const given = checks.configurable(other);
    await findsOne(tally, 'in configs', other, () => checks.checkRoundTrip(keras, 'optimizers', ours, given));
  }
  for (const other of changed({ class: name, args: {} })) {
    const given = checks.configurable(other);
    await findsOne(tally, 'in defaults', other, () => checks.checkDefaults(keras, name, given));
  }
  await plantInSteps(keras, tally, name, {});
  await plantInSteps(keras, tally, name, { global_clipnorm: 0.5 }); // where numbers are only near
  return tally;
}
