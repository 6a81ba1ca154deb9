// Kills processes at random moments while they save (SIGKILL), and reads what they have left: a file that can be read, never older
// than what was acknowledged, and whole.
// Usage: node saves.mjs [KILLS]; prints how many were killed while they saved, what was found, and how many temporary files are left
// after one more save.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { Optimizer, SGD, Variable } from 'keras-optimizers';

const kElements = 500_000; // 2 MB of variables and as much state
const kLanes = 2;
const ones = new Float32Array(kElements).fill(1);
const variable = () => new Variable(new Float32Array(kElements), { name: 'w' });

/** Steps and saves without end; every number of the variable is that of its steps. Says the number when it has been saved. */
async function save(path) {
  const w = variable();
  const fresh = () => new SGD({ learning_rate: -1, use_ema: true, ema_momentum: 0 });
  const optimizer = await SGD.load(path, { variables: [w] }).catch(fresh);
  for (;;) {
    const count = optimizer.apply([ones], [w]);
    writeSync(1, `begins ${count}\n`);
    await optimizer.save(path, { variables: true });
    writeSync(1, `saved ${count}\n`);
  }
}

/** What a file has: the number of its steps, which all numbers in it say too. */
async function check(path) {
  const w = variable();
  const optimizer = await Optimizer.load(path, { variables: [w] });
  const { iterations } = optimizer;
  const all = [w, ...optimizer.variables.slice(2)].every(({ value }) => value.every((x) => x === iterations));
  return all ? iterations : NaN;
}

/** One lane: a file, and kill after kill. */
async function lane(folder, name, count, found) {
  const path = join(folder, `${name}.safetensors`);
  let acknowledged = 0;
  for (let kill = 0; kill < count; kill++) {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'save', path], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let saving = false;
    let seen = '';
    child.stdout.on('data', (text) => {
      seen += text;
      const lines = seen.trim().split('\n');
      saving = lines.at(-1).startsWith('begins');
      const last = lines.findLast((line) => line.startsWith('saved'));
      if (last !== undefined) acknowledged = Math.max(acknowledged, Number(last.slice(6)));
    });
    await once(child.stdout, 'data');
    await sleep(60 * Math.random());
    child.kill('SIGKILL');
    await once(child, 'close');
    if (saving) found.saving++;
    try {
      const steps = acknowledged === 0 && !readdirSync(folder).includes(`${name}.safetensors`) ? 0 : await check(path);
      if (Number.isNaN(steps)) found.mixed++;
      else if (steps < acknowledged) found.older++;
    } catch (error) {
      found.unreadable++;
      console.error(error);
    }
  }
  await (await Optimizer.load(path)).save(path);
}

async function killAll(kills) {
  const folder = mkdtempSync(join(tmpdir(), 'saves-'));
  const found = { saving: 0, unreadable: 0, older: 0, mixed: 0 };
  const share = (i) => Math.floor((kills + i) / kLanes);
  await Promise.all(Array.from({ length: kLanes }, (_, i) => lane(folder, `run-${i}`, share(i), found)));
  const left = readdirSync(folder).length - kLanes;
  rmSync(folder, { recursive: true });
  console.log(JSON.stringify({ kills, ...found, left }));
  if (found.unreadable + found.older + found.mixed + left > 0) process.exitCode = 1;
}

const [first = '200', path] = process.argv.slice(2);
if (first === 'save') await save(path);
else await killAll(Number(first));
