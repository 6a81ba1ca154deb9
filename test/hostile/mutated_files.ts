// Loads damaged files of every kind: each is refused with a code and nothing is loaded, or, where its format cannot tell, gives numbers
// of the right shapes; nothing altered is accepted in a .safetensors or in the members of a .keras; no other exception, no end of
// the process, no hang, no memory. The files follow from SEED and their numbers.
// Usage: node --expose-gc --import tsx test/hostile/mutated_files.ts [COUNT] [SEED] [ONLY]; prints the outcomes, and fails if one was bad. ONLY: one file
// by its number.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

import type { Report } from './mutated_loads.ts';

const [count = 10_000, seed = 1, only] = process.argv.slice(2).map(Number);
const kPatience = 30_000; // ms without a new file
const processes = only === undefined ? Math.min(4, availableParallelism()) : 1;
const loads = fileURLToPath(new URL('mutated_loads.ts', import.meta.url));

const outcomes = new Map<string, number>();

/** The files of one process; a process that dies, or hangs, is bad, and another one goes on behind that file. */
async function load(first: number): Promise<Report[]> {
  const [step, end] = only === undefined ? [processes, count] : [1, only + 1];
  const child = spawn(
    process.execPath,
    ['--expose-gc', '--import', 'tsx', loads, ...[end, seed, first, step].map(String)],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const exit = once(child, 'exit');
  let [last, hung] = ['', false];
  const stop = () => {
    hung = true;
    child.kill('SIGKILL');
  };
  let timer = setTimeout(stop, 2 * kPatience); // it starts
  let rest = '';
  for await (const chunk of child.stdout.setEncoding('utf8')) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (/^[\d{]/.test(line)) last = line;
      else outcomes.set(line, (outcomes.get(line) ?? 0) + 1);
    }
    clearTimeout(timer);
    timer = setTimeout(stop, kPatience);
  }
  clearTimeout(timer);
  await exit;
  if (last.startsWith('{')) return [JSON.parse(last) as Report];
  const what = `file ${last || first}: ${hung ? `nothing for ${kPatience} ms` : `the process ended, ${child.signalCode ?? child.exitCode}`}`;
  const dead: Report = { bad: [what], slowest: 0, memory: 0 };
  return last === '' ? [dead] : [dead, ...(await load(Number(last) + step))];
}

async function main(): Promise<void> {
  const start = performance.now();
  const firsts = only === undefined ? Array.from({ length: processes }, (_, i) => i) : [only];
  const reports = (await Promise.all(firsts.map(load))).flat();
  for (const [outcome, times] of [...outcomes].sort()) console.log(`${String(times).padStart(7)}  ${outcome}`);
  const total = [...outcomes.values()].reduce((a, b) => a + b, 0);
  const [slowest, memory] = (['slowest', 'memory'] as const).map((key) => Math.max(...reports.map((one) => one[key])));
  console.log(
    `${total} files of seed ${seed} in ${((performance.now() - start) / 1000).toFixed(1)} s, ${processes} processes; ` +
      `the slowest ${slowest?.toFixed(0)} ms, ${((memory ?? 0) / 1024).toFixed(0)} MiB at most`,
  );
  const bad = reports.flatMap((one) => one.bad);
  for (const what of bad) console.log(`BAD ${what}`);
  const wanted = only === undefined ? 0.95 * count : 1;
  if (total < wanted) console.log(`BAD only ${total} files of ${count}`);
  process.exitCode = bad.length > 0 || total < wanted ? 1 : 0;
}

await main();
