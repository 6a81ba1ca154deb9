// Configurations of every class that the library exports.
import * as library from '../../lib/index.ts';
import { deserialize, LearningRateSchedule, Optimizer } from '../../lib/index.ts';
import type { Configuration } from '../promise.ts';
import type { Random } from '../random.ts';
import { choices, firsts, pick, randomArgs, variations, type Args, type Described } from './descriptors.ts';

const exported = (base: abstract new (...args: never) => unknown): ReadonlyMap<string, Described> =>
  new Map(
    (Object.values(library) as unknown[])
      .filter((value) => typeof value === 'function' && value.prototype instanceof base)
      .filter((cls) => !['LossScaleOptimizer', 'MultiOptimizer'].includes((cls as Described).className)) // wrappers.ts has them
      .map((cls) => [(cls as Described).className, cls as Described]),
  );
export const optimizers = exported(Optimizer);
export const schedules = exported(LearningRateSchedule);

const described = (name: string): Described => (optimizers.get(name) ?? schedules.get(name)) as Described; // one of them
const named =
  (name: string) =>
  (args: Args): Configuration => ({ class: name, args });
const different = (list: readonly Configuration[]): readonly Configuration[] => [
  ...new Map(list.map((c) => [JSON.stringify(c), c])).values(),
];

/** The least that a schedule takes, each option changed alone, and all. */
export const scheduleConfigurations = (name: string): readonly Configuration[] => {
  const cls = described(name);
  return different([...variations(cls, Infinity), firsts(cls, () => true)].map(named(name)));
};
const rateOf = ({ class: class_name, args: config }: Configuration): Args => ({
  learning_rate: { class_name, config },
});

const clips = ['clipnorm', 'global_clipnorm', 'clipvalue'];

/**
 * The defaults, each option changed alone, each of the schedules with the class's own options and without, and all options at once
 * but one of those that clip.
 */
export function configurations(name: string, kerasSchedules: readonly string[]): readonly Configuration[] {
  const cls = described(name);
  const common = Object.keys(library.fields.common(0));
  const own = firsts(cls, (option) => !common.includes(option));
  const rates = kerasSchedules.map((schedule) => rateOf(scheduleConfigurations(schedule).at(-1) as Configuration));
  const all = clips.map((clip) =>
    firsts(cls, (option) => option !== 'decay' && (option === clip || !clips.includes(option))),
  );
  const scheduled = [...rates, ...rates.map((rate) => ({ ...own, ...rate }))];
  return different([...variations(cls, 2), own, ...scheduled, ...all].map(named(name)));
}

/** Any class, any options, but none that a constructor refuses together. */
export function randomConfiguration(
  next: Random,
  names: readonly string[],
  kerasSchedules: readonly string[],
): Configuration {
  const name = pick(next, names);
  const schedule = pick(next, kerasSchedules);
  const rate = next() < 0.2 ? rateOf(pick(next, scheduleConfigurations(schedule))) : {};
  const c = named(name)({ ...randomArgs(next, described(name)), ...rate });
  return isAccepted(c) ? c : randomConfiguration(next, names, kerasSchedules);
}

function isAccepted({ class: class_name, args: config }: Configuration): boolean {
  try {
    deserialize({ class_name, config });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** The same but for one option, for every option of its class. */
export const changed = ({ class: name, args }: Configuration): readonly Configuration[] =>
  [...choices(described(name))].map(([option, values]) => named(name)({ ...args, [option]: values.at(-1) }));
