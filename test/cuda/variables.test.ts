// Variables on a GPU: what they hold, when it is read, and what becomes of their memory.
import { assert } from 'chai';

import {
  Adam,
  cudaStream,
  devices,
  info,
  memory,
  Nadam,
  SGD,
  useCudaStream,
  Variable,
  type DeviceArray,
  type FloatArray,
} from '../../lib/index.ts';
import { rejection, thrown, warnings } from '../errors.ts';
import { settle } from '../settle.ts';
import { describeOnGpu, few, numbers, same } from './gpu.ts';

describeOnGpu('a variable on a GPU', () => {
  it('holds what it was made of', async () => {
    for (const dtype of ['float32', 'float64'] as const)
      for (const length of few) {
        const data = numbers('data', length, dtype);
        for (const given of [data, [...data]]) {
          const v = new Variable(given, { device: 'cuda', dtype });
          assert.deepEqual([v.device, v.dtype, v.shape], ['cuda:0', dtype, [length]]);
          same([await v.read()], [data]);
          same([await v.gradient.read()], [new Float32Array(length)]);
          v.dispose();
        }
      }
  });

  it('of zeros is made there or on the host', async () => {
    const there = Variable.zeros([2, 3], { device: 'cuda:0', dtype: 'float64', name: 'a/b' });
    assert.deepEqual([there.shape, there.dtype, there.path], [[2, 3], 'float64', 'a/b']);
    same([await there.read()], [new Float64Array(6)]);
    const here = Variable.zeros([2, 3]);
    assert.deepEqual([here.device, [...here.value]], ['cpu', [0, 0, 0, 0, 0, 0]]);
    same([await here.read()], [new Float32Array(6)]);
    assert.notStrictEqual<unknown>(await here.read(), here.value);
  });

  it('takes numbers and the values of others, of another dtype too', async () => {
    const v = new Variable([1, 2, 3], { device: 'cuda' });
    const data = Float32Array.of(4, 5, 6);
    v.assign(data);
    data.fill(0);
    same([await v.read()], [[4, 5, 6]]);
    v.assign(new Variable([7, 8, 9]));
    same([await v.read()], [[7, 8, 9]]);
    v.gradient.assign([1, -0, NaN]);
    v.assign(v.gradient);
    same([await v.read()], [[1, -0, NaN]]);
    v.assign(new Variable(Float64Array.of(0.1, 2, 3), { device: 'cuda' }));
    same([await v.read()], [Float32Array.of(0.1, 2, 3)]);
    v.assign(v);
    same([await v.read()], [Float32Array.of(0.1, 2, 3)]);
  });

  it('is read as it is after the steps before, whatever comes later', async () => {
    const v = new Variable(new Float32Array(100_000), { device: 'cuda' });
    const optimizer = new SGD({ learning_rate: 1 });
    const one = new Float32Array(100_000).fill(-1);
    const reads: Promise<FloatArray>[] = [v.read()];
    for (let step = 1; step <= 3; step++) {
      optimizer.apply([one], [v]);
      reads.push(v.read());
    }
    v.assign(new Float32Array(100_000));
    const ends = (await Promise.all(reads)).map((array) => [array[0], array.at(-1)]);
    assert.deepEqual(
      ends,
      [0, 1, 2, 3].map((x) => [x, x]),
    );
  });

  it('is described for other addons', () => {
    const v = Variable.zeros([2, 3], { device: 'cuda' });
    for (const [described, owner] of [
      [v.cuda, v],
      [v.gradient.cuda, v],
    ] as const) {
      assert.hasAllKeys(described, ['ptr', 'shape', 'dtype', 'device', 'stream', 'owner']);
      assert.deepInclude(described, { shape: [2, 3], dtype: 'float32', device: 'cuda:0', stream: cudaStream() });
      assert.strictEqual<unknown>(described.owner, owner);
      assert.typeOf(described.ptr, 'bigint');
    }
    assert.notEqual(v.cuda.ptr, v.gradient.cuda.ptr);
    assert.deepEqual(
      [v.gradient.shape, v.gradient.length, v.gradient.dtype, v.gradient.device],
      [[2, 3], 6, 'float32', 'cuda:0'],
    );
    assert.strictEqual(v.gradient, v.gradient);
  });

  it('gives its memory back', async () => {
    await settle();
    const before = memory()['cuda:0'];
    assert.isNumber(before);
    const v = Variable.zeros([1000], { device: 'cuda' });
    v.gradient.assign(new Float32Array(1000));
    assert.isAtLeast((memory()['cuda:0'] as number) - (before as number), 8000);
    const optimizer = new Adam({ use_ema: true, gradient_accumulation_steps: 2 });
    optimizer.apply(undefined, [v]);
    optimizer.apply([new Float32Array(1000)]);
    optimizer.dispose();
    v.dispose();
    v.dispose();
    await settle();
    assert.equal(memory()['cuda:0'], before);
    for (const use of [() => v.value, () => v.gradient, () => v.assign([1]), () => v.cuda])
      assert.equal(thrown(use)?.code, 'ERR_OPT_DISPOSED');
    assert.equal((await rejection(() => v.read()))?.code, 'ERR_OPT_DISPOSED');
  });

  it('that is disposed of is found by the next step', async () => {
    const [v, w] = [Variable.zeros([3], { device: 'cuda' }), Variable.zeros([3], { device: 'cuda' })];
    const optimizer = new SGD();
    optimizer.build([v, w]);
    optimizer.apply();
    w.dispose();
    assert.equal(thrown(() => optimizer.apply())?.code, 'ERR_OPT_DISPOSED');
    assert.equal(thrown(() => optimizer.apply([[1, 2, 3], null]))?.code, 'ERR_OPT_DISPOSED');
    assert.equal((await rejection(() => optimizer.apply_async()))?.code, 'ERR_OPT_DISPOSED');
    assert.equal(optimizer.iterations, 1);
  });

  it('is in use while an asynchronous step runs', async () => {
    const v = new Variable(new Float32Array(300_000), { device: 'cuda' });
    const optimizer = new Nadam({ global_clipnorm: 1 });
    const step = optimizer.apply_async([new Float32Array(300_000).fill(1)], [v]);
    for (const use of [() => v.dispose(), () => v.assign([1]), () => optimizer.dispose(), () => optimizer.apply()])
      assert.match(String(thrown(use)?.code), /ERR_OPT_BUSY|ERR_OPT_LENGTH/);
    assert.equal(thrown(() => v.dispose())?.code, 'ERR_OPT_BUSY');
    const read = v.read();
    assert.equal(await step, 1);
    assert.notEqual((await read)[0], 0);
    assert.closeTo(optimizer.gradient_norm as number, Math.sqrt(300_000), 1e-6);
  });

  it('says where the optimizer is', () => {
    const optimizer = new SGD();
    assert.isUndefined(optimizer.device);
    optimizer.build([Variable.zeros([1], { device: 'cuda' })]);
    assert.equal(optimizer.device, 'cuda:0');
    const other = new SGD();
    other.build([new Float32Array(1)]);
    assert.equal(other.device, 'cpu');
  });

  it('keeps the norm of its optimizer beyond that', () => {
    const optimizer = new SGD({ global_clipnorm: 1 });
    optimizer.apply([[3, 4]], [Variable.zeros([2], { device: 'cuda' })]);
    optimizer.dispose();
    assert.equal(optimizer.gradient_norm, 5);
  });
});

describeOnGpu('the GPUs', () => {
  it('are listed', () => {
    const { cuda, unusable } = devices();
    assert.isNull(unusable);
    cuda.forEach((gpu, i) => {
      assert.equal(gpu.device, `cuda:${i}`);
      assert.hasAllKeys(gpu, ['device', 'name', 'uuid', 'memory', 'capability', 'processors', 'driver']);
      assert.isAbove(gpu.memory, 0);
      assert.match(gpu.driver, /^\d+\.\d$/);
      assert.match(gpu.capability, /^\d+\.\d$/);
    });
    const { cuda: known } = info();
    assert.deepInclude(known, { built: true, unusable: null });
    assert.isAtLeast(known.requiredDriver as number, 525);
  });
  it('are what auto means, without a warning', async () => {
    assert.deepEqual(await warnings(() => assert.equal(new Variable([1], { device: 'auto' }).device, 'cuda:0')), []);
  });
  it('give their stream, and take another', async () => {
    const own = cudaStream();
    assert.typeOf(own, 'bigint');
    useCudaStream('cuda', 0n);
    assert.equal(cudaStream('cuda:0'), own);
    const v = new Variable([1, 2], { device: 'cuda' });
    new SGD({ learning_rate: 1 }).apply([[1, 1]], [v]);
    same([await v.read()], [[0, 1]]);
    assert.equal(thrown(() => useCudaStream('cuda', 1 as never))?.code, 'ERR_OPT_CONFIG_TYPE');
    assert.equal(thrown(() => useCudaStream('cuda', -1n))?.code, 'ERR_OPT_CONFIG_RANGE');
    assert.equal(thrown(() => useCudaStream('cpu' as never, 0n))?.code, 'ERR_OPT_CONFIG_RANGE');
  });
});

describeOnGpu(
  'two GPUs',
  () => {
    it('train side by side', async () => {
      const make = (device: 'cuda:0' | 'cuda:1'): readonly [Variable<DeviceArray>, Nadam] => {
        const v = new Variable(numbers('start', 3000), { device });
        const optimizer = new Nadam({ clipnorm: 1, use_ema: true });
        optimizer.build([v]);
        return [v, optimizer];
      };
      const both = [make('cuda:0'), make('cuda:1')] as const;
      for (let step = 0; step < 3; step++)
        for (const [, optimizer] of both) optimizer.apply([numbers(`gradient ${step}`, 3000)]);
      const [[a, first], [b, second]] = both;
      assert.deepEqual([a.device, b.device, first.device, second.device], ['cuda:0', 'cuda:1', 'cuda:0', 'cuda:1']);
      same([await a.read()], [await b.read()]);
      assert.equal(first.gradient_norm, second.gradient_norm);
      assert.isAbove(memory()['cuda:1'] as number, 0);
      assert.notEqual(cudaStream('cuda:1'), 0n);
      for (const [v, optimizer] of both) {
        optimizer.dispose();
        v.dispose();
      }
      await settle();
      assert.equal(memory()['cuda:1'], 0);
    });
  },
  2,
);
