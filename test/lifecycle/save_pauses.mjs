// How long the event loop stands still while a state of 256 MB is saved and loaded: prints milliseconds, and MB a second.
// Usage: node save_pauses.mjs [MEGABYTES]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { Adam, Variable } from 'keras-optimizers';

const megabytes = Number(process.argv[2] ?? 256);
const elements = (megabytes * 2 ** 20) / 8; // two slots of four bytes
const folder = mkdtempSync(join(tmpdir(), 'save-'));
const path = join(folder, 'run.safetensors');

/** Runs a part; the longest time between two turns of the event loop, all of it, and the share in which another callback ran. */
async function measured(part) {
  const begin = performance.now();
  let [last, longest, turns, on] = [begin, 0, 0, true];
  const turn = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    turns++;
    if (on) setImmediate(turn);
  };
  setImmediate(turn);
  await part();
  on = false;
  const milliseconds = performance.now() - begin;
  return {
    'longest pause': Number(longest.toFixed(1)),
    milliseconds: Math.round(milliseconds),
    'MB/s': Math.round(megabytes / (milliseconds / 1000)),
    turns,
  };
}

const optimizer = new Adam();
optimizer.apply([new Float32Array(elements).fill(1)], [new Variable(new Float32Array(elements))]);
console.log(
  JSON.stringify({
    megabytes,
    save: await measured(() => optimizer.save(path)),
    load: await measured(() => Adam.load(path)),
  }),
);
rmSync(folder, { recursive: true });
