// How processes and threads end, and what the addon survives: every scenario of test/lifecycle in a process of its own, which
// must end by itself, with the expected code.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

async function run(...args: string[]): Promise<Ended> {
  const child = spawn(process.execPath, args, { cwd: here('..'), stdio: ['ignore', 'pipe', 'pipe'] });
  const [[code, signal], stdout, stderr] = await Promise.all([
    once(child, 'exit') as Promise<[number | null, string | null]>,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { code, signal, stdout: stdout.trim(), stderr, at: Date.now() };
}
const scenario = (name: string, ...args: string[]): Promise<Ended> =>
  run('--expose-gc', here(`lifecycle/${name}`), ...args);

/** Asserts that a scenario ended by itself, well, and printed this. */
async function prints(expected: string, name: string, ...args: string[]): Promise<void> {
  const { code, signal, stdout, stderr } = await scenario(name, ...args);
  assert.deepEqual({ stdout, code, signal }, { stdout: expected, code: 0, signal: null }, stderr);
}

/** Updates that have been counted when a process ends in a state; a natural end waits for the steps. */
const states: Readonly<Record<string, readonly [atOnce: number, naturally: number]>> = {
  idle: [0, 0],
  sync: [2, 2],
  running: [2, 3],
  waiting: [2, 4],
};
const ends: Readonly<Record<string, { readonly code: number | null; readonly signal: string | null }>> = {
  exit: { code: 7, signal: null },
  throw: { code: 1, signal: null },
  SIGTERM: { code: null, signal: 'SIGTERM' },
  natural: { code: 0, signal: null },
};
const phrases: Readonly<Record<string, string>> = {
  idle: 'that has taken no step',
  sync: 'after a synchronous step',
  running: 'in the middle of an asynchronous step',
  waiting: 'with an asynchronous step waiting',
};

describe('a process', () => {
  for (const [state, [atOnce, naturally]] of Object.entries(states))
    for (const [end, { code, signal }] of Object.entries(ends))
      it(`${phrases[state]} ends by ${end} with its own code`, async () => {
        const ended = await scenario('exits.mjs', state, end);
        assert.deepEqual({ code: ended.code, signal: ended.signal }, { code, signal }, ended.stderr);
        const printed = signal === null ? `iterations ${end === 'natural' ? naturally : atOnce} at ` : '';
        assert.equal(ended.stdout.replace(/\d+$/, ''), printed.trimEnd() && printed);
        assert.equal(ended.stderr.includes('thrown in the middle'), end === 'throw');
      });

  it('whose threads are idle exits in less than a second', async () => {
    const { stdout, at } = await scenario('exits.mjs', 'sync', 'exit');
    assert.isBelow(at - Number(/at (\d+)$/.exec(stdout)?.[1]), 1000);
  });
});

describe('a worker', () => {
  const codes = { exit: '7 no error', throw: '1 thrown in the middle', natural: '0 no error' };
  for (const state of Object.keys(states))
    for (const [end, code] of Object.entries(codes))
      it(`${phrases[state]} ends by ${end}, and the main thread goes on`, () =>
        prints(`worker ${code} main -2`, 'worker-exits.mjs', state, end));
  for (const state of ['running', 'waiting'])
    it(`${phrases[state]} is terminated, and the main thread goes on`, async () => {
      const { code, signal, stdout } = await scenario('worker-exits.mjs', state, 'terminate');
      assert.deepEqual([code, signal], [0, null]);
      assert.match(stdout, /^worker [01] no error main -2$/); // 0 where it had ended before
    });

  it('has the results of the main thread, eight at once, with threads of their own choice', () =>
    prints('48 of 48 equal, main true', 'workers.mjs'));

  it('may be terminated at any moment: 40 kills leave the process whole and no memory behind', async () => {
    const { code, signal, stdout, stderr } = await scenario('kills.mjs', '40');
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, stderr);
    const { stepping, left, works } = JSON.parse(stdout) as { stepping: number; left: number; works: boolean };
    assert.isAbove(stepping, 20);
    assert.deepEqual({ left, works }, { left: 0, works: true });
  });
});

describe('the addon', () => {
  const loads = {
    dlopen: ['opened twice by process.dlopen', 'function true 64, function true 64'],
    cache: ['required again after its cache entry was deleted', '-5, -5'],
    copy: ['loaded from a copy of the file', '-5, -5'],
    vm: ['opened in a vm context, and given its arrays', 'function true 64, function true 64, -2, -1'],
  } as const;
  for (const [how, [phrase, printed]] of Object.entries(loads)) {
    it(`works ${phrase}`, () => prints(printed, 'loads.mjs', how));
    it(`works ${phrase}, in a worker that exits`, () => prints(`${printed}\nworker 3`, 'loads.mjs', how, 'worker'));
  }

  const permission = process.allowedNodeEnvironmentFlags.has('--permission')
    ? '--permission'
    : '--experimental-permission';
  const program = `import('keras-optimizers').then(() => console.log('loaded'), (error) => console.log(error.code, error.message))`;
  for (const flags of [['--no-addons'], [permission, '--allow-fs-read=*']])
    it(`says what to do under ${flags[0]}`, async () => {
      const addon = process.env.KERAS_OPTIMIZERS_ADDON || here('../build-cmake/Release/keras_optimizers.node');
      const forced = `process.env.KERAS_OPTIMIZERS_ADDON = ${JSON.stringify(addon)};${program}`; // or it would be WebAssembly
      const { code, stdout } = await run(...flags, '-e', forced);
      assert.equal(code, 0);
      assert.match(stdout, /^ERR_ADDON_DISABLED .*--allow-addons/);
    });
  it(`loads under ${permission} --allow-addons`, async () => {
    const { stdout } = await run(permission, '--allow-fs-read=*', '--allow-addons', '-e', program);
    assert.equal(stdout, 'loaded');
  });

  for (const how of ['fork', 'cluster'])
    it(`works in the children of ${how}, while the parent's threads are in use`, () =>
      prints('3 of 3', 'forks.mjs', how));

  it('bears 10,000 random hostile calls', async () => {
    const { code, signal, stdout, stderr } = await run('--expose-gc', '--import', 'tsx', here('hostile.ts'), '10000');
    assert.deepEqual({ code, signal }, { code: 0, signal: null }, stdout + stderr);
  });
});
