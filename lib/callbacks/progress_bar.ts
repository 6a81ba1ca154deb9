// The bar of Keras on a terminal, and its line without one: keras/src/utils/progbar.py, character by character.
import type { Logs } from './callback.ts';

const kWidth = 20; // characters of the bar
const kInterval = 0.05; // seconds between two updates

/** Where a bar is shown, and what time it is, in seconds. */
export interface Surroundings {
  write(text: string): unknown;
  now(): number;
}
/** Whether it moves, or is one line when all is done. */
export type Style = 'bar' | 'line';

const bold = (text: string): string => `\x1b[1m${text}\x1b[0m`;
const coloured = (color: number, length: number): string => `\x1b[${color}m${'\u2501'.repeat(length)}\x1b[0m`;
// eslint-disable-next-line no-control-regex -- the very characters that are not seen
const invisible = /\x1b\[\d+m/g;

/** As Python does it: of two numbers that are equally near the one with the even digit, where `toFixed` takes the larger. */
function fixed(value: number, digits: number): string {
  const isTie = Math.abs((value * 2 ** (digits + 1)) % 2) === 1; // a half of the last digit is not exact otherwise
  if (!isTie) return value.toFixed(digits);
  const below = Math.floor(value * 10 ** digits);
  return ((below % 2 === 0 ? below : below + 1) / 10 ** digits).toFixed(digits);
}

/** As Python writes it. */
function shownValue(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Math.abs(value) > 1e-3) return fixed(value, 4);
  return value.toExponential(4).replace(/\d+$/, (digits) => digits.padStart(2, '0'));
}

const shownLogs = (logs: ReadonlyMap<string, number>): string =>
  [...logs].map(([name, value]) => ` - ${name}: ${shownValue(value)}`).join('');

/** The time of a step, which is also shown where there was none. */
function shownPace(seconds: number): string {
  if (seconds >= 1 || seconds === 0) return ` ${fixed(seconds, 0)}s/step`;
  return seconds >= 1e-3 ? ` ${fixed(1e3 * seconds, 0)}ms/step` : ` ${fixed(1e6 * seconds, 0)}us/step`;
}

/** How long it takes still. */
function shownRest(seconds: number): string {
  const [hours, minutes, rest] = [Math.floor(seconds / 3600), Math.floor(seconds / 60), Math.floor(seconds % 60)];
  const two = (count: number): string => String(count).padStart(2, '0');
  if (seconds > 3600) return `${hours}:${two(minutes % 60)}:${two(rest)}`;
  return seconds > 60 ? `${minutes}:${two(rest)}` : `${rest}s`;
}

/** The progress of one epoch. */
export class ProgressBar {
  /** Steps of the epoch; null as long as that is unknown. */
  target: number | null;
  readonly #style: Style;
  readonly #out: Surroundings;
  readonly #start: number;
  readonly #values = new Map<string, number>();
  #updated = -Infinity;
  #afterFirst: number | undefined; // the time then: the first step is slower than the others
  #width = 0; // characters of the line that is there

  constructor(target: number | null, style: Style, out: Surroundings) {
    this.target = target;
    this.#style = style;
    this.#out = out;
    this.#start = out.now();
  }

  /** After `current` steps, or when all is done. */
  update(current: number, logs: Logs, done: boolean): void {
    for (const [name, value] of Object.entries(logs)) if (typeof value === 'number') this.#values.set(name, value);
    const now = this.#out.now();
    const pace = this.#paceAt(current, now);
    if (this.#style === 'line') {
      if (done && this.target !== null && this.target > 0) this.#printLine(current, now, pace);
    } else if (done || now - this.#updated >= kInterval) this.#print(current, now, pace, done);
    else return;
    this.#updated = now;
  }

  /** Seconds for a step. */
  #paceAt(current: number, now: number): number {
    if (current === 0) return 0;
    const first = this.#afterFirst;
    if (current === 1) this.#afterFirst = now;
    return first !== undefined && current > 1 ? (now - first) / (current - 1) : (now - this.#start) / current;
  }

  #elapsed(now: number): string {
    return `${fixed(now - this.#start, 0)}s`;
  }

  #printLine(current: number, now: number, pace: number): void {
    const count = `${String(current).padStart(String(this.target).length)}/${this.target}`;
    this.#out.write(`${count} - ${this.#elapsed(now)} -${shownPace(pace)}${shownLogs(this.#values)}\n`);
  }

  /** Over what was there, all of it. */
  #print(current: number, now: number, pace: number, done: boolean): void {
    const { target } = this;
    const known = target !== null && target > 0;
    const time = known && !done ? shownRest(pace * (target - current)) : this.#elapsed(now);
    const bar = known ? this.#barAt(current, target) : `${String(current).padStart(7)}/Unknown`;
    const line = `${bar} ${bold(time)}${shownPace(pace)}${shownLogs(this.#values)}`;
    const width = line.replace(invisible, '').length;
    const rest = ' '.repeat(Math.max(0, this.#width - width));
    this.#out.write(`${'\b'.repeat(this.#width)}\r${line}${rest}${done ? '\n' : ''}`);
    this.#width = width;
  }

  #barAt(current: number, target: number): string {
    const count = bold(`${String(current).padStart(String(target).length)}/${target}`);
    const full = Math.min(kWidth, Math.floor(kWidth * (current / target)));
    return `${count} ${full > 0 ? coloured(32, full) : ''}${coloured(37, kWidth - full)}`;
  }
}
