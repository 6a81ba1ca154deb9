// The network of examples/gpu against that of examples/network.ts, on a GPU if there is one and on the host if not.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';
import { devices, type CudaArray } from 'keras-optimizers';

import { load, type Addon, type Memory, type NativeNetwork } from '../../examples/gpu/addon.ts';
import { handovers } from '../../examples/gpu/network.ts';
import { exitCodes, kTolerance } from '../../examples/gpu/options.ts';
import { reportOf } from '../../examples/gpu/report.ts';
import type { Run } from '../../examples/gpu/training.ts';
import { Network } from '../../examples/network.ts';
import { mulberry32 } from '../../examples/random.ts';

const kBlock = 128; // threads, of network.h
const kGuards = 3; // numbers around an array: those after it start where nothing is aligned
const kGuard = 12345.678;
const stream = 0n; // CUDA's default one

interface Sizes {
  readonly inputs: number;
  readonly hidden: number;
  readonly classes: number;
  readonly batch: number;
}

/** What there is to test; a string if there is nothing. */
function usable(): Addon | string {
  const built = load('cuda');
  const problem = typeof built === 'string' ? built : built.problem();
  if (problem === null) return built;
  const emulated = load('emulated');
  return typeof emulated === 'string' ? `on a GPU: ${problem}; emulated: ${emulated}` : emulated;
}

/** An array on the device with guards around it. */
class Guarded {
  readonly memory: Memory;
  readonly cuda: CudaArray;
  constructor(addon: Addon, shape: readonly number[], numbers?: Float32Array) {
    const length = shape.reduce((product, n) => product * n, 1);
    const all = new Float32Array(length + 2 * kGuards).fill(kGuard);
    if (numbers) all.set(numbers, kGuards);
    this.memory = new addon.Memory(0, all.length);
    this.memory.write(all, stream);
    this.cuda = { ptr: this.memory.ptr + BigInt(4 * kGuards), shape, dtype: 'float32', device: 'cuda:0', stream };
  }

  /** Throws if a guard has changed. */
  read(): Float32Array {
    const all = this.memory.read(stream);
    for (const guards of [all.subarray(0, kGuards), all.subarray(-kGuards)])
      assert.isTrue(
        guards.every((number) => number === Math.fround(kGuard)),
        `guards ${guards.join()}`,
      );
    return all.subarray(kGuards, -kGuards);
  }
}

/** The network twice, with equal weights, on images that a formula makes. */
class Pair {
  readonly cpu: Network;
  readonly variables: readonly Guarded[];
  readonly gradients: readonly Guarded[];
  readonly native: NativeNetwork;
  readonly #pixels: Uint8Array;
  readonly #labels: Uint8Array;
  readonly #inputs: number;
  constructor(addon: Addon, { inputs, hidden, classes, batch }: Sizes, images: number) {
    const random = mulberry32(inputs);
    this.cpu = new Network(inputs, hidden, classes, random);
    for (const { value } of this.cpu.variables) value.forEach((w, i) => (value[i] = w + (random() - 0.5) / 8)); // biases, too
    this.variables = this.cpu.variables.map(({ shape, value }) => new Guarded(addon, shape, value as Float32Array));
    this.gradients = this.cpu.variables.map(({ shape }) => new Guarded(addon, shape));
    this.#inputs = inputs;
    this.#pixels = Uint8Array.from({ length: images * inputs }, () => Math.max(0, 512 * random() - 256)); // half are 0
    this.#labels = Uint8Array.from({ length: images }, (_, i) => (i * 7) % classes);
    const data = { pixels: this.#pixels, labels: this.#labels };
    this.native = new addon.Network({ device: 0, batch, widths: [inputs, hidden, classes], ...data });
  }

  run(start: number, count: number, train = true): void {
    const arraysOf = (arrays: readonly Guarded[]) => arrays.map(({ cuda }) => cuda);
    this.native.run(arraysOf(this.variables), train ? arraysOf(this.gradients) : null, start, count, stream);
  }

  reference(chosen: Uint32Array): ReturnType<Network['run']> {
    const x = new Float32Array(chosen.length * this.#inputs);
    for (let i = 0; i < x.length; i++) {
      const image = chosen[Math.floor(i / this.#inputs)] as number;
      x[i] = (this.#pixels[image * this.#inputs + (i % this.#inputs)] as number) / 255;
    }
    return this.cpu.run({ x, labels: Uint8Array.from(chosen, (image) => this.#labels[image] as number) }, true);
  }
}

describe('the network of the example on a GPU', () => {
  let addon: Addon;
  before(function () {
    const found = usable();
    addon = found as Addon;
    if (typeof found !== 'string') return;
    console.log(`      nothing to test: ${found}`);
    this.skip();
  });

  // Sums of at most 1000 products in float32, each rounded to 6e-8 of the sum so far; network.ts rounds only what it stores.
  const kTolerance = 1e-5; // of the largest gradient of the variable
  const mnist = { inputs: 784, hidden: 128, classes: 10, batch: 64 };
  const sizes: readonly Sizes[] = [
    mnist,
    { inputs: 1, hidden: 1, classes: 1, batch: 1 },
    { inputs: 5, hidden: 1, classes: 2, batch: 3 },
    { inputs: 3, hidden: kBlock, classes: 4, batch: 1 },
    { inputs: kBlock - 1, hidden: kBlock + 1, classes: 3, batch: kBlock + 2 },
    { inputs: 17, hidden: 31, classes: 256, batch: 2 * kBlock },
  ];
  for (const size of sizes)
    it(`has the loss and the gradients of the one in JavaScript: ${Object.values(size).join(', ')}`, async () => {
      const images = 2 * size.batch + 1;
      const pair = new Pair(addon, size, images);
      const order = Uint32Array.from({ length: images }, (_, i) => (i * 2) % images);
      pair.native.order(order, stream);
      for (const [start, count] of [
        [1, size.batch],
        [images - 1, 1],
      ] as const) {
        const expected = pair.reference(order.subarray(start, start + count));
        pair.run(start, count);
        const score = await pair.native.score(stream);
        assert.closeTo(score.loss, expected.loss, kTolerance * (1 + expected.loss));
        assert.closeTo(score.accuracy, expected.accuracy, 1e-12);
        pair.gradients.forEach((gradient, k) => {
          const { gradient: reference, path } = pair.cpu.variables[k] as Network['variables'][number];
          const largest = Array.from(reference).reduce((most, x) => Math.max(most, Math.abs(x)), 0);
          gradient.read().forEach((x, i) => {
            if (!(Math.abs(x - (reference[i] as number)) <= kTolerance * largest))
              assert.fail(`${path}[${i}] is ${x}, expected ${reference[i]} of at most ${largest}`);
          });
        });
      }
    });

  it('changes no variable, and repeats to the bit', async () => {
    const pair = new Pair(addon, mnist, 640);
    pair.native.order(Uint32Array.from({ length: 640 }, (_, i) => i).reverse(), stream);
    const once = async () => {
      for (let start = 0; start < 640; start += 64) pair.run(start, 64);
      return [await pair.native.score(stream), pair.gradients.map((gradient) => gradient.read())];
    };
    assert.deepEqual(await once(), await once());
    pair.variables.forEach((variable, k) => assert.deepEqual(variable.read(), pair.cpu.variables[k]?.value));
  });

  it('writes no gradient where none is asked for, and counts every image once', async () => {
    const pair = new Pair(addon, { inputs: 4, hidden: 3, classes: 2, batch: 2 }, 5);
    const order = Uint32Array.of(4, 3, 2, 1, 0);
    pair.native.order(order, stream);
    for (const [start, count] of [
      [0, 2],
      [2, 2],
      [4, 1],
    ] as const)
      pair.run(start, count, false);
    const { loss, accuracy } = await pair.native.score(stream);
    const expected = pair.reference(order);
    assert.closeTo(loss, expected.loss, 1e-6);
    assert.closeTo(accuracy, expected.accuracy, 1e-12);
    for (const gradient of pair.gradients)
      assert.isTrue(
        gradient.read().every((x) => x === Math.fround(kGuard)),
        'gradients are as they were',
      );
  });

  describe('refuses', () => {
    let pair: Pair;
    before(() => {
      pair = new Pair(addon, { inputs: 4, hidden: 3, classes: 2, batch: 2 }, 5);
      pair.native.order(Uint32Array.of(0, 1, 2), stream);
    });
    const run = (change: Record<string, unknown>, count: unknown = 2, start: unknown = 0) => {
      const variables = pair.variables.map(({ cuda }, i) => (i === 0 ? { ...cuda, ...change } : cuda));
      pair.native.run(variables, null, start as number, count as number, stream);
    };
    const network = (change: Record<string, unknown>) => {
      const options = { device: 0, batch: 2, widths: [4, 2], pixels: new Uint8Array(8), labels: new Uint8Array(2) };
      return new addon.Network({ ...options, ...change });
    };
    const refused: Readonly<Record<string, () => unknown>> = {
      'variables[0] expects shape [4, 3], got [3, 4]': () => run({ shape: [3, 4] }),
      'variables[0] expects dtype float32, got float64': () => run({ dtype: 'float64' }),
      'variables[0] expects memory of cuda:0, got cpu': () => run({ device: 'cpu' }),
      'variables[0].ptr expects a bigint of 64 bits': () => run({ ptr: 4096 }),
      'variables[0].stream expects a bigint of 64 bits': () => run({ stream: 2n ** 64n }),
      'variables[0] expects a pointer to floats': () => run({ ptr: 0n }),
      'variables expects an array of 4': () => pair.native.run([], null, 0, 2, stream),
      'gradients expects an array of 4': () =>
        pair.native.run(
          pair.variables.map(({ cuda }) => cuda),
          [],
          0,
          2,
          stream,
        ),
      'count expects a whole number from 1 to 2': () => run({}, 3),
      'start expects a whole number from 0 to 1': () => run({}, 2, 2),
      'order[1] expects a number below 5': () => pair.native.order(Uint32Array.of(0, 5), stream),
      'order expects a Uint32Array': () => pair.native.order([0] as unknown as Uint32Array, stream),
      'labels[1] expects a number below 2': () => network({ labels: Uint8Array.of(1, 2) }),
      'pixels expects 4 bytes for each of at least one label': () => network({ pixels: new Uint8Array(7) }),
      'widths expects an array of at least two numbers': () => network({ widths: [4] }),
      "Memory's length expects a whole number from 1 to": () => new addon.Memory(0, 0.5),
      'write expects as many numbers': () => new addon.Memory(0, 2).write(new Float32Array(3), stream),
      'this memory has been released': () => {
        const memory = new addon.Memory(0, 1);
        memory.release();
        return memory.ptr;
      },
    };
    for (const [message, attempt] of Object.entries(refused)) it(message, () => assert.throws(attempt, message));
  });
});

describe("the example's addon built with CUDA", () => {
  it('loads without a driver, and says what is missing', function () {
    const addon = load('cuda');
    if (typeof addon === 'string') return this.skip();
    const problem = addon.problem();
    if (problem === null) return this.skip();
    assert.match(problem, /^cudaGetDeviceCount failed: cudaError\w+: ./);
    for (const attempt of [() => new addon.Memory(0, 1), () => new addon.Stream(0)])
      assert.throws(attempt, /^cuda\w+ failed: cudaError\w+: ./);
    try {
      new addon.Memory(0, 1);
    } catch (error) {
      assert.propertyVal(error, 'code', 'ERR_EXAMPLE_CUDA');
    }
  });
});

describe('npm run example:gpu', function () {
  this.timeout(120_000);
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const emulated = join(cwd, 'build-emulated/Release/keras_optimizers.node');
  const run = (env: Record<string, string>, ...args: string[]) => {
    const command = ['--import', 'tsx', 'examples/gpu/mnist.ts', ...args];
    return spawnSync(process.execPath, command, { cwd, encoding: 'utf8', env: { ...process.env, ...env } });
  };
  const small = ['--train', '330', '--batch-size', '32', '--hidden', '20', '--epochs', '2'];
  let folder = '';
  before(() => (folder = mkdtempSync(join(tmpdir(), 'example-gpu-'))));
  after(() => rmSync(folder, { recursive: true }));

  /** What makes the library find a GPU; a string if nothing does. */
  function environment(): Record<string, string> | string {
    const [gpu] = devices().cuda;
    const addon = load(gpu !== undefined && gpu.name !== 'emulated' ? 'cuda' : 'emulated');
    if (typeof addon === 'string') return addon;
    if (gpu !== undefined) return {};
    return existsSync(emulated) ? { KERAS_OPTIMIZERS_ADDON: emulated } : 'no GPU, and no emulated build of the library';
  }

  it('trains on the GPU as on the CPU, however the gradients are handed over', function () {
    const env = environment();
    if (typeof env === 'string') {
      console.log(`      nothing to test: ${env}`);
      return this.skip();
    }
    const runs = Object.entries(handovers).map(([handover, text]) => {
      const json = join(folder, `${handover}.json`);
      const { status, stdout, stderr } = run(env, '--handover', handover, '--json', json, ...small);
      assert.equal(status, 0, stdout + stderr);
      assert.include(stdout, `gradients: ${text}`);
      assert.match(stdout, /largest difference of the loss curves: \S+ of the loss, within 0.001/);
      return JSON.parse(readFileSync(json, 'utf8')) as { onCpu: Run; onGpu: Run; difference: number };
    });
    for (const { onGpu, difference } of runs) {
      assert.deepEqual(onGpu.points, runs[0]?.onGpu.points, 'the same bits');
      assert.deepEqual(onGpu.test, runs[0]?.onGpu.test);
      assert.deepEqual(
        onGpu.points.map((points) => points.reduce((sum, { images }) => sum + images, 0)),
        [330, 330],
      );
      assert.isAtMost(difference, kTolerance / 100); // after so few steps
      const [first, last] = [onGpu.points[0]?.[0], onGpu.points[1]?.at(-1)];
      assert.isBelow(last?.loss ?? NaN, (first?.loss ?? NaN) / 1.5);
    }
  });

  it('says why there is no GPU, and ends with exit code 3', function () {
    const env: Record<string, string> = existsSync(emulated)
      ? { KERAS_OPTIMIZERS_ADDON: emulated, KERAS_OPTIMIZERS_EMULATED_GPUS: '0' }
      : {};
    const { unusable } = devices();
    if (unusable === null && !existsSync(emulated)) return this.skip();
    const { status, stdout, stderr } = run(env, ...small);
    assert.deepEqual([status, stdout], [exitCodes.noGpu, '']);
    assert.match(stderr, /^no GPU to use: ERR_CUDA_\w+: \w/);
  });

  it('finds curves that are too far apart, NaN among them', () => {
    const runOf = (...losses: number[]): Run => {
      const points = losses.map((loss) => [{ loss, accuracy: 0.5, images: 10 }]);
      return { points, test: { loss: 1, accuracy: 0.5 }, milliseconds: 1 };
    };
    const difference = (...losses: number[]) => reportOf(runOf(1, 0.5), runOf(...losses)).difference;
    assert.equal(difference(1, 0.5), 0);
    assert.closeTo(difference(1.001, 0.501), 0.002, 1e-12);
    for (const losses of [[NaN, 0.5], [1, NaN], [1]]) assert.isNaN(difference(...losses));
    assert.match(reportOf(runOf(1, 0.5), runOf(1, 0.6)).text, /: 2.0e-1 of the loss, beyond 0.001$/);
    assert.match(reportOf(runOf(1, 0.5), runOf(NaN, 0.5)).text, /: NaN of the loss, beyond 0.001$/);
  });
});
