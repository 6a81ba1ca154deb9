// The table of npm run bench:tfjs, a row for each backend and size.
import { markdown } from '../markdown.ts';
import type { Summary } from '../../lib/bench/measure.ts';
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

/** The head and no row. */
export const head = markdown(['backend, elements', ...entrants.map(({ title }) => title)], []);

/** As a line of markdown. */
export function row({ backend, size, times: all }: Outcome): string {
  const cells = entrants.map((entrant) => cell(all.find(({ title }) => title === entrant.title)));
  return markdown([`${backend}, ${size}`, ...cells], []).split('\n')[0] as string;
}
