// The tables of a result, in Markdown.
import { delaysOf } from './event_loop.ts';
import { markdown } from './markdown.ts';
import { everyRule } from './report_rules.ts';
import { byRule, find, frameworks, isSmall, timeOf, timesOurs, unique, type Trial } from './report_trials.ts';
import type { Result } from './run.ts';
import { figureText, nameOf, short, threadsName, times } from './table.ts';

/** Machine, date, command and versions, of each file. */
function circumstances(results: readonly Result[]): string[] {
  return results.map((result) => {
    const { date, cpu, cores, memory_gb, platform, node, command, rounds, load, load_afterwards, versions } = result;
    return [
      `- \`${command}\``,
      `  ${date.slice(0, 16).replace('T', ' ')} UTC; ${cpu}, ${cores} cores, ${memory_gb} GB, ${platform}, Node ${node};`,
      `  medians of ${rounds} rounds; load ${load[0]} before, ${load_afterwards[0]} afterwards;`,
      `  ${unique(Object.values(versions)).join(', ')}`,
    ].join('\n');
  });
}

/** Ours beside the limit: a row for each rule, a column for each work. */
function limits(trials: readonly Trial[], threads: number): string[] {
  const plain = trials.filter((trial) => trial.variant === 'plain' && trial.threads === threads);
  if (plain.length === 0) return [];
  const works = unique(plain.map(({ work }) => work));
  const rows = unique(plain.map(({ rule }) => rule)).map((rule) => [
    rule,
    ...works.map((work) => {
      const trial = plain.find((one) => one.rule === rule && one.work === work);
      const [ours, arrays] = ['ours', 'ours:arrays'].map((driver) => find(trial, driver)?.limit?.median);
      return [ours, arrays].flatMap((x) => (x === undefined ? [] : times(x))).join(' / ') || '-';
    }),
  ]);
  return [
    `### Times the limit, ${threadsName(threads)}: \`Variable\`s / plain Float32Arrays`,
    markdown(['', ...works], rows),
  ];
}

/** Every driver in ns an element, and in brackets times ours. */
function peers(trials: readonly Trial[]): string[] {
  const [first] = trials;
  if (first === undefined) return [];
  const names = unique(trials.flatMap(({ measurements }) => measurements.map(nameOf)));
  const cell = (trial: Trial, name: string): string => {
    const found = trial.measurements.find((one) => nameOf(one) === name);
    if (found === undefined) return '-';
    const time = timeOf(trial, found);
    return found.ours === undefined ? time : `${time} (${times(found.ours.median)})`;
  };
  return [
    `### ${first.rule}, ${threadsName(first.threads)}: ns an element; us a step where it says so (times ours)`,
    markdown(
      ['', ...trials.map((trial) => (isSmall(trial) ? `${trial.work}, us` : trial.work))],
      names.map((name) => [name, ...trials.map((trial) => cell(trial, name))]),
    ),
  ];
}

/** What options cost. */
function variants(trials: readonly Trial[]): string[] {
  const rows = trials
    .filter(({ variant }) => variant !== 'plain')
    .map((trial) => {
      const [ours, without] = [find(trial, 'ours'), find(trial, 'ours:without')];
      const cells = [
        ours && short((1e9 * ours.seconds.median) / trial.elements),
        ours?.limit && times(ours.limit.median),
        without?.ours && times(1 / without.ours.median),
        ...timesOurs(trial, Object.values(frameworks)),
      ];
      const names = [trial.variant, trial.rule, trial.work, `${trial.threads}`, `${trial.bytes}`];
      return [...names, ...cells.map((text) => text ?? '-')];
    });
  const head = [
    'variant',
    'rule',
    'work',
    'threads',
    'bytes',
    'ns an element',
    'times the limit',
    'times a plain step',
  ];
  const others = Object.keys(frameworks).map((name) => `${name}, times ours`);
  return rows.length > 0 ? ['### Variants', markdown([...head, ...others], rows)] : [];
}

/** Numbers that follow from several drivers. */
function figures(trials: readonly Trial[]): string[] {
  const rows = trials.flatMap(({ rule, work, threads, figures }) =>
    figures.map((figure) => [figure.name, rule, work, `${threads}`, figureText(figure)]),
  );
  return rows.length > 0 ? ['### Differences', markdown(['', 'rule', 'work', 'threads', 'median'], rows)] : [];
}

function eventLoop(results: readonly Result[]): string[] {
  const rows = delaysOf(results.findLast(({ event_loop }) => event_loop.length > 0)?.event_loop ?? []);
  const title = '### Delay of the event loop in ms while Nadam steps 16M elements';
  return rows.length > 0 ? [title, markdown(['', 'median', 'p99', 'most'], rows)] : [];
}

/** Reasons by driver, each once; what a driver does not have in one line. */
function skipped(results: readonly Result[], trials: readonly Trial[]): string[] {
  const missing = results.flatMap((result) => Object.entries(result.missing).map((pair) => pair.join(': ')));
  const lines = new Map<string, string[]>();
  for (const reason of unique([...missing, ...trials.flatMap((trial) => trial.skipped)])) {
    const [, driver = reason, what] = /^(\S+: has no) (\S+)$/.exec(reason) ?? [];
    lines.set(driver, [...(lines.get(driver) ?? []), ...(what === undefined ? [] : [what])]);
  }
  const reasons = [...lines].map(([driver, what]) => `- ${[driver, what.join(', ')].join(' ').trim()}`);
  return reasons.length > 0 ? ['### Not measured', reasons.join('\n')] : [];
}

/** Paragraphs; `ofRules`: the trials of results of --rules, which have tables of their own. */
export function tables(results: readonly Result[], trials: readonly Trial[], ofRules: readonly Trial[]): string[] {
  return [
    '### Measured',
    circumstances(results).join('\n'),
    ...unique(trials.map(({ threads }) => threads)).flatMap((threads) => limits(trials, threads)),
    ...everyRule(ofRules),
    ...byRule(trials).flatMap(peers),
    ...variants(trials),
    ...figures(trials),
    ...eventLoop(results),
    ...skipped(results, [...trials, ...ofRules]),
  ];
}
