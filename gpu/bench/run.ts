// The benchmark on a GPU: node run.js --help
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

import { AdamW, devices, info, Nadam } from '../../lib/index.ts';
import { addon } from '../../lib/native.ts';
import { circumstances } from '../../bench/circumstances.ts';
import { totalOf } from '../../bench/work.ts';
import { kinds, randomFrom } from '../checks/numbers.ts';
import { assertSameTraining, taskOf } from '../checks/training.ts';
import { indexOf } from '../checks/foreign.ts';
import type { GpuName } from '../checks/variables.ts';
import { driverRelease } from '../startup.ts';
import { goalLines, table } from './table.ts';
import { goalsOf, nameOf } from './goals.ts';
import { optionsOf } from './lanes.ts';
import { Torch } from './torch.ts';
import { measure, type Outcome } from './trial.ts';
import { bytesOf, rules, works, type Work } from './works.ts';

const help = `Measures steps on a GPU beside a copy of as many bytes, and beside PyTorch where there is one with CUDA.
  --device D        default cuda:0
  --rounds N        samples of every lane; default 7
  --sample S        seconds of one, about; default 0.05
  --budget S        seconds after which no trial is begun any more; default none
  --tiny            small works, to see that it runs
  --only REGEX      trials such as "Nadam 1e8 clipped"
  --python P        the Python of PyTorch; default: the first that has it
  --torch-device D  default cuda
  --json FILE       the result`;

const { values: given } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda:0' },
    rounds: { type: 'string', default: '7' },
    sample: { type: 'string', default: '0.05' },
    budget: { type: 'string', default: 'Infinity' },
    tiny: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    python: { type: 'string' },
    'torch-device': { type: 'string', default: 'cuda' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const device = given.device as GpuName;
const kNothing = 'emulated: figures mean nothing';

/** A line for whatever holds nothing but numbers and words: small enough to keep, and to compare. */
const flat = (json: string): string => json.replace(/\{[^{}[\]]*\}/g, (inner) => inner.replace(/\s*\n\s*/g, ' '));

function about(torch: Torch | { readonly missing: string }) {
  const gpu = devices().cuda[indexOf(device)];
  const { version, cuda } = info();
  const { date, node, platform, cpu, cores } = circumstances('gpu');
  return {
    date,
    command: ['gpu/bench/run', ...process.argv.slice(2)].join(' ').replace(/ --json \S+/, ''),
    emulated: addon.cuda.emulated,
    device: gpu,
    driver: { release: driverRelease(), cuda: cuda.driver },
    versions: {
      'keras-optimizers': version,
      cuda: cuda.runtime,
      node,
      torch: 'missing' in torch ? null : torch.version,
    },
    host: { platform, cpu, cores },
    rounds: Number(given.rounds),
    seconds_a_sample: Number(given.sample),
    torch_missing: 'missing' in torch ? torch.missing : undefined,
  };
}

/** Values first: what is measured leaves the bits of the CPU. */
async function checkValues(): Promise<void> {
  for (const clips of [false, true])
    for (const [rule, cls] of Object.entries({ Nadam, AdamW })) {
      const task = taskOf([[1000], [33], [70_001], [64, 20]], 'float32', 5, kinds.ordinary, randomFrom(rule));
      await assertSameTraining({ ...task, make: () => new cls(optionsOf(clips)) }, device, rule);
    }
}

const kReserve = 0.92; // of the device's memory
const kLargestCopies = 2 * 4 * 2 ** 30; // bytes

/** Why there is no room for parameters, gradients, two slots and what the copy needs. */
function tooLarge({ shapes }: Work): string | undefined {
  const elements = totalOf(shapes);
  const needed = 16 * elements + Math.min(kLargestCopies, elements * bytesOf(true));
  const there = kReserve * (devices().cuda[indexOf(device)]?.memory ?? 0);
  return needed <= there
    ? undefined
    : `needs ${(needed / 1e9).toFixed(0)} GB, the device has ${(there / 1e9).toFixed(0)}`;
}

const trials = works(given.tiny).flatMap((work) =>
  rules.flatMap((rule) => [false, true].map((clips) => ({ work, rule, clips }))),
);

async function measureAll(torch: Torch | undefined, skipped: string[]): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const sampling = { device, rounds: Number(given.rounds), seconds: Number(given.sample) };
  const start = performance.now();
  for (const { work, rule, clips } of trials) {
    const name = nameOf({ rule, work: work.name, clips });
    if (!new RegExp(given.only).test(name)) continue;
    const late = performance.now() - start > 1000 * Number(given.budget) ? 'the time was up' : undefined;
    const reason = late ?? tooLarge(work);
    if (reason !== undefined) {
      skipped.push(`${name}: ${reason}`);
      continue;
    }
    const outcome = await measure(work, rule, clips, torch, sampling);
    outcomes.push(outcome);
    const { median: ms } = outcome.lanes.ours?.gpu_ms ?? { median: NaN };
    console.log(`  ${name}: ${ms} ms, ${outcome.step_gb_s} GB/s, copy ${outcome.copy_gb_s} GB/s`);
  }
  return outcomes;
}

async function main(): Promise<void> {
  const { unusable } = devices();
  if (unusable !== null) throw new Error(`${unusable.code}: ${unusable.message}`);
  const found = await Torch.start(given['torch-device'], given.python);
  const torch = found instanceof Torch ? found : undefined;
  try {
    const head = about(found);
    const { name = device } = head.device ?? {};
    console.log(
      `${head.date}  ${name}, driver ${head.driver.release ?? '?'} (CUDA ${head.driver.cuda}), Node ${head.versions.node}`,
    );
    console.log(`PyTorch: ${head.versions.torch ?? head.torch_missing}`);
    if (head.emulated) console.log(kNothing);
    await checkValues();
    console.log("values: the CPU's bits");
    const skipped: string[] = [];
    const outcomes = await measureAll(torch, skipped);
    const goals = goalsOf(outcomes);
    console.log(`\n${table(outcomes)}`);
    console.log(
      `Medians of ${head.rounds} rounds. ms: by the device's clock; GB/s: read and written; copy: device to device, as many bytes;`,
    );
    console.log('fused, foreach, graph: times what PyTorch takes, in the same round.');
    for (const line of new Set([...skipped, ...outcomes.flatMap((one) => one.skipped)]))
      console.log(`skipped: ${line}`);
    console.log(head.emulated ? kNothing : `\n${goalLines(goals)}`);
    const result = { ...head, skipped, goals: head.emulated ? [] : goals, trials: outcomes };
    if (given.json !== undefined) writeFileSync(given.json, `${flat(JSON.stringify(result, null, 1))}\n`);
    process.exitCode = outcomes.length > 0 ? 0 : 1;
  } finally {
    torch?.close();
  }
}

if (given.help) console.log(help);
else await main();
