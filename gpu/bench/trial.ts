// One trial: an optimizer on a work, with or without a norm, in turn with the copy and with PyTorch.
import type { GpuName } from '../checks/variables.ts';
import { elementsOf, totalOf } from '../../bench/work.ts';
import { quantile, summary, type Summary } from '../../lib/bench/measure.ts';
import { Copy, Ours, type Lane } from './lanes.ts';
import { inRounds, type Samples } from './rounds.ts';
import type { Torch } from './torch.ts';
import { bytesOf, type Rule, type Work } from './works.ts';

export interface Sampling {
  readonly device: GpuName;
  readonly rounds: number;
  /** Length of a sample, about. */
  readonly seconds: number;
}

/** Milliseconds a step. */
export interface Measured {
  readonly gpu_ms: Summary;
  readonly wall_ms: Summary;
  /** Times what ours took, in the same round, by the device's clock. */
  readonly ours?: Summary;
}

export interface Outcome {
  readonly work: string;
  readonly tensors: number;
  readonly elements: number;
  readonly rule: Rule;
  readonly clips: boolean;
  /** Read and written by a step. */
  readonly bytes: number;
  /** GB/s of our step and of the copy, and the one as a part of the other in the same round; medians. */
  readonly step_gb_s: number;
  readonly copy_gb_s: number;
  readonly of_copy: number;
  /** Microseconds of the host's time that `apply` takes. */
  readonly host_us: number;
  readonly lanes: Readonly<Record<string, Measured>>;
  readonly skipped: readonly string[];
}

const milliseconds = (seconds: readonly number[]): Summary => summary(seconds.map((x) => 1000 * x));

function measuredOf(name: string, samples: Samples): Measured {
  const [taken, ours] = [samples.get(name) ?? [], samples.get('ours') ?? []];
  const ratios = taken.map(({ gpu }, round) => gpu / (ours[round]?.gpu ?? NaN));
  return {
    gpu_ms: milliseconds(taken.map(({ gpu }) => gpu)),
    wall_ms: milliseconds(taken.map(({ wall }) => wall)),
    ...(name !== 'ours' && { ours: summary(ratios) }),
  };
}

const median = (numbers: readonly number[]): number => Number(quantile(numbers, 0.5).toPrecision(4));

/** Measures, and gives all memory back. Throws if our own lane cannot be made. */
export async function measure(
  work: Work,
  rule: Rule,
  clips: boolean,
  torch: Torch | undefined,
  { device, rounds, seconds }: Sampling,
): Promise<Outcome> {
  const skipped: string[] = [];
  const failed = (name: string, reason: string): void => void skipped.push(`${name}: ${reason}`);
  const lanes: Lane[] = [];
  try {
    const ours = new Ours(device, work, rule, clips);
    lanes.push(ours);
    const copy = new Copy(device, work, clips);
    lanes.push(copy);
    lanes.push(...((await torch?.lanes(work, rule, clips, failed)) ?? []));
    const samples = await inRounds(lanes, rounds, seconds, failed);
    const timings = samples.get('ours');
    if (timings === undefined) throw new Error(skipped.join('; '));
    const bytes = totalOf(work.shapes) * bytesOf(clips);
    const rates = timings.map(({ gpu }) => bytes / gpu / 1e9);
    const copies = (samples.get('copy') ?? []).map(({ gpu }) => copy.bytes / gpu / 1e9);
    return {
      work: work.name,
      tensors: work.shapes.length,
      elements: work.shapes.reduce((sum, shape) => sum + elementsOf(shape), 0),
      rule,
      clips,
      bytes,
      step_gb_s: median(rates),
      copy_gb_s: median(copies),
      of_copy: median(rates.map((rate, round) => rate / (copies[round] ?? NaN))),
      host_us: Number(ours.hostTime().toPrecision(3)),
      lanes: Object.fromEntries([...samples.keys()].map((name) => [name, measuredOf(name, samples)])),
      skipped,
    };
  } finally {
    for (const lane of lanes) await lane.release();
  }
}
