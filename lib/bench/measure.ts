// Samples in rounds: every driver once in each round, so that what happens on the machine happens to all of them.

export interface Lane {
  readonly driver: string;
  /** Does that many repetitions; gives the seconds they took. */
  readonly run: (repetitions: number) => number | Promise<number>;
}

/** Seconds a repetition, of each driver, in each round. */
export type Samples = Readonly<Record<string, readonly number[]>>;

const kWarmUp = 0.15; // seconds: less leaves JavaScript unoptimized, whose compiler has to share the one processor
const kShort = 0.001; // seconds: what a cache can hold of a step's arrays takes less

/** A run whose repetition is one call of `step`. */
export const timed =
  (step: () => void) =>
  (repetitions: number): number => {
    const start = performance.now();
    for (let i = 0; i < repetitions; i++) step();
    return (performance.now() - start) / 1000;
  };

/** Warms up. Gives how many repetitions make a sample of that many seconds. */
export async function calibrate({ run }: Lane, seconds: number): Promise<number> {
  await run(1); // compiles what is compiled at the first step
  for (let repetitions = 1, spent = 0; ;) {
    const took = await run(repetitions);
    spent += took;
    if (spent >= kWarmUp && took >= seconds / 4) return Math.max(1, Math.round((repetitions * seconds) / took));
    if (took < seconds) repetitions *= 2;
  }
}

/** A lane that fails is left out from then on, and `failed` is told why. */
export async function inRounds(
  lanes: readonly Lane[],
  rounds: number,
  seconds: number,
  failed: (driver: string, reason: Error) => void,
): Promise<Samples> {
  const samples = new Map<Lane, number[]>();
  const repetitions = new Map<Lane, number>();
  const attempt = async (lane: Lane, act: () => Promise<unknown>): Promise<void> => {
    await act().catch((error: Error) => {
      samples.delete(lane);
      repetitions.delete(lane);
      failed(lane.driver, error);
    });
  };
  for (const lane of lanes) await attempt(lane, async () => void repetitions.set(lane, await calibrate(lane, seconds)));
  for (const lane of repetitions.keys()) samples.set(lane, []);
  for (let round = 0; round < rounds; round++)
    for (const [lane, taken] of [...samples])
      await attempt(lane, async () => {
        const count = repetitions.get(lane) as number;
        if (seconds / count < kShort) await lane.run(1); // brings its arrays back into the caches, which the others have used
        taken.push((await lane.run(count)) / count);
      });
  return Object.fromEntries([...samples].map(([{ driver }, taken]) => [driver, taken]));
}

/** The value below which the given part of the numbers lies. */
export function quantile(numbers: readonly number[], part: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const place = part * (sorted.length - 1);
  const [low = NaN, high = low] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}

/** Of the samples of all rounds. */
export interface Summary {
  readonly median: number;
  /** Quartiles. */
  readonly low: number;
  readonly high: number;
}

export function summary(numbers: readonly number[]): Summary {
  const short = (part: number): number => Number(quantile(numbers, part).toPrecision(4));
  return { median: short(0.5), low: short(0.25), high: short(0.75) };
}
