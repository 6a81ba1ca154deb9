// `keras-optimizers bench`.
import { cpus, totalmem } from 'node:os';

import { check, contest, needed, type Outcome, type Trial } from '../bench/contest.ts';
import { countOf } from '../bench/count.ts';
import { ruleNames } from '../bench/rules.ts';
import { gpuOf, info, type Device } from '../devices.ts';
import { getNumThreads, setNumThreads } from '../native.ts';
import { UsageError, type Command, type Values } from './commands.ts';
import { countIn } from './count.ts';
import { plural } from './text.ts';

const kOptimizers = ['nadam', 'adamw', 'sgd'];
const kElements = '64K,1M,16M';
const kRounds = 7;
const kShare = 0.6; // of the memory of the machine

export const bench: Command = {
  usage: 'bench [OPTIMIZER...] [--elements LIST] [--device DEVICE] [--threads N] [--rounds N] [--json]',
  help: `Measures steps of optimizers on this machine, in about ten seconds. First their values are compared with those of loops in
JavaScript; then three take turns in every round: the step; what reads and writes as much memory and computes nothing, as a step
cannot be much faster than memory; and the loop in JavaScript. Shown are medians of the rounds.

  ms          of a step of one float32 variable
  GB/s        that the step reads and writes; for what fits into caches it says how fast these are
  memory      the same of TypedArray.reverse in place on as many threads; on a GPU, of a copy within its memory
  of it       the first in parts of the second, of the same round
  JS ms       of the loop in JavaScript, on one thread
  times       as long it takes

OPTIMIZER is one of ${ruleNames.join(', ').replace(/(.{80}\S*) /g, '$1\n')};
without any: ${kOptimizers.join(', ')}.

Options:
  --elements LIST   sizes of the variable, as 64K,1M (of 1024 and 1024 x 1024); without: ${kElements}
  --device DEVICE   cpu (default), cuda, cuda:1, ...
  --threads N       of a step on the host; without: all cores, or KERAS_OPTIMIZERS_NUM_THREADS
  --rounds N        more are steadier and take longer; without: ${kRounds}
  --json            one JSON object: version, node, backend, threads, processor, device, yardstick, differences, and the list results
                    of { optimizer, elements, bytes, step, speed, memory, share, javascript, times }; ms and 10^9 bytes/s

Examples:
  keras-optimizers bench
  keras-optimizers bench adam --elements 256K --threads 1 --json
`,
  options: {
    elements: { type: 'string', default: kElements },
    device: { type: 'string', default: 'cpu' },
    threads: { type: 'string' },
    rounds: { type: 'string', default: String(kRounds) },
    json: { type: 'boolean' },
  },
  expects: [],
  more: 'OPTIMIZER',
  async run(names, values, { out, error }) {
    const { trials, rounds, left } = planOf(names, values);
    const results: Outcome[] = [];
    const say = values.json === true ? () => undefined : out;
    const differences: Record<string, number> = {};
    for (const { optimizer, device } of trials) differences[optimizer] ??= await check(optimizer, device);
    for (const trial of left) error(`note: ${trial.optimizer} of ${trial.elements} elements is left out: memory\n`);
    const machine = machineOf(trials[0]?.device ?? 'cpu');
    say(headOf(machine, rounds));
    for (const trial of trials) {
      const result = await contest(trial, rounds);
      results.push(result);
      say(rowOf(result));
    }
    if (values.json === true) out(`${JSON.stringify({ ...machine, rounds, differences, results }, null, 2)}\n`);
  },
};

function planOf(names: readonly string[], { elements, device: named, threads, rounds }: Values) {
  const device = named as Device;
  gpuOf('bench', device); // throws why it cannot be used
  if (typeof threads === 'string') setNumThreads(countIn('--threads', threads, 1024));
  const chosen = names.length === 0 ? kOptimizers : names.map(nameIn);
  const sizes = String(elements).split(',').map(sizeIn);
  const all = chosen.flatMap((optimizer) => sizes.map((size): Trial => ({ optimizer, elements: size, device })));
  const fits = (trial: Trial): boolean => needed(trial) <= kShare * totalmem();
  return {
    trials: all.filter(fits),
    left: all.filter((trial) => !fits(trial)),
    rounds: countIn('--rounds', String(rounds), 1000),
  };
}

function nameIn(word: string): string {
  const name = ruleNames.find((known) => [known, known.replaceAll('_', '')].includes(word.toLowerCase()));
  if (name !== undefined) return name;
  throw new UsageError(`expects names of optimizers (${ruleNames.join(', ')}), got ${JSON.stringify(word)}`);
}

function sizeIn(word: string): number {
  const size = countOf(word);
  if (size <= 2 ** 30) return size;
  throw new UsageError(`--elements expects sizes up to 1024M, as 64K,1M, got ${JSON.stringify(word)}`);
}

function machineOf(device: Device) {
  const { version, node, backend } = info();
  const processor = cpus()[0]?.model.trim() ?? 'unknown processor';
  const gpu = gpuOf('bench', device);
  const threads = getNumThreads();
  const yardstick =
    gpu === undefined
      ? `TypedArray.reverse in place, ${plural(threads, 'thread')}`
      : 'a copy within the memory of the GPU';
  return { version, node, backend, threads, processor, device, yardstick };
}

function headOf(
  { version, node, backend, threads, processor, device, yardstick }: ReturnType<typeof machineOf>,
  rounds: number,
): string {
  const where = device === 'cpu' ? `kernels ${backend}, ${plural(threads, 'thread')}` : device;
  return `keras-optimizers ${version}, Node.js ${node}, ${where}, ${processor}
The values are those of loops in JavaScript. Medians of ${rounds} rounds. memory: ${yardstick}.

${line(['optimizer', 'elements', 'ms', 'GB/s', 'memory', 'of it', 'JS ms', 'times'])}`;
}

const rowOf = ({ optimizer, elements, step, speed, memory, share, javascript, times }: Outcome): string =>
  line([
    optimizer,
    sizeText(elements),
    ms(step),
    tenths(speed),
    tenths(memory),
    `${Math.round(100 * share)} %`,
    ms(javascript),
    tenths(times),
  ]);

const kFirst = 24; // characters of a column, and of the others
const kOthers = 9;
const line = ([first = '', ...rest]: readonly string[]): string =>
  `${first.padEnd(kFirst)}${rest.map((text) => text.padStart(kOthers)).join('')}\n`;
const ms = (x: number): string => String(Number(x.toPrecision(3)));
const tenths = (x: number): string => x.toFixed(1);

function sizeText(elements: number): string {
  const [size, unit] = [[2 ** 20, 'M'] as const, [2 ** 10, 'K'] as const].find(([of]) => elements % of === 0) ?? [
    1,
    '',
  ];
  return `${elements / size}${unit}`;
}
