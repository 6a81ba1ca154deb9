// One epoch on the terminal: a line that is drawn over and over, as Keras does; elsewhere one line each quarter.
import { setImmediate } from 'node:timers/promises';
import type { Score } from './network.ts';

const kRedraw = 50; // milliseconds
const kWidestBar = 30; // characters
const kNarrowestBar = 8;

/** Means over examples. */
export class Mean implements Score {
  loss = 0;
  accuracy = 0;
  #examples = 0;

  add(score: Score, examples: number): void {
    this.#examples += examples;
    const share = examples / this.#examples;
    this.loss += (score.loss - this.loss) * share;
    this.accuracy += (score.accuracy - this.accuracy) * share;
  }
}

export class Progress {
  /** Of the training images so far. */
  readonly mean = new Mean();
  readonly #title: string;
  readonly #steps: number;
  readonly #out = process.stdout;
  readonly #redraws = process.stdout.isTTY && process.env.TERM !== 'dumb';
  readonly #start = performance.now();
  #drawn = -Infinity;
  #done = 0;

  constructor(title: string, steps: number) {
    this.#title = title;
    this.#steps = steps;
    if (this.#redraws) this.#out.write(`${title}\n`);
  }

  /** Counts a step that saw so many examples. */
  async step(score: Score, examples: number, learningRate: number): Promise<void> {
    this.mean.add(score, examples);
    this.#done++;
    if (this.#redraws) await this.#redraw(learningRate);
    else if (isQuarter(this.#done, this.#steps))
      this.#out.write([this.#title, this.#count, ...this.#facts(learningRate)].join(' - ') + '\n');
  }

  end(test: Score): void {
    const title = this.#redraws ? '' : `${this.#title} - `;
    this.#out.write(`${title}test loss: ${test.loss.toFixed(4)} - test accuracy: ${test.accuracy.toFixed(4)}\n`);
  }

  get #count(): string {
    return `${String(this.#done).padStart(String(this.#steps).length)}/${this.#steps}`;
  }

  /** What to know, the most important first. */
  #facts(learningRate: number): string[] {
    const { loss, accuracy } = this.mean;
    const speed = (1000 * this.#done) / (performance.now() - this.#start);
    return [
      `loss: ${loss.toFixed(4)}`,
      `accuracy: ${accuracy.toFixed(4)}`,
      `lr: ${learningRate.toPrecision(3)}`,
      `${Math.round(speed)} steps/s`,
    ];
  }

  async #redraw(learningRate: number): Promise<void> {
    const last = this.#done === this.#steps;
    if (!last && performance.now() - this.#drawn < kRedraw) return;
    this.#drawn = performance.now();
    this.#out.write(`\r${this.#line(this.#facts(learningRate))}\x1b[K${last ? '\n' : ''}`);
    await setImmediate(); // the event loop learns of a new width, and of Ctrl-C
  }

  /** As wide as the terminal, less one column: a full line would wrap. Facts that leave no room for the bar are left out. */
  #line(facts: string[]): string {
    const columns = (this.#out.columns || 80) - 1;
    const room = () => columns - this.#count.length - facts.join(' - ').length - 2;
    while (facts.length > 0 && room() < kNarrowestBar) facts.pop();
    const width = Math.max(0, Math.min(kWidestBar, room()));
    return `${this.#count} ${this.#bar(width)} ${facts.join(' - ')}`;
  }

  #bar(width: number): string {
    const done = Math.floor((width * this.#done) / this.#steps);
    const colors = this.#out.hasColors(); // false where NO_COLOR is set
    const paint = (color: number, text: string) => (colors ? `\x1b[${color}m${text}\x1b[0m` : text);
    return paint(32, '\u2501'.repeat(done)) + paint(90, '\u2500'.repeat(width - done)); // heavy green, light grey
  }
}

const isQuarter = (done: number, steps: number): boolean =>
  Math.floor((4 * done) / steps) > Math.floor((4 * (done - 1)) / steps);
