// What the charts and the tables of a report share.
import { short, times } from './table.ts';
import type { Measurement, Outcome } from './trial.ts';

/** As it is in a file. */
export type Trial = Omit<Outcome, 'versions'>;

export const unique = <T>(all: readonly T[]): T[] => [...new Set(all)];
export const find = (trial: Trial | undefined, driver: string): Measurement | undefined =>
  trial?.measurements.find((one) => one.driver === driver);

/** What a step costs there is calls more than elements. */
export const isSmall = ({ elements }: Trial): boolean => elements <= 4096;
/** Us a step if it is small, else ns an element. */
export const timeOf = (trial: Trial, { seconds }: Measurement): string =>
  short((1e9 * seconds.median) / (isSmall(trial) ? 1000 : trial.elements));

/** The drivers of Python frameworks that tables have a column for, by its title. */
export const frameworks: Readonly<Record<string, string>> = {
  'Keras function': 'keras:function',
  'Keras jit': 'keras:jit',
  'torch foreach': 'torch:foreach',
  'torch fused': 'torch:fused',
  optax: 'optax',
};

/** Times ours, with a star where it is another rule. */
export const timesOurs = (trial: Trial, drivers: readonly string[]): (string | undefined)[] =>
  drivers.map((driver) => {
    const { ours, as } = find(trial, driver) ?? {};
    return ours && times(ours.median) + (as === undefined ? '' : ' *');
  });

/** The plain trials, in groups of the same key. */
function plainBy(trials: readonly Trial[], keyOf: (trial: Trial) => string): Trial[][] {
  const groups = new Map<string, Trial[]>();
  for (const trial of trials.filter(({ variant }) => variant === 'plain'))
    groups.set(keyOf(trial), [...(groups.get(keyOf(trial)) ?? []), trial]);
  return [...groups.values()];
}

/** Of each rule and number of threads. */
export const byRule = (trials: readonly Trial[]): Trial[][] =>
  plainBy(trials, ({ rule, threads }) => `${rule} ${threads}`);

/** Of each work and number of threads. */
export const byWork = (trials: readonly Trial[]): Trial[][] =>
  plainBy(trials, ({ work, threads }) => `${work} ${threads}`);
