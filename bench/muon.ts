// npm run bench:muon: a step of Muon on one matrix, beside PyTorch's, and beside the same iteration in PyTorch's float32. Values
// first, then times in interleaved rounds, on 1 thread and on 2.
import { parseArgs } from 'node:util';

import { circumstances, headOf } from './circumstances.ts';
import type { Task } from './host.ts';
import { variableOf } from './inputs.ts';
import { inRounds, summary, type Lane } from '../lib/bench/measure.ts';
import { Peers } from './peer.ts';

const names = ['ours', 'torch:muon', 'torch:newton_schulz'] as const;
const about = {
  ours: 'optimizer.apply(), float32, one order',
  'torch:muon': 'torch.optim.Muon, which multiplies in bfloat16',
  'torch:newton_schulz': 'the same iteration in torch, float32',
};
/** How far a first step may be from ours, of its length: float32 in another order, and bfloat16 with its 8 digits. */
const tolerances = { 'torch:muon': 0.1, 'torch:newton_schulz': 1e-3 };

const { values: given } = parseArgs({
  options: { side: { type: 'string', default: '1024' }, rounds: { type: 'string', default: '9' } },
});
const side = Number(given.side);

const options = { learning_rate: 0.02, weight_decay: null, momentum: 0.95 };
const taskOn = (threads: number): Task => ({
  rule: 'muon',
  className: 'Muon',
  options,
  plain: options,
  slots: 1,
  variant: 'plain',
  calls: 1,
  passes: [],
  gradients: null,
  rows: null,
  shapes: [[side, side]],
  threads,
});

async function stepped(peers: Peers, driver: string, task: Task): Promise<number[]> {
  await peers.of(driver).ask({ do: 'make', driver, task });
  await peers.of(driver).ask({ do: 'run', driver, repetitions: 1 });
  const { values = '' } = await peers.of(driver).ask({ do: 'values', driver });
  const bytes = Buffer.from(values, 'base64');
  const before = variableOf(side * side, 0);
  return Array.from(before, (x, i) => x - bytes.readFloatLE(4 * i));
}

const length = (list: readonly number[]): number => Math.sqrt(list.reduce((sum, x) => sum + x * x, 0));

async function measure(threads: number): Promise<void> {
  const peers = new Peers(threads);
  try {
    const steps = new Map<string, number[]>();
    for (const name of names) steps.set(name, await stepped(peers, name, taskOn(threads)));
    const ours = steps.get('ours') as number[];
    for (const [name, tolerance] of Object.entries(tolerances)) {
      const theirs = steps.get(name) as number[];
      const apart = length(ours.map((x, i) => x - (theirs[i] as number))) / length(ours);
      console.log(`  ${name}: its first step differs by ${apart.toExponential(1)} of ours`);
      if (!(apart < tolerance)) process.exitCode = 1;
    }
    const lane = (driver: string): Lane => ({
      driver,
      run: async (repetitions) => (await peers.of(driver).ask({ do: 'run', driver, repetitions })).seconds ?? NaN,
    });
    const samples = await inRounds(names.map(lane), Number(given.rounds), 0.2, (driver, error) => {
      console.log(`  ${driver}: ${error.message}`);
      process.exitCode = 1;
    });
    const base = samples.ours ?? [];
    for (const name of names) {
      const taken = samples[name] ?? [];
      const times = summary(base.map((x, i) => x / (taken[i] as number)));
      console.log(
        `  ${String(threads)} thread${threads > 1 ? 's' : ''}  ${name.padEnd(20)} ${(1000 * summary(taken).median).toFixed(1).padStart(8)} ms   ours ${times.median.toFixed(2)} times (${times.low.toFixed(2)} to ${times.high.toFixed(2)})  ${about[name]}`,
      );
    }
    console.log(Object.values(peers.versions).join(', '));
  } finally {
    peers.close();
  }
}

console.log(headOf(circumstances('bench')));
console.log(`Muon on ${side} x ${side}, medians of ${given.rounds} rounds`);
for (const threads of [1, 2]) await measure(threads);
