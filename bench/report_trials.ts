// What the charts and the tables of a report share.
import type { Outcome } from './trial.ts';

/** As it is in a file. */
export type Trial = Omit<Outcome, 'versions'>;

/** The plain trials of each rule and number of threads. */
export function plainGroups(trials: readonly Trial[]): Trial[][] {
  const groups = new Map<string, Trial[]>();
  for (const trial of trials) {
    if (trial.variant !== 'plain') continue;
    const key = `${trial.rule} ${trial.threads}`;
    groups.set(key, [...(groups.get(key) ?? []), trial]);
  }
  return [...groups.values()];
}
