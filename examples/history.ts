// What happened at every step and after every epoch, and its chart.
import { lineChart, type Panel, type Point } from '../charts/lines.ts';
import type { Score } from './network.ts';

interface Epoch {
  readonly train: Score;
  readonly test: Score;
}

export class History {
  readonly #losses: Point[] = [];
  readonly #rates: Point[] = [];
  readonly #epochs: Epoch[] = [];
  readonly #steps: number; // of an epoch

  constructor(steps: number) {
    this.#steps = steps;
  }

  addStep({ loss }: Score, learningRate: number): void {
    const epoch = this.#losses.length / this.#steps;
    this.#losses.push([epoch, loss]);
    this.#rates.push([epoch, learningRate]);
  }

  addEpoch(train: Score, test: Score): void {
    this.#epochs.push({ train, test });
  }

  /** After the last epoch. */
  get testAccuracy(): number {
    return this.#epochs.at(-1)?.test.accuracy ?? NaN;
  }

  chart(title: string, subtitle: string): string {
    return lineChart({ title, subtitle, x: 'epoch', panels: [this.#loss, this.#accuracy, this.#rate] });
  }

  get #loss(): Panel {
    const train = smoothed(this.#losses);
    const test = this.#perEpoch(({ test: { loss } }) => loss);
    return {
      title: 'Loss, logarithmic; faint: every step',
      height: 220,
      log: true,
      series: [
        { points: this.#losses, color: 'blue', look: 'faint' },
        { points: train, color: 'blue', label: `training ${last(train).toFixed(3)}` },
        { points: test, color: 'orange', look: 'dotted', label: `test ${last(test).toFixed(3)}` },
      ],
    };
  }

  get #accuracy(): Panel {
    const train = this.#perEpoch(({ train: { accuracy } }) => 100 * accuracy);
    const test = this.#perEpoch(({ test: { accuracy } }) => 100 * accuracy);
    return {
      title: 'Accuracy in %',
      height: 170,
      series: [
        { points: train, color: 'blue', look: 'dotted', label: `training ${last(train).toFixed(2)}` },
        { points: test, color: 'orange', look: 'dotted', label: `test ${last(test).toFixed(2)}` },
      ],
    };
  }

  get #rate(): Panel {
    const label = `${Number(last(this.#rates).toPrecision(2))}`;
    return { title: 'Learning rate', height: 120, series: [{ points: this.#rates, color: 'green', label }] };
  }

  #perEpoch(value: (epoch: Epoch) => number): Point[] {
    return this.#epochs.map((epoch, i) => [i + 1, value(epoch)]);
  }
}

const last = (points: readonly Point[]): number => points.at(-1)?.[1] ?? NaN;

/** Exponentially weighted means over the last 100 or so; over fewer where there are not many. */
function smoothed(points: readonly Point[]): Point[] {
  const kept = 1 - 1 / Math.min(100, Math.max(5, points.length / 50));
  let [total, weight] = [0, 0];
  return points.map(([x, y]) => {
    total = kept * total + y;
    weight = kept * weight + 1;
    return [x, total / weight];
  });
}
