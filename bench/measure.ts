// Samples in rounds: every driver once in each round, so that what happens on the machine happens to all of them.

export interface Run {
  /** Does that many repetitions; returns the seconds they took. */
  readonly run: (repetitions: number) => number;
}

const kWarmUp = 0.06; // seconds: less leaves JavaScript unoptimized

/** Warms up. Returns how many repetitions make a sample of that many seconds. */
export function calibrate({ run }: Run, seconds: number): number {
  for (let repetitions = 1, spent = 0; ;) {
    const took = run(repetitions);
    spent += took;
    if (spent >= kWarmUp && took >= seconds / 4) return Math.max(1, Math.round((repetitions * seconds) / took));
    if (took < seconds) repetitions *= 2;
  }
}

/** Seconds a repetition, of each in each round. */
export function inRounds(runs: readonly Run[], rounds: number, seconds: number): number[][] {
  const repetitions = runs.map((run) => calibrate(run, seconds));
  const samples: number[][] = runs.map(() => []);
  for (let round = 0; round < rounds; round++)
    runs.forEach(({ run }, i) => {
      const count = repetitions[i] as number;
      run(1); // brings its arrays back into the caches, which the others have used
      samples[i]?.push(run(count) / count);
    });
  return samples;
}

/** The value below which the given part of the numbers lies. */
export function quantile(numbers: readonly number[], part: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  const place = part * (sorted.length - 1);
  const [low = NaN, high = low] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return low + (high - low) * (place - Math.floor(place));
}

export const median = (numbers: readonly number[]): number => quantile(numbers, 0.5);
