// The tables of a result, in Markdown.
import { delaysOf } from './event_loop.ts';
import { plainGroups, type Trial } from './report_trials.ts';
import type { Result } from './run.ts';
import { figureText, nameOf, short, threadsName, times } from './table.ts';
import type { Measurement } from './trial.ts';

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}

const unique = <T>(all: readonly T[]): T[] => [...new Set(all)];
const find = (trial: Trial | undefined, driver: string): Measurement | undefined =>
  trial?.measurements.find((one) => one.driver === driver);

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

/** What a step costs there is calls more than elements. */
const isSmall = ({ elements }: Trial): boolean => elements <= 4096;

/** Every driver in ns an element, and in brackets times ours. */
function peers(trials: readonly Trial[]): string[] {
  const [first] = trials;
  if (first === undefined) return [];
  const names = unique(trials.flatMap(({ measurements }) => measurements.map(nameOf)));
  const cell = (trial: Trial, name: string): string => {
    const found = trial.measurements.find((one) => nameOf(one) === name);
    if (found === undefined) return '-';
    const time = short((1e9 * found.seconds.median) / (isSmall(trial) ? 1000 : trial.elements));
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
        ...['keras:function', 'keras:jit', 'torch:foreach', 'torch:fused', 'optax'].map((driver) => {
          const ratio = find(trial, driver)?.ours;
          return ratio && times(ratio.median);
        }),
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
  const others = ['Keras function', 'Keras jit', 'torch foreach', 'torch fused', 'optax'].map(
    (name) => `${name}, times ours`,
  );
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

/** Reasons by driver, each once. */
function skipped(results: readonly Result[], trials: readonly Trial[]): string[] {
  const missing = results.flatMap((result) => Object.entries(result.missing).map((pair) => pair.join(': ')));
  const reasons = unique([...missing, ...trials.flatMap((trial) => trial.skipped)]);
  return reasons.length > 0 ? ['### Not measured', reasons.map((reason) => `- ${reason}`).join('\n')] : [];
}

/** Paragraphs. */
export function tables(results: readonly Result[], trials: readonly Trial[]): string[] {
  return [
    '### Measured',
    circumstances(results).join('\n'),
    ...unique(trials.map(({ threads }) => threads)).flatMap((threads) => limits(trials, threads)),
    ...plainGroups(trials).flatMap(peers),
    ...variants(trials),
    ...figures(trials),
    ...eventLoop(results),
    ...skipped(results, trials),
  ];
}
