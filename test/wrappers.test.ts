// LossScaleOptimizer and MultiOptimizer beside Keras 3.15.1's own numbers: every case of their goldens, to the bit.
import { assert } from 'chai';

import { deserialize, serialize, Variable, type LossScaleOptimizer, type Optimizer } from '../lib/index.ts';
import { bits, numbers, readGolden, type Problem, type Run, type Value } from './golden.ts';

type Described = readonly [name: string, args: object];
interface Case {
  readonly id: string;
  readonly class: string;
  readonly args?: object;
  readonly inner?: { readonly class: string; readonly args: object };
  readonly spec?: { readonly default: Described; readonly map: readonly (readonly [string, Described])[] };
  readonly problem: string;
  readonly actions?: Readonly<Record<string, { readonly scaleGradients: number | 'inf' | 'nan' }>>;
  readonly config: { readonly config: Readonly<Record<string, unknown>> };
  readonly float32: Run & { readonly lossScale?: readonly (readonly [scale: number, counter: number])[] };
}
interface File {
  readonly problems: Readonly<Record<string, Problem>>;
  readonly cases: readonly Case[];
}

const form = ([class_name, config]: Described) => ({ class_name, config });

function make({ class: class_name, args, inner, spec }: Case): Optimizer {
  const map = {
    class_name: 'OptimizerMap',
    config: spec && {
      default_optimizer: form(spec.default),
      optimizer_map: Object.fromEntries(spec.map.map(([key, one]) => [key, form(one)])),
    },
  };
  const own = inner ? { inner_optimizer: form([inner.class, inner.args]) } : { optimizer_map: map };
  return deserialize({ class_name, config: { ...args, ...own } }) as Optimizer;
}

const factor = (given: number | 'inf' | 'nan' | undefined): number =>
  given === undefined ? 1 : Number(given === 'inf' ? 'Infinity' : given);
const gradientsOf = (rows: readonly (readonly Value[])[], by: number): number[][] =>
  rows.map((row) => numbers(row).map((x) => Math.fround(x * by)));

/** Without the product of a Nadam in a LossScaleOptimizer, which Keras forgets; and with the class's own first part of a path. */
function shownByKeras(c: Case, optimizer: Optimizer): readonly Variable[] {
  const forgets = c.class === 'LossScaleOptimizer' && c.inner?.class === 'Nadam';
  return forgets ? optimizer.variables.slice(0, -1) : optimizer.variables;
}

function check(file: File, c: Case, apply: (optimizer: Optimizer, g: number[][], v: Variable[]) => unknown) {
  const problem = file.problems[c.problem] as Problem;
  const variables = problem.variables.map(({ name, shape, initial }) => new Variable(initial, { shape, name }));
  const optimizer = make(c);
  return { optimizer, variables, steps: c.float32.at.map((t, k) => () => step(t, k)) };

  async function step(t: number, k: number): Promise<void> {
    const by = factor(c.actions?.[t]?.scaleGradients);
    await apply(optimizer, gradientsOf(problem.steps[t - 1] ?? [], by), variables);
    variables.forEach(({ value, path }, v) =>
      assert.deepEqual(bits(value), bits(numbers(c.float32.params[k]?.[v] ?? [])), `${path} after ${t}`),
    );
    assert.equal(optimizer.iterations, c.float32.iterations?.[k]);
    const { dynamic_scale, step_counter } = optimizer as LossScaleOptimizer;
    if (c.float32.lossScale) assert.deepEqual([dynamic_scale, step_counter], [...(c.float32.lossScale[k] ?? [])]);
  }
}

const ways = {
  apply: (optimizer: Optimizer, g: number[][], v: Variable[]) => optimizer.apply(g, v),
  apply_async: (optimizer: Optimizer, g: number[][], v: Variable[]) => optimizer.apply_async(g, v),
};

for (const name of ['lossscaleoptimizer', 'multioptimizer']) {
  const file = readGolden<File>(name);
  describe(`goldens of ${name}`, () => {
    it('are all read', () => assert.lengthOf(file.cases, name === 'multioptimizer' ? 1 : 6));
    for (const c of file.cases) {
      for (const [way, apply] of Object.entries(ways))
        it(`${c.id}: ${way} has Keras's bits`, async () => {
          const { optimizer, steps } = check(file, c, apply);
          for (const step of steps) await step();
          const expected = c.float32.variables ?? [];
          const state = shownByKeras(c, optimizer);
          assert.lengthOf(state, expected.length);
          state.forEach(({ path, shape, dtype, value }, i) => {
            const keras = expected[i];
            assert.deepEqual([[...shape], dtype], [[...(keras?.shape ?? [])], keras?.dtype]);
            assert.deepEqual(bits(Array.from(value, Number)), bits(numbers(keras?.value ?? [])), path);
            const last = (text = '') => text.slice(text.lastIndexOf('/') + 1);
            assert.equal(last(path), last(keras?.path));
          });
          if (c.float32.uProduct !== undefined && c.inner?.class === 'Nadam')
            assert.closeTo(Number(optimizer.variables.at(-1)?.value[0]), c.float32.uProduct, 1e-9); // recorded with 9 digits
        });
      it(`${c.id}: serialize and deserialize agree with Keras's config`, () => {
        const back = serialize(deserialize(c.config));
        assert.equal(JSON.stringify(back), JSON.stringify(c.config));
        assert.equal(JSON.stringify(serialize(deserialize(JSON.parse(JSON.stringify(back))))), JSON.stringify(back));
        assert.sameMembers(Object.keys(serialize(make(c)).config), Object.keys(c.config.config));
      });
    }
  });
}
