// The table of npm run bench:bfloat16.
import type { Curve, Points, Request } from './curve.ts';

export const keyOf = ({ task, variant, seed }: Request): string => `${task} ${variant} seed ${seed}`;

const mean = (numbers: readonly number[]): number => numbers.reduce((total, x) => total + x, 0) / numbers.length;
const last = (points: Points): number => points.at(-1)?.[1] ?? NaN;
/** Mean over the last twentieth of the steps. */
const lastTraining = ({ training }: Curve): number =>
  mean(training.slice(-Math.ceil(training.length / 20)).map(([, loss]) => loss));

const line = (name: string, cells: readonly string[]): string =>
  name.padEnd(38) + cells.map((cell) => cell.padStart(14)).join('');

function row(curve: Curve, reference: Curve | undefined): string {
  const apart = reference === undefined ? NaN : last(curve.heldOut) - last(reference.heldOut);
  const losses = [lastTraining(curve), last(curve.heldOut), apart].map((x) => x.toFixed(4));
  return line(keyOf(curve), [...losses, (curve.stateBytes / 1e6).toFixed(2), curve.applyMicroseconds.toFixed(0)]);
}

/** How far apart the held-out losses are that only the seed tells apart: the scale for the differences. */
function spread(curves: readonly Curve[]): string {
  const losses = curves.map(({ heldOut }) => last(heldOut));
  const deviation = Math.sqrt(
    mean(losses.map((loss) => (loss - mean(losses)) ** 2)) * (losses.length / (losses.length - 1)),
  );
  const [least, most] = [Math.min(...losses), Math.max(...losses)].map((loss) => loss.toFixed(4));
  return `  float32 with ${losses.length} seeds: held out ${least} to ${most}, standard deviation ${deviation.toFixed(4)}`;
}

/** A line for each curve, in the order given. */
export function table(curves: readonly Curve[]): string {
  const tasks = [...new Set(curves.map(({ task }) => task))];
  const lines = tasks.flatMap((task) => {
    const mine = curves.filter((curve) => curve.task === task);
    const exact = mine.filter(({ variant }) => variant === 'float32');
    return [...mine.map((curve) => row(curve, exact[0])), ...(exact.length > 1 ? [spread(exact)] : [])];
  });
  return [
    "Loss at the end: of the last twentieth of the training, and on held-out data; apply: median of the optimizer's step",
    line('', ['training', 'held out', 'less float32', 'state MB', 'apply us']),
    ...lines,
  ].join('\n');
}
