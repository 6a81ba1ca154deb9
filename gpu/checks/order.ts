// What is read is what was there after the work enqueued before; streams of others are waited for; a step that is awaited has ended.
import assert from 'node:assert/strict';

import { cudaStream, Nadam, SGD, useCudaStream, type DeviceName, type Variable } from '../../lib/index.ts';
import { addon } from '../../lib/native.ts';
import { Skipped, type Check, type Settings } from './check.ts';
import { Foreign, indexOf } from './foreign.ts';
import { assertSame, filled, randomFrom, type Floats } from './numbers.ts';
import { putGradient, variableOn } from './variables.ts';

const streams = [1n, 2n]; // cudaStreamLegacy and cudaStreamPerThread: streams that are there without being made
const kLength = 40; // elements of a small array
const kShift = 3; // elements

const lengthOf = ({ small }: Settings): number => (small ? 10_000 : 20_000_000);

/** Every step writes a number of its own into all elements. */
function counting(length: number, device: DeviceName) {
  const variable = variableOn(device, new Float32Array(length));
  const sgd = new SGD({ learning_rate: -1 });
  sgd.build([variable]);
  putGradient(variable, new Float32Array(length).fill(1));
  return { variable, sgd };
}

function all(array: ArrayLike<number>, value: number): boolean {
  for (let i = 0; i < array.length; i++) if (array[i] !== value) return false;
  return true;
}

async function readsInOrder(settings: Settings): Promise<void> {
  const { variable, sgd } = counting(lengthOf(settings), settings.device);
  const reads: Promise<ArrayLike<number>>[] = [];
  for (let step = 0; step < 8; step++) {
    reads.push(variable.read());
    sgd.apply();
  }
  reads.push(variable.read());
  for (const [step, values] of (await Promise.all(reads)).entries())
    assert.ok(all(values, step), `read ${step} is not what it was after ${step} steps`);
  sgd.dispose();
  variable.dispose();
}

/** Writing and reading between steps, and arrays that change as soon as a call has returned. */
async function writesInOrder(settings: Settings): Promise<void> {
  const { variable, sgd } = counting(lengthOf(settings), settings.device);
  const array = new Float32Array(lengthOf(settings));
  const reads: Promise<ArrayLike<number>>[] = [];
  for (let step = 1; step <= 4; step++) {
    variable.assign(array.fill(10 * step));
    putGradient(variable, array.fill(step));
    sgd.apply();
    sgd.apply([array.fill(100)], [variable]);
    array.fill(NaN);
    reads.push(variable.read());
  }
  for (const [i, values] of (await Promise.all(reads)).entries())
    assert.ok(
      all(values, 11 * (i + 1) + 100),
      `after assign and two steps: ${String(values[0])} for ${11 * (i + 1) + 100}`,
    );
  sgd.dispose();
  variable.dispose();
}

/**
 * A gradient that names the stream it is written in. That the step waits for a stream which the library was never given is seen in
 * the example, whose own addon writes the gradients.
 */
async function foreignStream(settings: Settings): Promise<void> {
  const { device } = settings;
  const length = lengthOf(settings);
  for (const stream of streams) {
    const { variable, sgd } = counting(length, device);
    const foreign = new Foreign(device, 4 * length);
    for (let step = 1; step <= 5; step++) {
      useCudaStream(device, stream);
      const described = foreign.put(new Float32Array(length).fill(step), [length]);
      useCudaStream(device, 0n);
      assert.notEqual(cudaStream(device), stream);
      sgd.apply([{ ...described, stream }], [variable]);
    }
    assert.ok(all(await variable.read(), 15), `stream ${stream}: the step read its gradient before it was written`);
    sgd.dispose();
    variable.dispose();
    foreign.release();
  }
}

/** Not in the order of streams, but in that of the calls. */
async function givenStream(settings: Settings): Promise<void> {
  const { device } = settings;
  const own = cudaStream(device);
  const { variable, sgd } = counting(lengthOf(settings), device);
  let steps = 0;
  try {
    for (const stream of streams) {
      sgd.apply();
      useCudaStream(device, stream);
      assert.equal(cudaStream(device), stream);
      sgd.apply();
      assert.ok(all(await variable.read(), (steps += 2)), `a step on stream ${stream} overtook the one before`);
      sgd.apply();
      await sgd.apply_async();
      useCudaStream(device, 0n);
      assert.equal(cudaStream(device), own);
      sgd.apply();
      assert.ok(all(await variable.read(), (steps += 3)), `a step overtook the one before on stream ${stream}`);
    }
  } finally {
    useCudaStream(device, 0n);
  }
  sgd.dispose();
  variable.dispose();
}

/** Steps that are awaited and others, in one order, with host arrays that change after each call. */
async function asynchronous({ device, seeds, small }: Settings): Promise<void> {
  const lengths = [small ? 1000 : 1_000_003, kLength];
  const run = async (where: DeviceName) => {
    const next = randomFrom(`async ${seeds[0] ?? ''}`);
    const variables = lengths.map((length) => variableOn(where, filled('float32', length, next)));
    const optimizer = new Nadam({ global_clipnorm: 1 });
    optimizer.build(variables);
    const pending: Promise<unknown>[] = [];
    for (let step = 0; step < 6; step++) {
      const arrays = lengths.map((length) => filled('float32', length, () => next() - 0.5));
      pending.push(optimizer.apply_async(arrays, variables));
      for (const array of arrays) array.fill(NaN);
      if (step % 2 === 1) assert.deepEqual(await Promise.all(pending.splice(0)), [step, step + 1]);
    }
    const values = await Promise.all([...variables, ...optimizer.variables].map((one) => one.read()));
    optimizer.dispose();
    for (const variable of variables) variable.dispose();
    return values;
  };
  const [there, here] = [await run(device), await run('cpu')];
  here.forEach((expected, i) => assertSame(there[i] as Floats, expected, `async: array ${i}`));
}

/** An awaited step has ended: a mark that is set after it is reached without waiting for anything. */
async function ended(settings: Settings): Promise<void> {
  const { device } = settings;
  const { variable, sgd } = counting(lengthOf(settings), device);
  const mark = addon.cuda.mark(indexOf(device));
  await sgd.apply_async();
  assert.ok(mark.reached(), 'work from before the step had not been done when it resolved');
  sgd.dispose();
  variable.dispose();
}

/** `apply` only enqueues: the host is done long before the device. Nothing to see on an emulated one. */
async function enqueues(settings: Settings): Promise<void> {
  if (addon.cuda.emulated) throw new Skipped('an emulated device is done before apply returns');
  const { device, say } = settings;
  const length = 100_000_000;
  const { variable, sgd } = counting(length, device);
  for (let step = 0; step < 3; step++) sgd.apply();
  await variable.read();
  const start = performance.now();
  for (let step = 0; step < 20; step++) sgd.apply();
  const mark = addon.cuda.mark(indexOf(device));
  const host = performance.now() - start;
  const wasReached = mark.reached();
  mark.wait();
  const whole = performance.now() - start;
  say(
    `20 steps of 1e8 elements: apply returned after ${host.toFixed(2)} ms in all, they ended after ${whole.toFixed(2)} ms`,
  );
  assert.ok(!wasReached && host < whole / 2, `apply took ${host} ms of ${whole} ms: it seems to wait for the device`);
  sgd.dispose();
  variable.dispose();
}

/** What other libraries are told of a variable lies where the variable does; a part of it at a smaller alignment. */
async function described({ device }: Settings): Promise<void> {
  const numbers = Float32Array.from({ length: kLength }, (_, i) => i + 1);
  const from = variableOn(device, numbers);
  const [whole, rest] = [0, kShift].map((shift) => variableOn(device, new Float32Array(kLength - shift)));
  const { ptr, shape, dtype, device: where } = from.cuda;
  assert.deepEqual([shape, dtype, where], [[kLength], 'float32', device]);
  const part = { ptr: ptr + BigInt(4 * kShift), shape: [kLength - kShift], dtype, device: where, owner: from };
  const sgd = new SGD({ learning_rate: -1 });
  sgd.apply([from.cuda, part], [whole as Variable, rest as Variable]);
  assertSame(await (whole as Variable).read(), numbers, 'a described variable as gradient');
  assertSame(await (rest as Variable).read(), numbers.subarray(kShift), 'a part of a described variable as gradient');
  sgd.dispose();
  for (const variable of [from, whole, rest]) variable?.dispose();
}

export const orderChecks = (settings: Settings): Check[] => [
  { name: 'order: a read gives what was there when it was asked for', run: () => readsInOrder(settings) },
  {
    name: 'order: writes and steps follow one another, and host arrays may change at once',
    run: () => writesInOrder(settings),
  },
  { name: 'order: a gradient that names its stream', run: () => foreignStream(settings) },
  { name: 'order: steps on a stream that is given', run: () => givenStream(settings) },
  { name: 'order: asynchronous steps', run: () => asynchronous(settings) },
  { name: 'order: an awaited step has ended', run: () => ended(settings) },
  { name: 'order: apply enqueues and returns', run: () => enqueues(settings) },
  { name: 'order: a variable as it is described to others', run: () => described(settings) },
];
