// The tables of npm run bench:mnist.
import { quantile } from '../../lib/bench/measure.ts';
import type { Answer } from './contestant.ts';
import type { Job } from './job.ts';

export interface Entry {
  readonly name: string;
  readonly text: string;
  readonly versions: string;
  readonly startSeconds: number;
  readonly epochs: readonly Answer[];
}

const median = (numbers: readonly number[]): number => quantile(numbers, 0.5);
const stepsOf = ({ train, batchSize }: Job): number => Math.ceil(train / batchSize);

const line = (name: string, cells: readonly string[]): string =>
  name.padEnd(21) + cells.map((cell) => cell.padStart(11)).join('');

/** Seconds of an epoch, and of the optimizer in it: medians. */
function timesOf({ epochs }: Entry): readonly [number, number | null] {
  const optimizer = epochs.flatMap(({ optimizerSeconds }) => optimizerSeconds ?? []);
  return [median(epochs.map(({ seconds }) => seconds)), optimizer.length > 0 ? median(optimizer) : null];
}

function timeCells(entry: Entry, job: Job): string[] {
  const [epoch, optimizer] = timesOf(entry);
  const microseconds = (seconds: number) => ((1e6 * seconds) / stepsOf(job)).toFixed(0);
  const share =
    optimizer === null ? ['-', '-'] : [microseconds(optimizer), `${((100 * optimizer) / epoch).toFixed(1)} %`];
  const all = entry.startSeconds + entry.epochs.reduce((total, { seconds }) => total + seconds, 0);
  return [
    entry.startSeconds.toFixed(1),
    epoch.toFixed(2),
    (stepsOf(job) / epoch).toFixed(0),
    microseconds(epoch),
    ...share,
    all.toFixed(1),
  ];
}

/** A line for each contestant: how fast it is. */
export const summaries = (entries: readonly Entry[], job: Job): string =>
  [
    `Medians of ${job.epochs} epochs; start: until the first step can begin; us: microseconds a step; all: start and epochs`,
    line('', ['start s', 's/epoch', 'steps/s', 'us', 'optimizer', 'its share', 'all s']),
    ...entries.map((entry) => line(entry.name, timeCells(entry, job))),
    ...entries.map(({ name, text, versions }) => `  ${name}: ${text} (${versions})`),
  ].join('\n');

/** Mean over the images: the last batch may be smaller. */
function lossOf({ losses }: Answer, { train, batchSize }: Job): number {
  const sizes = losses.length === 1 ? [train] : losses.map((_, i) => Math.min(batchSize, train - i * batchSize));
  return losses.reduce((total, loss, i) => total + loss * (sizes[i] as number), 0) / train;
}

/** Of the epoch's loss, and the largest one of a step's. */
function differences(mine: Answer, theirs: Answer, job: Job): string[] {
  const epoch = lossOf(theirs, job) - lossOf(mine, job);
  const steps = theirs.losses.map((loss, i) => Math.abs(loss - (mine.losses[i] as number)));
  return [
    epoch.toExponential(1),
    theirs.losses.length === mine.losses.length ? Math.max(...steps).toExponential(1) : '-',
  ];
}

/** For each epoch a line for each contestant: what it learned. */
export function curves(entries: readonly Entry[], job: Job): string {
  const [first] = entries;
  const epochLines = (epoch: number) =>
    entries.flatMap((entry) => {
      const [answer, reference] = [entry.epochs[epoch], first?.epochs[epoch]];
      if (answer === undefined || reference === undefined) return [];
      const learned = [lossOf(answer, job).toFixed(5), `${(100 * answer.accuracy).toFixed(2)} %`];
      const apart = answer === reference ? [] : differences(reference, answer, job);
      return line(entry.name, [`${epoch + 1}`, answer.seconds.toFixed(2), ...learned, ...apart]);
    });
  return [
    `Training loss and test accuracy; the difference of the loss from ${first?.name}'s, over the epoch and the largest of a step`,
    line('', ['epoch', 's', 'loss', 'accuracy', 'difference', 'of a step']),
    ...Array.from({ length: job.epochs }, (_, epoch) => epochLines(epoch)).flat(),
  ].join('\n');
}
