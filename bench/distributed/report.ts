// The tables of the benchmark of several processes.
import { pieceOf } from '../../lib/distributed/collectives.ts';
import { markdown } from '../markdown.ts';
import type { Line } from './contestants.ts';
import { networks, predict, project, type Own, type Range, type Sum } from './model.ts';

const grouped = (x: number): string => Math.round(x).toLocaleString('en');
const short = (x: number): string => (Number.isFinite(x) ? `${Number(x.toPrecision(3))}` : '-');

/** The median of the rounds; NaN where nothing was measured. */
export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

const distinct = <T>(list: readonly T[]): T[] => [...new Set(list)];

/** A row for each number of ranks and size, a column for each contestant, and ours relative to the others. */
export function timesOf(lines: readonly Line[], unit: string, perUnit: number): string {
  const who = distinct(lines.map((line) => line.who));
  const others = who.filter((name) => !name.startsWith('ours'));
  const head = [
    'ranks',
    'size',
    ...who.map((name) => `${name}, ${unit}`),
    ...others.map((name) => `${oursFor(who, name)} / ${name}`),
  ];
  const rows = distinct(lines.map(({ ranks, of }) => `${ranks} ${of}`)).map((key) => {
    const [ranks = '', of = ''] = key.split(' ');
    const at = (name: string) =>
      median(
        lines.filter((line) => `${line.ranks} ${line.of}` === key && line.who === name).map(({ us }) => us / perUnit),
      );
    const ratios = others.map((name) => short(at(oursFor(who, name)) / at(name)));
    return [ranks, grouped(Number(of)), ...who.map((name) => short(at(name))), ...ratios];
  });
  return markdown(head, rows);
}

/** What of ours does the same: `ours sharded` beside `PyTorch sharded`, and else simply ours. */
function oursFor(who: readonly string[], other: string): string {
  const own = who.filter((name) => name.startsWith('ours'));
  return own.find((name) => name.split(' ')[1] === other.split(' ').at(-1)) ?? own[0] ?? '';
}

/** What a rank sends in the largest step, and keeps as state. */
export function bytesOf(lines: readonly Line[]): string {
  const largest = Math.max(...lines.map(({ of }) => of));
  const known = lines.filter(({ of, state, who }) => of === largest && state !== undefined && who !== 'ours alone');
  const rows = distinct(known.map(({ ranks, of, who }) => `${ranks}|${of}|${who}`)).map((key) => {
    const line = known.find(({ ranks, of, who }) => `${ranks}|${of}|${who}` === key) as Line;
    return [
      `${line.ranks}`,
      grouped(line.of),
      line.who,
      line.sent === undefined ? '-' : grouped(line.sent),
      grouped(line.state ?? 0),
    ];
  });
  return markdown(['ranks', 'parameters', 'who', 'bytes sent by rank 0', 'bytes of its state'], rows);
}

export const rangesOf = (ranges: readonly Range[]): string =>
  markdown(
    ['bytes up to', 'alpha in us', '1 / beta in GB/s'],
    ranges.map(({ most, alpha, beta }) => [
      Number.isFinite(most) ? grouped(most) : 'any',
      short(alpha),
      short(1 / beta / 1000),
    ]),
  );

/** How far the model is off where it has not been fitted. */
export const errorsOf = (ranges: readonly Range[], sums: readonly Sum[]): string =>
  markdown(
    ['ranks', 'bytes', 'measured us', 'predicted us', 'error in %'],
    sums.map((sum) => {
      const predicted = predict(ranges, sum);
      const error = Math.round(100 * (predicted / sum.us - 1));
      return [`${sum.ranks}`, grouped(sum.bytes), short(sum.us), short(predicted), `${error > 0 ? '+' : ''}${error}`];
    }),
  );

const buckets: readonly (readonly [string, (ranks: number) => number])[] = [
  ['4 MiB', () => 4 << 20],
  ['default', pieceOf],
];
const kRanks = [8, 64, 1024];
const kParameters = [25e6, 350e6];

/** Nothing of it is measured but what a rank does by itself. */
export function projections(own: Own): string {
  const rows = networks.flatMap((network) =>
    kParameters.flatMap((parameters) =>
      kRanks.map((ranks) => {
        const times = [false, true].flatMap((sharded) =>
          buckets.map(([, bytesOf]) => {
            const {
              latency,
              transfer,
              own: alone,
            } = project(network, own, { ranks, parameters, bucket: bytesOf(ranks), sharded });
            return short((latency + transfer + alone) / 1000);
          }),
        );
        const state = [1, ranks].map((n) => short((8 * parameters) / n / 1e9));
        return [network.name, `${parameters / 1e6} M`, `${ranks}`, ...times, ...state];
      }),
    ),
  );
  const modes = ['replicated', 'sharded'];
  const times = modes.flatMap((mode) => buckets.map(([name]) => `${mode}, ${name} buckets, s`));
  return markdown(['network', 'parameters', 'ranks', ...times, ...modes.map((mode) => `state, ${mode}, GB`)], rows);
}
