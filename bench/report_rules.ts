// The tables of what --rules measures: every rule at one work.
import { markdown } from './markdown.ts';
import { byWork, find, frameworks, isSmall, timeOf, timesOurs, unique, type Trial } from './report_trials.ts';
import { threadsName, times } from './table.ts';

const columns: Readonly<Record<string, string>> = {
  ...frameworks,
  'TensorFlow.js wasm': 'tfjs:wasm',
  JavaScript: 'javascript',
};
const others = Object.values(columns);

function rowOf(trial: Trial): string[] {
  const ours = find(trial, 'ours');
  const cells = [ours && timeOf(trial, ours), ours?.limit && times(ours.limit.median), ...timesOurs(trial, others)];
  return [trial.rule, `${trial.bytes}`, ...cells.map((text) => text ?? '-')];
}

/** What the stars stand for. */
function starsOf(trials: readonly Trial[]): string[] {
  const pairs = trials.flatMap(({ rule, measurements }) =>
    measurements.flatMap(({ driver, as }) =>
      as !== undefined && others.includes(driver) ? [[`${as} for ${rule}`, driver] as const] : [],
    ),
  );
  const driversOf = (what: string): string =>
    pairs.flatMap(([one, driver]) => (one === what ? [driver] : [])).join(', ');
  const what = unique(pairs.map(([one]) => one)).map((one) => `${one} (${driversOf(one)})`);
  return what.length > 0 ? [`\\* a rule like it: ${what.join('; ')}.`] : [];
}

/** Paragraphs: a table for each work and number of threads. */
export function everyRule(trials: readonly Trial[]): string[] {
  return byWork(trials).flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const head = ['', 'bytes', isSmall(first) ? 'us a step' : 'ns an element', 'times the limit'];
    return [
      `### Every rule at ${first.work}, ${threadsName(first.threads)}; peers: times ours`,
      markdown([...head, ...Object.keys(columns)], group.map(rowOf)),
      ...starsOf(group),
    ];
  });
}
