// The options of the benchmark of several processes.
import { fromCommandLine, optional, whole, writable } from '../../examples/command_line.ts';

/** Its name in package.json. */
export const kScript = 'bench:distributed';

const defaults = { ranks: '4', rounds: '3', parameters: '10000000' };

const help = `Measures sums and steps of several processes under mpirun, beside a program in C that does the same, MPI's own sum, and PyTorch's
DistributedDataParallel with and without ZeroRedundancyOptimizer on Gloo, where they are; fits a model to the sums, says how far
it is off, and what it projects.

  npm run ${kScript} -- [options]

  --ranks N          most processes: 1, 2, 4, ... up to it; default: ${defaults.ranks}
  --parameters N     of the largest step: it and its 10th and 100th part, in multiples of 8; default: ${defaults.parameters}
  --rounds N         of which medians are taken, all contestants in each; default: ${defaults.rounds}
  --json FILE.json   where all numbers go as well; default: nowhere
  --help             this text
`;

export interface Options {
  /** Of each job. */
  readonly ranks: readonly number[];
  readonly parameters: readonly number[];
  readonly rounds: number;
  readonly json: string | undefined;
}

/** Those of the command line. */
export const readOptions = (): Options =>
  fromCommandLine({ defaults, optional: ['json'] as const, help }, (texts) => {
    const most = whole(1, 64, '--ranks', texts.ranks);
    const largest = whole(800, 1e9, '--parameters', texts.parameters);
    return {
      ranks: [1, 2, 4, 8, 16, 32, 64].filter((ranks) => ranks <= most),
      parameters: [100, 10, 1].map((part) => 8 * Math.floor(largest / part / 8)),
      rounds: whole(1, 1000, '--rounds', texts.rounds),
      json: optional((text) => writable('--json', text, '.json'), texts.json),
    };
  });
