// Time and bytes of sums and steps by ranks and sizes: npm run bench:distributed -- --help
import { circumstances, headOf, writeResult } from '../circumstances.ts';
import { inC, ours, torch, type Contestant, type Line } from './contestants.ts';
import { anyLauncher } from './launchers.ts';
import { fit, type Own, type Sum } from './model.ts';
import { kScript, readOptions } from './options.ts';
import { bytesOf, errorsOf, median, projections, rangesOf, timesOf } from './report.ts';

const kFitted = [64, 512, 4096, 16_384, 65_536, 262_144, 1 << 20, 4 << 20, 16 << 20]; // bytes
const kHeldOut = [2048, 32_768, 131_072, 2 << 20, 8 << 20];
const kFittedRanks = 2;

const options = readOptions();
const launcher = anyLauncher();
if (launcher === undefined) {
  console.error('not run: there is no mpirun that works, of Open MPI or MPICH');
  process.exit(1);
}
const said = circumstances(kScript);
const lines: Line[] = [];
const contestants = [ours(launcher), inC(launcher), torch()].filter(isThere);
const work = { sums: [...kFitted, ...kHeldOut].toSorted((a, b) => a - b), steps: options.parameters };
for (let round = 0; round < options.rounds; round++)
  for (const ranks of options.ranks)
    for (const contestant of contestants) lines.push(...contestant(ranks, ranks === 1 ? { ...work, sums: [] } : work));

const sums = lines.filter(({ what }) => what === 'allReduce');
const steps = lines.filter(({ what }) => what === 'step');
console.log(`${headOf(said)}\n${launcher.name}; medians of ${options.rounds} rounds\n`);
if (sums.length > 0) console.log(`Sums over ranks:\n\n${timesOf(sums, 'us', 1)}\n`);
console.log(`Steps of AdamW:\n\n${timesOf(steps, 'ms', 1000)}\n\n${bytesOf(steps)}\n`);
if (sums.length > 0) reportModel();
console.log(`PROJECTIONS, not measurements: one rank's own work as measured here, networks as assumed, no overlap:\n`);
console.log(projections(ownWork()));
if (options.json !== undefined) writeResult(options.json, { ...said, launcher: launcher.name, options, lines });

function isThere(contestant: Contestant | string): contestant is Contestant {
  if (typeof contestant === 'string') console.log(contestant);
  return typeof contestant !== 'string';
}

function reportModel(): void {
  const measured = oursOf(sums);
  const isFitted = ({ ranks, bytes }: Sum) => ranks === kFittedRanks && kFitted.includes(bytes);
  const ranges = fit(measured.filter(isFitted));
  console.log(`Model of our sums, fitted to ${kFittedRanks} ranks and 9 sizes:\n\n${rangesOf(ranges)}\n`);
  console.log(
    `Its error where it was not fitted:\n\n${errorsOf(
      ranges,
      measured.filter((sum) => !isFitted(sum)),
    )}\n`,
  );
}

/** Medians of the rounds. */
function oursOf(sums: readonly Line[]): Sum[] {
  const own = sums.filter(({ who }) => who === 'ours');
  const keys = new Set(own.map(({ ranks, of }) => `${ranks} ${of}`));
  return [...keys].map((key) => {
    const [ranks, bytes] = key.split(' ').map(Number) as [number, number];
    return {
      ranks,
      bytes,
      us: median(own.filter((line) => line.ranks === ranks && line.of === bytes).map(({ us }) => us)),
    };
  });
}

/** Of one rank, at the largest step. */
function ownWork(): Own {
  const parameters = Math.max(...options.parameters);
  const at = (who: string) =>
    median(steps.filter((line) => line.ranks === 1 && line.of === parameters && line.who === who).map(({ us }) => us)) /
    parameters;
  const update = at('ours alone');
  return { update, rest: Math.max(0, at('ours replicated') - update) };
}
