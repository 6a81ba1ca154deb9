// What a GPU's memory is held by, and what becomes of sparse gradients when it fails: on the emulated GPU, or on one.
import { assert } from 'chai';

import { IndexedSlices, memory, SGD, Variable } from '../../lib/index.ts';
import { addon } from '../../lib/native.ts';

const { setFault, cudaCalls } = addon as unknown as {
  setFault?: (name: string | null, nth?: number, code?: number) => void;
  cudaCalls: () => Readonly<Record<string, number>>;
};
const there = (length: number) => Variable.zeros([length], { device: 'cuda' });
const bytes = () => memory()['cuda:0'] ?? 0;

describe('memory of a GPU', function () {
  before(function () {
    if (addon.cuda.startup().code !== null) this.skip();
  });
  afterEach(() => setFault?.(null));

  it('of a gradient that has been stepped with goes when it is disposed of', async () => {
    const [weights, gradient] = [there(1000), there(1000)];
    const optimizer = new SGD();
    optimizer.apply([gradient], [weights]);
    for (const step of [() => optimizer.apply([gradient]), () => optimizer.apply_async([gradient])]) {
      const other = there(1_000_000);
      const before = bytes();
      await step();
      other.dispose();
      assert.equal(bytes(), before - 4_000_000);
    }
    const before = bytes();
    gradient.dispose();
    assert.equal(bytes(), before - 4000);
    optimizer.dispose();
    weights.dispose();
  });
});

describe('sparse gradients on a GPU', function () {
  const shape = [4, 3];
  const slices = (row: number) => new IndexedSlices(new Float32Array([1, 2, 3]), [row], shape);
  before(function () {
    if (setFault === undefined || !addon.cuda.emulated) this.skip();
  });
  afterEach(() => setFault?.(null));

  it('ask for no memory of the device in a step: giving it back would wait', () => {
    const weights = Variable.zeros(shape, { device: 'cuda' });
    const optimizer = new SGD();
    optimizer.apply([slices(0)], [weights]);
    const before = { ...cudaCalls() };
    optimizer.apply([slices(1)], [weights]);
    for (const name of ['cudaMalloc', 'cudaFree', 'cudaStreamSynchronize'])
      assert.equal(cudaCalls()[name], before[name], name);
    optimizer.dispose();
    weights.dispose();
  });

  for (const nth of [1, 2, 3, 4])
    for (const count of [1, 2])
      it(`of ${count} variables leave nothing behind when launch ${nth} fails`, async () => {
        const all = Array.from({ length: count }, () => Variable.zeros(shape, { device: 'cuda' }));
        const optimizer = new SGD({ learning_rate: 1 });
        optimizer.apply(
          all.map(() => slices(3)),
          all,
        );
        setFault?.('cudaLaunchKernel', nth, 98);
        let happened = 2;
        try {
          optimizer.apply(all.map(() => slices(0)));
        } catch {
          happened--;
        }
        setFault?.(null);
        assert.equal(optimizer.iterations, happened);
        optimizer.apply(all.map(() => slices(1)));
        const row = (times: number) => [1, 2, 3].map((x) => 0 - x * times);
        for (const weights of all)
          assert.deepEqual(
            [...(await weights.read())],
            [...row(happened - 1), ...row(1), ...row(0), ...row(1)].map((x) => x || 0),
          );
        optimizer.dispose();
        for (const weights of all) weights.dispose();
      });
});

it('a variable on a GPU that is given no gradient stays as it is', async function () {
  if (addon.cuda.startup().code !== null) this.skip();
  const [small, large] = [there(3), there(20_000)];
  const all = [small, large];
  const optimizer = new SGD({ learning_rate: 1, global_clipnorm: 1e9 });
  optimizer.apply([null, new Float32Array(20_000).fill(1)], all);
  await optimizer.apply_async([new Float32Array(3).fill(1), null]);
  assert.deepEqual([...(await small.read())], [-1, -1, -1]);
  assert.isTrue((await large.read()).every((x) => x === -1));
  optimizer.dispose();
  for (const weights of all) weights.dispose();
});
