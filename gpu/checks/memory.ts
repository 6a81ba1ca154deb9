// Memory of the device: it stays what it is over thousands of steps, and when there is too little of it nothing is lost.
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';

import { devices, memory, Nadam, type DeviceName, type Variable } from '../../lib/index.ts';
import { Skipped, type Check, type Settings } from './check.ts';
import { indexOf } from './foreign.ts';
import { assertSame, filled, randomFrom, type Floats } from './numbers.ts';
import { putGradient, variableOn, zerosOn, type GpuName } from './variables.ts';

const live = (device: GpuName): number => (memory() as Readonly<Record<string, number>>)[device] ?? 0;
const totalOf = (device: GpuName): number => devices().cuda[indexOf(device)]?.memory ?? 0;

const mega = 2 ** 20;
const kOthers = 32 * mega; // what other processes on the device may take meanwhile
const kHostSlack = 64 * mega; // what V8 may keep or give back meanwhile

/** Until what is garbage has been collected, and has given its memory back. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) {
    globalThis.gc?.();
    await setImmediate();
  }
}

/** More than the device has. Gives the error. */
function tooMuch(device: GpuName): Error & { readonly code?: string } {
  try {
    zerosOn(device, [2 * Math.ceil(totalOf(device) / 4)]).dispose();
  } catch (error) {
    return error as Error;
  }
  throw new Skipped('the device gave more memory than it has');
}

/** What the device says is free, in the error for asking too much; undefined if that has another form. */
function freeBytes(device: GpuName): number | undefined {
  const [, bytes] = /(\d+) of \d+ are free/.exec(tooMuch(device).message) ?? [];
  return bytes === undefined ? undefined : Number(bytes);
}

/** Tensors like those of a network, and steps of every kind; the CPU takes the same ones. */
async function soak({ device, seeds, steps, say }: Settings): Promise<void> {
  const shapes = [
    [256, 64],
    [64],
    [64, 64],
    [64],
    [64, 10],
    [10],
    ...Array.from({ length: 50 }, (_, i) => [1 + 7 * i]),
  ];
  const lengths = shapes.map((shape) => shape.reduce((a, b) => a * b, 1));
  const next = randomFrom(`soak ${seeds[0] ?? ''}`);
  const initial = lengths.map((length) => filled('float32', length, next));
  const gradients = Array.from({ length: 4 }, () =>
    lengths.map((length) => filled('float32', length, () => next() - 0.5)),
  );
  const marks = new Map<number, { live: number; free: number | undefined; host: number }>();

  const run = async (where: DeviceName) => {
    const variables = shapes.map((shape, i) => variableOn(where, initial[i] as Floats, { shape }));
    const optimizer = new Nadam({ global_clipnorm: 1, use_ema: true, ema_overwrite_frequency: 100 });
    optimizer.build(variables);
    for (let step = 0; step < steps; step++) {
      const arrays = gradients[step % 4] as Floats[];
      if (step % 8 === 0) variables.forEach((variable, i) => putGradient(variable, arrays[i] as Floats));
      if (step % 50 === 49) await optimizer.apply_async(arrays, variables);
      else if (step % 10 === 9) optimizer.apply(arrays, variables);
      else optimizer.apply();
      if (step % 500 === 250) await (variables[0] as Variable).read();
      if (where !== 'cpu' && (step === Math.floor(steps / 5) || step === steps - 1)) {
        await (variables[0] as Variable).read();
        await settle();
        marks.set(step, { live: live(device), free: freeBytes(device), host: process.memoryUsage().rss });
      }
    }
    const values = await Promise.all([...variables, ...optimizer.variables].map((one) => one.read()));
    for (const one of [optimizer, ...variables]) one.dispose();
    return values;
  };
  await settle();
  const before = live(device);
  const there = await run(device);
  const [early, late] = [...marks.values()];
  assert.ok(early && late, 'the soak has too few steps');
  say(
    `${steps} steps: ${late.live} bytes of the library's on the device, ${late.free ?? '?'} bytes free, ${Math.round(late.host / mega)} MB of the host's`,
  );
  assert.equal(late.live, early.live, 'bytes on the device changed with the steps');
  assert.ok(
    !(Math.abs((late.free ?? 0) - (early.free ?? 0)) > kOthers),
    `free memory went from ${early.free} to ${late.free} bytes`,
  );
  assert.ok(late.host - early.host < kHostSlack, `the host's memory grew by ${late.host - early.host} bytes`);
  await settle();
  assert.equal(live(device), before, 'bytes on the device are left after dispose');
  const here = await run('cpu');
  here.forEach((expected, i) => assertSame(there[i] as Floats, expected, `after ${steps} steps: array ${i}`));
}

/** A variable that cannot be, and steps that go on as if it had not been asked for. */
async function outOfMemory({ device, seeds }: Settings): Promise<void> {
  const next = randomFrom(`oom ${seeds[0] ?? ''}`);
  const [initial, gradient] = [filled('float32', 5000, next), filled('float32', 5000, next)];
  const variables = [device, 'cpu' as const].map((where) => variableOn(where, initial));
  const optimizers = variables.map(() => new Nadam({ global_clipnorm: 1 }));
  const step = () => variables.forEach((variable, i) => optimizers[i]?.apply([gradient], [variable]));
  step();
  const before = live(device);
  for (let time = 0; time < 3; time++) {
    const error = tooMuch(device);
    assert.equal(error.code, 'ERR_OPT_OOM', String(error));
    assert.match(error.message, /\d{6,}/, 'the error says how many bytes');
    assert.equal(live(device), before);
    step();
  }
  const [there, here] = await Promise.all(variables.map((variable) => variable.read()));
  assertSame(there as Floats, here as Floats, 'after running out of memory');
  for (const one of [...optimizers, ...variables]) one.dispose();
}

/** The memory runs out in the middle of a build: nothing of it stays, and with more memory it succeeds. */
async function halfBuilt({ device, small }: Settings): Promise<void> {
  if (small) throw new Skipped('it would fill the memory of this machine');
  const unit = 2 ** 27; // elements: 512 MiB
  const blocks: Variable[] = [];
  const variables = [0, 1].map(() => zerosOn(device, [unit]));
  const optimizer = new Nadam();
  try {
    for (;;) blocks.push(zerosOn(device, [unit]));
  } catch (error) {
    assert.equal((error as { code?: string }).code, 'ERR_OPT_OOM', String(error));
  }
  try {
    blocks.pop()?.dispose(); // two variables need two slots each
    const before = live(device);
    assert.throws(() => optimizer.build(variables), { code: 'ERR_OPT_OOM' });
    assert.equal(live(device), before, 'a build that failed left bytes');
    assert.equal(optimizer.built, false);
    for (let i = 0; i < 6; i++) blocks.pop()?.dispose();
    optimizer.build(variables);
    optimizer.apply(); // on gradients of zeros, which it allocates
    const values = await (variables[0] as Variable).read();
    assert.ok(
      values.every((x) => x === 0),
      'a step on zeros',
    );
  } finally {
    for (const one of [optimizer, ...variables, ...blocks]) one.dispose();
  }
}

export const soakCheck = (settings: Settings): Check => ({
  name: `memory: constant over ${settings.steps} steps, whose bits are the CPU's`,
  run: () => soak(settings),
});

export const memoryChecks = (settings: Settings): Check[] => [
  { name: 'memory: asking for more than there is, and going on', run: () => outOfMemory(settings) },
  { name: 'memory: running out in the middle of a build', run: () => halfBuilt(settings) },
];
