// KERAS_OPTIMIZERS_BLAS: a library of the user's for the products of matrices, in a process of its own.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const shapes = [
  [1, 9],
  [9, 1],
  [40, 70],
  [70, 40],
  [300, 280],
];

/** Two steps of Muon on matrices of both dtypes; a second environment uses the library that is there. Prints what they become. */
const program = `
import { Muon, Variable } from 'keras-optimizers';
const results = [Float32Array, Float64Array].flatMap((type) => {
  const variables = ${JSON.stringify(shapes)}.map((shape) => new Variable(new type(shape[0] * shape[1]), { shape }));
  const gradients = variables.map(({ value }) => value.map((_, i) => ((i * i) % 251) / 125 - 1));
  const optimizer = new Muon({ learning_rate: 1, weight_decay: null });
  try {
    optimizer.apply(gradients, variables);
    const before = process.env.KERAS_OPTIMIZERS_BLAS;
    process.env.KERAS_OPTIMIZERS_BLAS = '/nowhere'; // a plan that has been made goes on
    optimizer.apply(gradients, variables);
    if (before === undefined) delete process.env.KERAS_OPTIMIZERS_BLAS;
    else process.env.KERAS_OPTIMIZERS_BLAS = before;
  } catch (error) {
    const untouched = variables.every(({ value }) => value.every((x) => x === 0));
    return [{ error: error.constructor.name, code: error.code, message: error.message, untouched }];
  }
  return variables.map(({ value }) => [...value]);
});
console.log(JSON.stringify(results));
`;

interface Refusal {
  readonly error: string;
  readonly code: string;
  readonly message: string;
  readonly untouched: boolean;
}

function run<R>(blas: string | undefined): { readonly results: readonly R[]; readonly stderr: string } {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd: here('..'),
    env: { ...process.env, KERAS_OPTIMIZERS_BLAS: blas }, // undefined is not passed on
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  assert.notEqual(stdout, '', stderr);
  return { results: JSON.parse(stdout) as R[], stderr };
}

describe('KERAS_OPTIMIZERS_BLAS', () => {
  let folder: string;
  const build = (name: string, ...flags: string[]): string => {
    const library = join(folder, name);
    execFileSync('cc', ['-shared', '-fPIC', '-O1', ...flags, here('native/cblas.c'), '-o', library]);
    return library;
  };
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'keras-optimizers-'));
  });
  after(() => rmSync(folder, { recursive: true }));

  it('multiplies by the library that it names, within the tolerance of docs/muon.md', function () {
    this.timeout(120_000);
    const own = run<number[]>(undefined);
    const theirs = run<number[]>(build('libcblas.so'));
    assert.notInclude(own.stderr, 'cblas was called');
    assert.include(theirs.stderr, 'cblas was called');
    assert.lengthOf(theirs.results, 2 * shapes.length);
    let different = 0;
    own.results.forEach((ours, v) => {
      const single = v < shapes.length;
      const most = Math.max(...ours.map(Math.abs));
      ours.forEach((x, i) => {
        const other = theirs.results[v]?.[i] as number;
        // docs/muon.md: float32 1e-4, float64 1e-12 of the largest element of a step
        assert.isAtMost(
          Math.abs(x - other),
          (single ? 1e-4 : 1e-12) * most,
          `${String(shapes[v % shapes.length])} ${i}`,
        );
        if (x !== other) different++;
      });
    });
    assert.isAbove(different, 0); // it adds in another order
  });

  it('is an empty text for none', () => {
    assert.notInclude(run('').stderr, 'cblas was called');
  });

  const refusals: readonly (readonly [string, () => string, RegExp])[] = [
    [
      'is not there',
      () => join(folder, 'missing.so'),
      /expects the path of a shared library, got .*missing\.so: .*cannot open/,
    ],
    [
      'is no library',
      () => (writeFileSync(join(folder, 'text.so'), 'text'), join(folder, 'text.so')),
      /got .*text\.so: ./,
    ],
    [
      'lacks a function',
      () => build('half.so', '-DNO_DGEMM'),
      /cblas_sgemm and cblas_dgemm, .*half\.so has no cblas_dgemm/,
    ],
  ];
  for (const [what, make, message] of refusals)
    it(`is refused where it ${what}, with nothing written`, () => {
      const { results } = run<Refusal>(make());
      assert.lengthOf(results, 2);
      for (const { error, code, message: text, untouched } of results) {
        assert.deepEqual([error, code, untouched], ['Error', 'ERR_OPT_BLAS', true]);
        assert.match(text, message);
        assert.match(text, /^KERAS_OPTIMIZERS_BLAS /);
      }
    });
});
