// Lanes in rounds: each once in every round, so that what happens to the machine happens to all of them.
import type { Lane, Timing } from './lanes.ts';

/** Of each lane, in each round. */
export type Samples = ReadonlyMap<string, readonly Timing[]>;

const kMost = 2000; // repetitions of a sample

/** How many repetitions make a sample of about so many seconds. */
async function calibrate(lane: Lane, seconds: number): Promise<number> {
  await lane.run(1); // allocates and compiles what is made at the first step
  for (let repetitions = 2; ; repetitions *= 4) {
    const took = (await lane.run(repetitions)).wall * repetitions;
    if (took >= seconds / 4 || repetitions >= kMost)
      return Math.max(1, Math.min(kMost, Math.round((repetitions * seconds) / Math.max(took, 1e-9))));
  }
}

/** A lane that fails is left out from then on, and `failed` is told why. */
export async function inRounds(
  lanes: readonly Lane[],
  rounds: number,
  seconds: number,
  failed: (name: string, reason: string) => void,
): Promise<Samples> {
  const repetitions = new Map<Lane, number>();
  const samples = new Map<string, Timing[]>();
  const attempt = async (lane: Lane, act: () => Promise<void>): Promise<void> => {
    await act().catch((error: Error) => {
      repetitions.delete(lane);
      samples.delete(lane.name);
      failed(lane.name, error.message);
    });
  };
  for (const lane of lanes)
    await attempt(lane, async () => {
      repetitions.set(lane, await calibrate(lane, seconds));
      samples.set(lane.name, []);
    });
  for (let round = 0; round < rounds; round++)
    for (const [lane, count] of [...repetitions])
      await attempt(lane, async () => void samples.get(lane.name)?.push(await lane.run(count)));
  return samples;
}
