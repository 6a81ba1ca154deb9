// Progress bars, character by character those of Keras, with a clock that says the same to both.
import { assert } from 'chai';

import { ProgressBar } from '../../lib/callbacks/progress_bar.ts';
import type { Keras, Update } from './keras.ts';
import { findsOne } from './self_test.ts';
import { Tally } from './tally.ts';

const values = [2.5, 0.3337, 0.001, -0.0005, 12345.678, 0, 1e-40, -7.25, 5 / 32, NaN, Infinity, -Infinity];
const names = ['loss', 'accuracy', 'val_loss'];

/** Steps that take `pace` seconds; the results change their widths. */
function updatesOf(steps: number, pace: number, every = 1): Update[] {
  const at = (step: number, done: boolean, count: number): Update => ({
    time: pace * step * step ** 0.125,
    current: step,
    logs: Object.fromEntries(
      names.slice(0, count).map((name, i) => [name, String(values[(step + i) % values.length])]),
    ),
    done,
  });
  const shown = Array.from({ length: Math.ceil(steps / every) }, (_, i) => Math.min(steps, every * i + 1));
  return [...shown.map((step) => at(step, false, step % 3)), at(steps, true, 3)];
}

function ours(target: number | null, verbose: 1 | 2, updates: readonly Update[]): string {
  let [text, time] = ['', 1024];
  const out = { write: (more: string) => (text += more), now: () => time };
  const bar = new ProgressBar(target, verbose === 1 ? 'bar' : 'line', out);
  for (const update of updates) {
    time = 1024 + update.time;
    if (update.done) bar.target = update.current;
    const logs = Object.fromEntries(Object.entries(update.logs).map(([name, value]) => [name, Number(value)]));
    bar.update(update.current, logs, update.done);
  }
  return text;
}

const kinds = [
  { steps: 1, pace: 0.3 },
  { steps: 9, pace: 2e-5 }, // most updates come too soon to be shown
  { steps: 10, pace: 0.0123 },
  { steps: 23, pace: 0.9 },
  { steps: 100, pace: 3.3, every: 7 },
  { steps: 12345, pace: 1.7, every: 611 }, // hours
] as const;

async function checkBar(
  keras: Keras,
  target: number | null,
  verbose: 1 | 2,
  updates: readonly Update[],
  given = updates,
) {
  const { text } = await keras.ask('bar', { target, verbose, updates: given });
  assert.isNotEmpty(text);
  assert.equal(JSON.stringify(ours(target, verbose, updates)), JSON.stringify(text));
}

export async function checkProgressBar(keras: Keras): Promise<Tally> {
  const tally = new Tally('progress bar');
  for (const { steps, pace, ...rest } of kinds)
    for (const target of [steps, null])
      for (const verbose of [1, 2] as const) {
        const updates = updatesOf(steps, pace, 'every' in rest ? rest.every : 1);
        await tally.check(verbose === 1 ? 'bars' : 'lines', { steps, pace, target }, () =>
          checkBar(keras, target, verbose, updates),
        );
      }
  return tally;
}

export async function plantInProgressBar(keras: Keras): Promise<Tally> {
  const tally = new Tally('progress bar');
  const updates = updatesOf(10, 0.5);
  const last = updates.at(-1) as Update;
  const others = { times: { ...last, time: last.time + 1 }, values: { ...last, logs: { ...last.logs, loss: '3' } } };
  for (const [what, other] of Object.entries(others))
    for (const verbose of [1, 2] as const)
      await findsOne(tally, `in ${what}`, verbose, () =>
        checkBar(keras, 10, verbose, updates, [...updates.slice(0, -1), other]),
      );
  return tally;
}
