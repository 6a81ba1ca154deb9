// Keras 3.15.1's own numbers: every case of the goldens, in float32 to the bit where no norm, no schedule and no power of an
// element is involved, in float64 against the exact formula.
import { assert } from 'chai';

import { deserialize, serialize, type Optimizer } from '../lib/index.ts';
import {
  bits,
  distance,
  numbers,
  readGolden,
  replayCase,
  type Case,
  type GoldenFile,
  type Problem,
  type Replay,
  type Run,
} from './golden.ts';
import { classes } from './optimizers.ts';
import { merged } from './merged.ts';
import { isInexact, tolerance } from './promise.ts';

/** Keras on TensorFlow has a bug there: test/golden/copied_momentum.py. */
const elsewhere: Readonly<Record<string, string>> = { schedulefreeadamw: 'schedulefreeadamw-meant' };
const files = classes.map(({ className }) => className.toLowerCase()).map((name) => elsewhere[name] ?? name);

/** Keras takes the squares of such rows one by one, which is no truth (docs/sparse.md). */
const hasDuplicates = ({ id }: Case): boolean => id.endsWith('sparse duplicate rows');
/** Keras's own float32 may be off by |keras - exact|. */
function checkClose(
  who: string,
  ours: readonly number[],
  keras: number[],
  exact: number[],
  travelled: number,
  t: number,
): void {
  ours.forEach((x, i) => {
    const expected = keras[i] as number;
    const bound = Math.abs(expected - (exact[i] as number)) + tolerance(expected, travelled, t);
    assert.isAtMost(Math.abs(x - expected), bound, `${who}[${i}]: ${x}, Keras ${expected}`);
  });
}

function checkFloat32(file: GoldenFile, c: Case): void {
  const problem = file.problems[c.problem] as Problem;
  const { params, iterations, rates, optimizer, variables } = replayCase(file, c, 'float32');
  const exact = c.exact64 as Run;
  c.float32.at.forEach((t, k) =>
    problem.variables.forEach(({ name, initial }, v) => {
      const ours = params[k]?.[v] as number[];
      const keras = numbers(c.float32.params[k]?.[v] ?? []);
      const who = `${name} after ${t}`;
      if (!isInexact(c)) return assert.deepEqual(bits(ours), bits(keras), who);
      const recorded = exact.at.indexOf(t);
      const truth = recorded < 0 ? keras : numbers(exact.params[recorded]?.[v] ?? []);
      checkClose(who, ours, keras, truth, distance(keras, initial), t);
    }),
  );
  assert.deepEqual(iterations, c.float32.iterations);
  checkRates(rates, c.float32.learningRate ?? []);
  checkState(c, optimizer, variables);
}

function checkRates(ours: readonly number[], keras: readonly number[]): void {
  keras.forEach((rate, t) =>
    assert.closeTo(ours[t] as number, rate, 1e-6 * rate, `learning rate before update ${t + 1}`),
  );
}

/** The dtype of one of a golden's optimizer.variables: JAX counts in int32. */
const ourDtype = (dtype: string, i: number): string => (i === 0 ? 'int64' : dtype);

/** optimizer.variables: Keras's order, paths, shapes, dtypes and, where the run is exact, values. */
function checkState(
  c: Case,
  optimizer: Optimizer,
  variables: NonNullable<Parameters<Optimizer['finalize_variable_values']>[0]>,
): void {
  const expected = c.float32.variables ?? [];
  const state = optimizer.variables;
  const named = (path = '') => path.replace(/^[^/]*/, optimizer.name);
  assert.deepEqual(
    state.map(({ path, shape, dtype }) => ({ path, shape: [...shape], dtype })),
    expected.map(({ path, shape, dtype }, i) => ({
      path: named(path),
      shape: [...shape],
      dtype: ourDtype(dtype, i) as 'float32',
    })),
  );
  if (!isInexact(c))
    state.forEach(({ path, value }, i) =>
      assert.deepEqual(bits(Array.from(value, Number)), bits(numbers(expected[i]?.value ?? [])), path),
    );
  if (c.finalize !== true || isInexact(c)) return;
  optimizer.finalize_variable_values(variables);
  variables.forEach((v, i) => {
    assert.deepEqual(bits('value' in v ? v.value : v), bits(numbers(c.float32.finalized?.[i] ?? [])), `finalized ${i}`);
  });
}

/** 1e-12 of the distance travelled and 1e-13 relative: some hundred roundings of float64. */
function checkFloat64(file: GoldenFile, c: Case): void {
  const problem = file.problems[c.problem] as Problem;
  const exact = c.exact64 as Run;
  const { params, iterations, optimizer } = replayCase(file, c, 'float64');
  exact.at.forEach((t, k) =>
    problem.variables.forEach(({ name, initial }, v) => {
      const truth = numbers(exact.params[k]?.[v] ?? []);
      const travelled = distance(truth, initial);
      (params[k]?.[v] as number[]).forEach((x, i) => {
        const bound = 1e-12 * travelled + 1e-13 * Math.abs(truth[i] as number);
        assert.isAtMost(Math.abs(x - (truth[i] as number)), bound, `${name}[${i}] after ${t}: ${x}, exact ${truth[i]}`);
      });
    }),
  );
  assert.deepEqual(iterations, exact.iterations);
  optimizer.variables.forEach(({ path, shape, dtype, value }, i) => {
    const expected = exact.variables?.[i];
    assert.deepEqual([...shape], [...(expected?.shape ?? [])], path);
    assert.equal(dtype, ourDtype(expected?.dtype ?? '', i), path);
    const truth = numbers(expected?.value ?? []);
    const size = distance(
      truth,
      truth.map(() => 0),
    );
    Array.from(value, Number).forEach((x, k) => assert.closeTo(x, truth[k] as number, 1e-12 * size + 1e-300, path));
  });
}

/** Bug 4 of Keras 3: its numbers are another optimizer's, ours those of the dense run on the sums of the rows. */
function checkMerged(file: GoldenFile, c: Case): void {
  for (const dtype of ['float32', 'float64'] as const) {
    const [sparse, dense] = [replayCase(file, c, dtype), replayCase(file, c, dtype, merged)];
    assert.deepEqual(sparse.params.flat().map(bits), dense.params.flat().map(bits));
    const values = ({ optimizer }: Replay) => optimizer.variables.map(({ value }) => bits(Array.from(value, Number)));
    assert.deepEqual(values(sparse), values(dense));
  }
}

for (const name of files) {
  describe(`goldens of ${name}`, () => {
    const file = readGolden(name);
    const cases = file.cases.filter((c) => !hasDuplicates(c));
    it('are all read, but those of a bug with duplicate rows', () => {
      assert.isAtLeast(cases.length, 8);
      assert.lengthOf(file.cases, cases.length + (name.endsWith('-meant') ? 0 : 1));
      assert.lengthOf(
        file.cases.filter(({ steps }) => steps),
        name.endsWith('-meant') ? 0 : 2,
      );
    });
    for (const c of file.cases.filter(hasDuplicates))
      it(`${c.id}: are those of the merged rows`, () => checkMerged(file, c));
    for (const c of cases) {
      it(`${c.id}: float32 ${isInexact(c) ? 'close to' : 'has'} Keras's bits`, () => checkFloat32(file, c));
      it(`${c.id}: float64 is the exact formula`, () => checkFloat64(file, c));
      it(`${c.id}: serialize and deserialize agree with Keras's config`, () => checkConfig(c));
    }
  });
}

/** Keras echoes a numeric learning rate through float32; ours stays as it was given. */
function checkConfig(c: Case): void {
  const { name } = c.config.config;
  const optimizer = deserialize({ class_name: c.class, config: { ...c.args, name } }) as Optimizer;
  const rate = c.config.config.learning_rate;
  const config =
    typeof rate === 'number'
      ? { ...c.config.config, learning_rate: c.args.learning_rate ?? optimizer.learning_rate }
      : c.config.config;
  if (typeof rate === 'number') assert.equal(Math.fround(optimizer.learning_rate), rate);
  // as text: the order of the keys is Keras's too
  assert.equal(JSON.stringify(serialize(optimizer)), JSON.stringify({ ...c.config, config }));
  assert.deepEqual(serialize(deserialize(serialize(optimizer))), serialize(optimizer));
  assert.deepEqual(serialize(deserialize(c.config)).config, { ...c.config.config });
}
