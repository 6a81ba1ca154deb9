// npm run test:native: programs in C++ that go through every divisor, power and order that rules count on, apart from `npm test` since
// they take their time.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { addon } from '../../lib/native.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const architectures: Readonly<Record<string, readonly string[]>> = {
  baseline: [],
  avx2: ['-mavx2', '-mfma'],
  avx512: ['-mfma', '-mavx512f', '-mavx512vl', '-mavx512bw', '-mavx512dq'],
};

/** Builds a program of test/native and runs it: it prints what went wrong. */
function checkProgram(name: string, architecture: readonly string[]): void {
  const program = join(mkdtempSync(join(tmpdir(), `${name}-`)), name);
  const flags = ['-std=c++17', '-O2', '-ffp-contract=off', '-fno-math-errno', '-fno-trapping-math', '-pthread'];
  execFileSync('g++', [...flags, ...architecture, here(`${name}.cpp`), '-o', program, '-ldl']);
  const { stdout, status } = spawnSync(program, { encoding: 'utf8' });
  rmSync(dirname(program), { recursive: true });
  assert.equal(stdout, '');
  assert.equal(status, 0);
}

describe('what kernels count on', () => {
  it('divide quickly as the processor divides, or know that they may not have', function () {
    this.timeout(120_000);
    if (!addon.backends.some(({ name, unusable }) => name === 'avx2' && unusable === null)) {
      console.log('      not run: this processor has no FMA');
      this.skip();
    }
    checkProgram('division', ['-mfma']);
  });
  it('would flush denormals as the processor does where there is none that can', function () {
    this.timeout(120_000);
    checkProgram('float32', []);
  });
  it('raise to a power as exactly as they say', function () {
    this.timeout(120_000);
    checkProgram('power', []);
  });
  for (const [set, flags] of Object.entries(architectures))
    it(`multiply matrices in the order that is promised, ${set}`, function () {
      this.timeout(120_000);
      if (!addon.backends.some(({ name, unusable }) => name === set && unusable === null)) {
        console.log(`      not run: this processor has no ${set}`);
        this.skip();
      }
      checkProgram('product', flags);
    });
});
