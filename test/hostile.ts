// A random hostile caller: every call either succeeds, or throws an error with a code or the caller's own error; and memory that
// no call was given stays as it is. Run under sanitizers by scripts/asan.sh, without by the tests.
// Usage: node --expose-gc --import tsx test/hostile.ts [CALLS] [SEED]; prints the outcomes, and fails if one was bad.
import { memory, Nadam, setNumThreads, getNumThreads, Variable } from '../lib/index.ts';
import { Arguments, calls, type Call } from './hostile/calls.ts';
import { kinds } from './hostile/values.ts';
import { UserError, World } from './hostile/world.ts';
import { random } from './random.ts';

const [count = 200_000, seed = 1] = process.argv.slice(2).map(Number);
process.removeAllListeners('warning');

const outcomes = new Map<string, number>();
const bad = new Map<string, number>();
const counted = (counts: Map<string, number>, key: string): Map<string, number> =>
  counts.set(key, (counts.get(key) ?? 0) + 1);

function judge(name: string, error: unknown): void {
  const { code = '', stack = String(error) } = error as { code?: unknown; stack?: string };
  if (error instanceof UserError) counted(outcomes, 'UserError');
  else if (/^ERR_(OPT|ADDON)_/.test(String(code))) counted(outcomes, String(code));
  else counted(bad, `${name}: ${stack.split('\n').slice(0, 4).join('\n')}`);
}

/** Settles what a call gives, and says what became of it. */
async function made(name: string, action: () => unknown): Promise<void> {
  try {
    const result = action();
    if (result instanceof Promise) await result;
    counted(outcomes, 'success');
  } catch (error) {
    judge(name, error);
  }
}

/** A call at random, by weight. */
function chosen(world: World): [string, Call] {
  const total = Object.values(calls).reduce((sum, [weight]) => sum + weight, 0);
  let left = world.next() * total;
  for (const [name, [weight, call]] of Object.entries(calls)) if ((left -= weight) < 0) return [name, call];
  throw new Error('no call');
}

/** Arrays that no call gets, and a training that nobody disturbs: they show writes to a wrong place. */
const bystanders = Array.from({ length: 64 }, (_, i) => new Float32Array(16 + i).fill(i));
const honest = { variable: new Variable(new Float32Array(100_000)), optimizer: new Nadam(), steps: 0 };
const expected = { variable: new Float32Array(100_000), optimizer: new Nadam() };

function checkBystanders(): void {
  bystanders.forEach((array, i) => {
    if (!array.every((x) => x === i)) counted(bad, `array ${i} that no call was given was written`);
  });
  const gradient = new Float32Array(100_000).fill(Math.cos(honest.steps++));
  honest.optimizer.apply([gradient], [honest.variable]);
  const threads = getNumThreads();
  setNumThreads(1);
  expected.optimizer.apply([gradient], [expected.variable]);
  setNumThreads(threads);
  if (Buffer.compare(Buffer.from(honest.variable.value.buffer), Buffer.from(expected.variable.buffer)) !== 0)
    counted(bad, 'a training that nobody disturbed has other numbers');
}

async function settle(world: World): Promise<void> {
  const pending = world.pending.splice(0);
  for (const step of pending) await made('an awaited step', () => step);
}

async function main(): Promise<void> {
  const world = new World(random(String(seed)));
  const arguments_ = new Arguments(world);
  for (let i = 0; i < count; i++) {
    const [name, call] = chosen(world);
    await made(name, () => call(world, arguments_));
    if (world.pending.length > 3) await settle(world);
    if (i % 500 === 0) checkBystanders();
    if (i % 2000 === 0) globalThis.gc?.();
  }
  await settle(world);
  const missing = Object.keys(kinds).filter((kind) => !arguments_.seen.has(kind));
  console.log(
    JSON.stringify({ calls: count, seed, outcomes: Object.fromEntries(outcomes), missing, memory: memory() }),
  );
  for (const [what, times] of [...bad].sort(([, a], [, b]) => b - a)) console.log(`BAD ${times} times: ${what}`);
  process.exitCode = bad.size > 0 || missing.length > 0 ? 1 : 0;
}

await main();
