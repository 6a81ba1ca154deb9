// Library memory: counted, given back, and nothing half-built when there is none.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { allocate, IndexedSlices, memory, Muon, Nadam, SGD, Variable } from '../lib/index.ts';
import { addon } from '../lib/native.ts';
import { settle } from './settle.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const megabyte = 2 ** 20;

describe('library memory', () => {
  beforeEach(settle);

  it('is counted, and given back by dispose', async () => {
    const before = memory().cpu;
    const v = new Variable(new Float32Array(megabyte / 4));
    const optimizer = new Nadam();
    optimizer.apply([new Float32Array(megabyte / 4)], [v]);
    const control = 8 * addon.controlSize; // of the step's one pass
    assert.equal(memory().cpu - before, 3 * megabyte + control);
    v.gradient.fill(1);
    assert.equal(memory().cpu - before, 4 * megabyte + control);
    optimizer.dispose();
    await settle();
    assert.equal(memory().cpu - before, 2 * megabyte);
    v.dispose();
    await settle();
    assert.equal(memory().cpu, before);
  });

  it("of a matrix's products lives as long as its optimizer", async () => {
    const v = new Variable(new Float32Array(256 * 256), { shape: [256, 256] });
    const before = memory().cpu;
    const optimizer = new Muon();
    optimizer.apply([new Float32Array(256 * 256)], [v]);
    // momentum, direction, x x'; and packed, 22 panels of 12 rows and 16 of 16 columns
    const numbers = 3 * 256 * 256 + (22 * 12 + 16 * 16) * 256;
    assert.equal(memory().cpu - before, 4 * numbers + 8 * addon.controlSize);
    optimizer.dispose();
    await settle();
    assert.equal(memory().cpu, before);
  });

  it('of the rows of sparse gradients, and of dense ones in their place, is given back as well', async () => {
    const before = memory().cpu;
    for (const make of [() => new SGD(), () => new Nadam({ use_ema: true })]) {
      const v = new Variable(new Float32Array(6), { shape: [3, 2] });
      const optimizer = make();
      for (const length of [3, 100, 7])
        optimizer.apply([new IndexedSlices(new Float32Array(2 * length), new Int32Array(length), [3, 2])], [v]);
      assert.throws(() => optimizer.apply([new IndexedSlices([1, 2], [3], [3, 2])]), RangeError, /3 rows/);
      await optimizer.apply_async([new IndexedSlices([1, 2], [2], [3, 2])]);
      optimizer.dispose();
      v.dispose();
    }
    await settle();
    assert.equal(memory().cpu, before);
  });

  it('is zero and aligned again when a small block is used for the second time', () => {
    for (const length of [1, 16, 17, 1000, 1024, 20_000, 131_071]) {
      const first = new Variable(new Float32Array(length).fill(7));
      first.gradient.fill(7);
      first.dispose();
      for (let i = 0; i < 2; i++) {
        const array = allocate(length);
        assert.isTrue(array.every((x) => x === 0));
        assert.equal(addon.beyondLine(array), 0);
      }
    }
  });

  it('of small blocks is used again, and does not grow', async function () {
    if (process.env.ASAN_OPTIONS !== undefined) {
      console.log('      not run: the address sanitizer keeps what is given back for a while');
      this.skip();
    }
    const use = () => {
      for (let i = 0; i < 2000; i++) new Variable(new Float32Array(1 + (i % 50) * 100)).dispose();
    };
    use();
    await settle();
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 10; round++) {
      use();
      await settle();
    }
    assert.isBelow(process.memoryUsage().rss - before, 32 * megabyte); // all of them together are 200 MB
  });

  it('is given back by the garbage collector, to which its bytes are reported', async () => {
    const before = memory().cpu;
    const external = process.memoryUsage().external;
    (() => {
      const v = new Variable(new Float32Array(4 * megabyte));
      assert.isAtLeast(process.memoryUsage().external - external, 16 * megabyte);
      new Nadam().apply([new Float32Array(4 * megabyte)], [v]);
    })();
    await settle();
    assert.equal(memory().cpu, before);
    assert.isBelow(process.memoryUsage().external - external, 2 * megabyte);
  });

  it('stays valid in an array that outlives its variable', async () => {
    const value = (() => new Variable([1, 2, 3]).value)();
    const array = allocate(3);
    await settle();
    assert.deepEqual([...value, ...array], [1, 2, 3, 0, 0, 0]);
  });

  it('that runs out leaves nothing half-built: the next try succeeds', function () {
    const folder = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
    const shim = join(folder, 'oom.so');
    execFileSync('cc', ['-shared', '-fPIC', '-O1', here('native/oom.c'), '-o', shim, '-ldl']);
    const { stdout, stderr } = spawnSync(process.execPath, ['--expose-gc', here('native/oom.mjs')], {
      env: { ...process.env, LD_PRELOAD: [process.env.LD_PRELOAD ?? '', shim].join(' ').trim() },
      encoding: 'utf8',
    });
    rmSync(folder, { recursive: true });
    const { results, kept } = JSON.parse(stdout || JSON.stringify(stderr)) as { results: unknown[]; kept: number };
    const refused = { failed: 'RangeError ERR_OPT_OOM', state: 2, again: 'done', iterations: 0 };
    assert.deepEqual(results, [...Array<object>(9).fill(refused), 'RangeError ERR_OPT_OOM', 'RangeError ERR_OPT_OOM']);
    assert.equal(kept, 0);
  });
});
