// Runs ranks.mjs under every launcher of MPI that is here, alone and with up to four ranks, to good and to bad ends.
// Usage: npm run test:mpi, after a build. Fails if there is a launcher and a case does not end as it should; prints why where there is none.
import { fileURLToPath } from 'node:url';

import { launchers, missing, runJob, type Launcher } from '../../bench/distributed/launchers.ts';

interface Case {
  readonly name: string;
  readonly ranks: readonly number[];
  readonly options?: object;
  /** Whether the exit code of the job is right. */
  readonly ends: (code: number | null) => boolean;
}

const well = (code: number | null) => code === 0;
const withCode = (expected: number) => (code: number | null) => code === expected;
const badly = (code: number | null) => code !== null && code !== 0;

const cases: readonly Case[] = [
  { name: 'works', ranks: [1, 2, 4], ends: well },
  { name: 'pieces', ranks: [3], options: { piece: 10_000, ring: 2 }, ends: well },
  { name: 'grows', ranks: [2], ends: well },
  { name: 'inWorker', ranks: [2], ends: well },
  { name: 'abort', ranks: [3], ends: withCode(75) },
  // The exit code of such a job is that of a rank, the one that exits or one that the launcher ends.
  { name: 'exits', ranks: [3], ends: badly },
  { name: 'throws', ranks: [3], ends: badly },
  { name: 'forgets', ranks: [2], ends: badly },
  { name: 'terminates', ranks: [2], ends: withCode(5) },
  { name: 'leaves', ranks: [2], ends: withCode(6) },
];

const script = fileURLToPath(new URL('ranks.mjs', import.meta.url));
const kLimit = 60_000;

function run(launcher: Launcher, ranks: number, { name, options = {} }: Case) {
  // A small heap for the young: it would grow in steps of megabytes, at any time.
  const node = ['--expose-gc', '--max-semi-space-size=1', script, name, JSON.stringify(options)];
  return runJob(launcher, ranks, node, kLimit);
}

let failed = 0;
for (const launcher of launchers) {
  const reason = missing(launcher);
  if (reason !== undefined) {
    console.log(`not run with ${launcher.name}: ${reason}`);
    continue;
  }
  for (const one of cases)
    for (const ranks of one.ranks) {
      const began = performance.now();
      const { code, printed } = await run(launcher, ranks, one);
      const took = `${((performance.now() - began) / 1000).toFixed(1)} s`;
      const good = one.ends(code);
      if (!good) failed++;
      console.log(
        `${good ? 'ok  ' : 'FAIL'} ${launcher.name}, ${ranks} ranks, ${one.name}: exit code ${code}, ${took}`,
      );
      if (!good || one.name === 'works' || one.name === 'grows')
        console.log(printed.trimEnd().replaceAll(/^/gm, '       '));
    }
}
console.log(failed === 0 ? 'all cases ended as they should' : `${failed} cases failed`);
process.exitCode = failed === 0 ? 0 : 1;
