// How long the event loop stands still while a large variable is stepped: apply, and apply_async beside it.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

import { getNumThreads, Nadam, Variable } from 'keras-optimizers';

export interface Delay {
  readonly call: 'apply' | 'apply_async';
  /** Milliseconds beyond what an idle loop takes between two ticks. */
  readonly median: number;
  readonly p99: number;
  readonly most: number;
}

const kTick = 1; // milliseconds
const kElements = 2 ** 24;

/** Steps a Nadam of 16M float32 elements, each call followed by a turn of the event loop. */
async function delayOf(call: Delay['call'], steps: number): Promise<Delay> {
  const variable = new Variable(new Float32Array(kElements));
  variable.gradient.fill(0.5);
  const optimizer = new Nadam();
  optimizer.build([variable]);
  const monitor = monitorEventLoopDelay({ resolution: kTick });
  monitor.enable();
  for (let i = 0; i < steps; i++) {
    await optimizer[call]();
    await sleep(2 * kTick);
  }
  monitor.disable();
  const beyond = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - kTick);
  return {
    call,
    median: beyond(monitor.percentile(50)),
    p99: beyond(monitor.percentile(99)),
    most: beyond(monitor.max),
  };
}

/** The cells of a table: the call, then median, p99 and most. */
export const delaysOf = (delays: readonly Delay[]): string[][] =>
  delays.map(({ call, median, p99, most }) => [call, ...[median, p99, most].map((ms) => ms.toFixed(2))]);

/** Both, and their table for a terminal; nothing for no steps. */
export async function delayTable(steps: number): Promise<{ text: string; delays: Delay[] }> {
  if (steps === 0) return { text: '', delays: [] };
  const delays = [await delayOf('apply', steps), await delayOf('apply_async', steps)];
  const row = ([call = '', ...cells]: string[]): string =>
    call.padEnd(12) + cells.map((text) => text.padStart(10)).join('');
  const head = `event loop: delay in ms while Nadam steps 16M elements ${steps} times, on ${getNumThreads()} threads`;
  return {
    text: ['', head, `${''.padEnd(12)}    median       p99      most`, ...delaysOf(delays).map(row), ''].join('\n'),
    delays,
  };
}
