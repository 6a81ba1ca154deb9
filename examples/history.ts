// What happened at every step and after every epoch.
import type { Point } from '../lib/charts/lines.ts';
import type { Score } from './network.ts';

interface Epoch {
  readonly train: Score;
  readonly test: Score;
}

const kUnknown: Score = { loss: NaN, accuracy: NaN };

/** Points are over epochs: 0.5 is the middle of the first one. */
export class History {
  /** The optimizer's class. */
  readonly name: string;
  /** Of every step, before it. */
  readonly losses: Point[] = [];
  readonly rates: Point[] = [];
  /** From the beginning to the end of the last epoch, tests included. */
  seconds = 0;
  readonly #epochs: Epoch[] = [];
  readonly #milliseconds: number[] = []; // of the optimizer's steps
  readonly #steps: number; // of an epoch
  readonly #start = performance.now();

  constructor(name: string, steps: number) {
    this.name = name;
    this.#steps = steps;
  }

  /** @param milliseconds of the optimizer alone */
  addStep({ loss }: Score, learningRate: number, milliseconds: number): void {
    const epoch = this.losses.length / this.#steps;
    this.losses.push([epoch, loss]);
    this.rates.push([epoch, learningRate]);
    this.#milliseconds.push(milliseconds);
  }

  addEpoch(train: Score, test: Score): void {
    this.#epochs.push({ train, test });
    this.seconds = (performance.now() - this.#start) / 1000;
  }

  /** Of the last epoch: mean over its training images as they came, and on the test images after it. */
  get last(): Epoch {
    return this.#epochs.at(-1) ?? { train: kUnknown, test: kUnknown };
  }

  get peakRate(): number {
    return this.rates.reduce((peak, [, rate]) => Math.max(peak, rate), 0);
  }

  /** Median of the optimizer's part of a step. */
  get microseconds(): number {
    const sorted = this.#milliseconds.toSorted((a, b) => a - b);
    return 1000 * (sorted[Math.floor(sorted.length / 2)] ?? NaN);
  }

  /** One point for each epoch, at its end. */
  perEpoch(value: (epoch: Epoch) => number): Point[] {
    return this.#epochs.map((epoch, i) => [i + 1, value(epoch)]);
  }

  /** Exponentially weighted means over the last 100 losses or so; over fewer where there are not many. */
  get smoothedLosses(): Point[] {
    const kept = 1 - 1 / Math.min(100, Math.max(5, this.losses.length / 50));
    let [total, weight] = [0, 0];
    return this.losses.map(([x, y]) => {
      total = kept * total + y;
      weight = kept * weight + 1;
      return [x, total / weight];
    });
  }
}
