// What the compiler makes of the kernels: the arithmetic that has the CPU's bits, and no other. PTX is read, not machine code: a
// division stays one instruction there, which the assembler replaces by a sequence with fma that rounds the same.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const kernels = here('../../cuda/kernels.cu');

/** What the build gives nvcc that changes values: `set(CUDA_FLAGS ...)` in CMakeLists.txt. */
function projectFlags(): string[] {
  const [, flags] = /^set\(CUDA_FLAGS ([^)]*)\)/m.exec(readFileSync(here('../../CMakeLists.txt'), 'utf8')) ?? [];
  if (flags === undefined) throw new Error('CMakeLists.txt has no set(CUDA_FLAGS ...)');
  return flags.trim().split(/\s+/);
}

/** The instructions in a file as the project compiles it; flags of the same name are replaced. */
function instructionsOf(source: string, ...replaced: string[]): Set<string> {
  const names = new Set(replaced.map((flag) => flag.split('=')[0]));
  const flags = [...projectFlags().filter((flag) => !names.has(flag.split('=')[0])), ...replaced];
  const output = join(mkdtempSync(join(tmpdir(), 'ptx-')), 'out.ptx');
  try {
    execFileSync('nvcc', ['-std=c++17', '-ptx', '-arch=compute_75', ...flags, source, '-o', output], { stdio: 'pipe' });
    const lines = readFileSync(output, 'utf8').matchAll(/^\s*(?:@!?%p\d+\s+)?([a-z][\w.]*)\s[^:;\n]*;/gm);
    return new Set([...lines].map(([, name = '']) => name));
  } finally {
    rmSync(dirname(output), { recursive: true });
  }
}

// Operations on numbers that have other forms than these: contracted, approximate, of another rounding, keeping denormals.
const arithmetic = /^(add|sub|mul|div|rcp|sqrt)\b.*\.b?f(16|32|64)/;
const exact = /^(add|sub|mul|div|rcp|sqrt)\.rn\.(ftz\.f32|f64)$/;
// What asks for a float32, or takes it to another type, and has to see a zero where the processor's mode makes one of it.
const reading = /^(setp?|neg|abs)\b.*\.f32|^cvt\b.*(\.f32\.b?f(16|64)|\.b?f(16|64)\.f32)/;
const violations: readonly ((name: string) => boolean)[] = [
  (name) => arithmetic.test(name) && !exact.test(name),
  (name) => /^(fma|mad)\b.*\.b?f(16|32|64)/.test(name),
  (name) => /\.(approx|full)\b/.test(name),
  (name) => /^(min|max)\b.*\.b?f(16|32|64)/.test(name), // drops NaN
  (name) => reading.test(name) && !name.includes('.ftz'),
];
const wrong = (names: ReadonlySet<string>): string[] =>
  [...names].filter((name) => violations.some((violates) => violates(name))).sort();

const planted = `
template <class T> __global__ void kernel(T* x) { x[0] = x[0] * x[1] + x[2] / x[3]; }
template __global__ void kernel(float*);
template __global__ void kernel(double*);
__global__ void roots(float* x, double* y) { x[0] = sqrtf(x[0]); y[0] = sqrt(y[0]); }
__global__ void largest(float* x) { x[0] = fmaxf(x[0], x[1]); }
__global__ void compares(float* x) { x[0] = x[0] < x[1] ? -x[2] : x[3]; }
`;

describe('the PTX of the kernels', function () {
  this.timeout(180_000);
  before(function () {
    const missing = !existsSync(kernels) ? 'there are no kernels' : spawnSync('nvcc', ['--version']).error?.message;
    if (missing === undefined) return;
    console.log(`      not read: ${missing}`);
    this.skip();
  });

  it('divides and takes roots as IEEE says, contracts nothing, and flushes float32 alone', () => {
    const names = instructionsOf(kernels);
    assert.deepEqual(wrong(names), []);
    const types = ['ftz.f32', 'f64'];
    const expected = ['add', 'sub', 'mul', 'div', 'sqrt'].flatMap((what) => types.map((type) => `${what}.rn.${type}`));
    assert.includeMembers([...names], expected);
  });

  describe('a check that finds', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ptx-'));
    const source = join(folder, 'planted.cu');
    before(() => writeFileSync(source, planted));
    after(() => rmSync(folder, { recursive: true }));
    const plant = (...flags: string[]): string[] => wrong(instructionsOf(source, ...flags));

    it('a maximum that drops NaN', () => assert.deepEqual(plant(), ['max.ftz.f32']));
    it('a contraction', () => assert.deepEqual(plant('--fmad=true'), ['fma.rn.f64', 'fma.rn.ftz.f32', 'max.ftz.f32']));
    it('an approximate division', () => assert.include(plant('-prec-div=false'), 'div.full.ftz.f32'));
    it('an approximate root', () => assert.include(plant('-prec-sqrt=false'), 'sqrt.approx.ftz.f32'));
    it('denormals that are kept', () => {
      const kept = ['add.rn.f32', 'div.rn.f32', 'max.f32', 'mul.rn.f32', 'neg.f32', 'setp.lt.f32', 'sqrt.rn.f32'];
      assert.deepEqual(plant('--ftz=false'), kept);
    });
  });
});
