// The two trainings side by side, and by how much their losses differ.
import { kTolerance } from './options.ts';
import type { Point, Run } from './training.ts';

const relative = (a: number, b: number): number => Math.abs(a - b) / Math.abs(a);
const digits = (x: number): string => (x === 0 ? '0' : x.toExponential(1));

/** Of the points of an epoch. */
function meanLoss(points: readonly Point[]): number {
  const images = points.reduce((sum, point) => sum + point.images, 0);
  return points.reduce((sum, { loss, images: n }) => sum + loss * (n / images), 0);
}

/** `difference`: the largest of two points of the curves, relative to the loss on the CPU. */
export function reportOf(cpu: Run, gpu: Run): { readonly text: string; readonly difference: number } {
  const differences = cpu.points.map((points, epoch) =>
    points.map(({ loss }, i) => relative(loss, gpu.points[epoch]?.[i]?.loss ?? NaN)),
  );
  const largest = differences.map(maximum);
  const difference = maximum(largest);
  const rows = [
    ['epoch', 'loss on the CPU', 'loss on the GPU', 'largest difference'],
    ...cpu.points.map((points, epoch) => [
      `${epoch + 1}`,
      ...[points, gpu.points[epoch] ?? []].map((some) => meanLoss(some).toFixed(6)),
      digits(largest[epoch] ?? NaN),
    ]),
    ['test', ...[cpu, gpu].map(({ test }) => test.loss.toFixed(6)), digits(relative(cpu.test.loss, gpu.test.loss))],
  ];
  const lines = [
    table(rows),
    `test accuracy: ${[cpu, gpu].map(({ test }) => (100 * test.accuracy).toFixed(2)).join(' % and ')} %`,
    `time per step: ${[cpu, gpu].map(({ milliseconds }) => milliseconds.toFixed(3)).join(' ms and ')} ms`,
    `largest difference of the loss curves: ${digits(difference)} of the loss, ${difference <= kTolerance ? 'within' : 'beyond'} ${kTolerance}`,
  ];
  return { text: lines.join('\n'), difference };
}

/** NaN if one of them is. */
const maximum = (numbers: readonly number[]): number => Math.max(0, ...numbers);

/** Markdown. */
function table([head = [], ...body]: readonly (readonly string[])[]): string {
  const widths = head.map((_, i) => Math.max(...[head, ...body].map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) => `| ${cells.map((text, i) => text.padStart(widths[i] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((n) => `${'-'.repeat(n - 1)}:`)), ...body.map(line)].join('\n');
}
