// The table of npm run bench:tfjs.
import { markdown } from '../markdown.ts';
import type { Summary } from '../measure.ts';
import { short, times } from '../table.ts';
import { entrants, type Outcome, type Time } from './contest.ts';

const kNoisy = 0.2;
const isNoisy = ({ median, low, high }: Summary): boolean => high - low > kNoisy * median;

function cell(time: Time | undefined): string {
  if (time === undefined) return '-';
  const { seconds, faster } = time;
  const taken = `${isNoisy(seconds) ? '~' : ''}${short(1000 * seconds.median)}`;
  return faster === undefined ? taken : `${taken} (${times(faster.median)})`;
}

export const table = (outcomes: readonly Outcome[]): string =>
  markdown(
    ['backend, elements', ...entrants.map(({ title }) => title)],
    outcomes.map(({ backend, size, times: all }) => [
      `${backend}, ${size}`,
      ...entrants.map((entrant) => cell(all.find(({ title }) => title === entrant.title))),
    ]),
  );
