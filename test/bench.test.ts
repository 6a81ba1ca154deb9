// The benchmark suite where it needs no clock: its loops, its rules, its tables.
import { assert } from 'chai';
import { doneAs } from '../bench/drivers.ts';
import { make } from '../bench/hosts/javascript.ts';
import { everyRule } from '../bench/report_rules.ts';
import type { Trial } from '../bench/report_trials.ts';
import { gradientOf, variableOf } from '../bench/inputs.ts';
import { ruleNamed, ruleNames } from '../lib/bench/rules.ts';
import { taskOf } from '../bench/task.ts';
import { entrants } from '../bench/tfjs/contest.ts';
import { backends } from '../bench/tfjs/options.ts';
import { head, row } from '../bench/tfjs/table.ts';
import type { Measurement } from '../bench/trial.ts';
import { shapesOf, totalOf } from '../bench/work.ts';
import { Variable, type Optimizer } from '../lib/index.ts';
import { classes } from './optimizers.ts';

const kSteps = 5;
const shapes = [[251], [3, 2], [2, 4, 5]];

describe('the benchmark suite', () => {
  for (const name of ruleNames)
    describe(name, () => {
      const { className, options, slots } = ruleNamed(name);
      const cls = classes.find((one) => one.className === className);
      const built = () => {
        assert.isDefined(cls);
        const optimizer = new (cls as new (options: object) => Optimizer)(options);
        const loops = make(taskOf(name, 'plain', 1, shapes));
        const variables =
          loops.values?.().map((values, i) => new Variable(Float32Array.from(values), { shape: shapes[i] })) ?? [];
        optimizer.build(variables);
        return { optimizer, loops, variables };
      };

      it('has as many slots as the class', () => {
        const { optimizer, variables } = built();
        const sizes = variables.map(({ value }) => value.length);
        const arrays = optimizer.variables.filter(({ value }) => sizes.includes(value.length));
        assert.equal(arrays.length, slots * variables.length);
      });

      it('has the values of the class in plain JavaScript', () => {
        const { optimizer, loops, variables } = built();
        variables.forEach((variable, i) => variable.gradient.set(gradientOf(variable.value.length, i)));
        void loops.run(kSteps);
        for (let i = 0; i < kSteps; i++) optimizer.apply();
        loops.values?.().forEach((values, i) => {
          const found = variables[i]?.value as Float32Array;
          assert.isAtMost(Math.max(...found.map((x, j) => Math.abs(x - (values[j] as number)))), 1e-6);
          assert.notDeepEqual([...found], [...variableOf(found.length, i)]);
        });
      });
    });

  for (const [word, elements] of Object.entries({ '1K': 2 ** 10, '64K': 2 ** 16, '4M': 2 ** 22 }))
    it(`has ${word} elements in a network of as many`, () => {
      const shapes = shapesOf(`layered:${word}`) ?? [];
      assert.lengthOf(shapes, 15);
      assert.equal(totalOf(shapes), elements);
    });

  it('knows no network of a size that is no power of two from 1K on', () => {
    for (const word of ['3M', '512', '1000', '', 'x']) assert.isUndefined(shapesOf(`layered:${word}`), word);
  });

  it('has a driver for every optimizer in TensorFlow.js, with the rule that it does', () => {
    for (const backend of backends)
      for (const { host, rule, against } of entrants) {
        assert.equal(doneAs(`${host}:${backend}`, rule), rule);
        assert.equal(host === 'tfjs', against === undefined);
        assert.include([undefined, ...entrants.map(({ title }) => title)], against);
      }
  });

  it('has a table of them: milliseconds, what is spread, how many times as fast, what is absent', () => {
    const times = [
      { title: 'tf.train.adam', seconds: { median: 0.02, low: 0.02, high: 0.021 } },
      { title: 'Adam', seconds: { median: 0.005, low: 0.004, high: 0.006 }, faster: { median: 4, low: 3, high: 5 } },
    ];
    assert.match(head, /^\| backend, elements \| tf\.train\.adam \| Adam \|.*\n\| --- \| ---: \|/);
    assert.equal(row({ backend: 'wasm', size: '4M', times }), '| wasm, 4M | 20.0 | ~5.00 (4.00x) | - | - | - | - |');
  });

  describe('a table of every rule', () => {
    const summary = (median: number) => ({ median, low: median, high: median });
    const of = (driver: string, seconds: number, ours?: number, as?: string): Measurement => ({
      driver,
      seconds: summary(seconds),
      ...(ours !== undefined && { ours: summary(ours) }),
      ...(as !== undefined && { as }),
      limit: summary(1.5),
    });
    const trial = (rule: string, elements: number, measurements: readonly Measurement[]): Trial => ({
      ...{ rule, work: `${elements}`, variant: 'plain', threads: 1, tensors: 1, elements, bytes: 28 },
      ...{ measurements, figures: [], skipped: [], wrong: [] },
    });

    it('says what another rule stands for, and what is absent', () => {
      const measurements = [of('ours', 2e-3), of('keras:jit', 4e-3, 2), of('optax', 6e-3, 3, 'nadam_constant')];
      const [title, rows, stars] = everyRule([trial('nadam', 1e6, measurements)]);
      assert.equal(title, '### Every rule at 1000000, 1 thread; peers: times ours');
      const head = '| | bytes | ns an element | times the limit | Keras function | Keras jit | torch foreach |';
      assert.include(rows?.replace('|  |', '| |'), head);
      assert.include(rows, '| nadam | 28 | 2.00 | 1.50x | - | 2.00x | - | - | 3.00x * | - | - |');
      assert.equal(stars, '\\* a rule like it: nadam_constant for nadam (optax).');
    });

    it('has one for each work, in microseconds a step where it is small', () => {
      const trials = [1024, 1e6].flatMap((elements) =>
        ['adam', 'lion'].map((rule) => trial(rule, elements, [of('ours', 2e-6)])),
      );
      const [, small, , large] = everyRule(trials);
      assert.include(small, '| us a step |');
      assert.include(small, '| lion | 28 | 2.00 | 1.50x |');
      assert.include(large, '| ns an element |');
      assert.include(large, '| lion | 28 | 0.002 | 1.50x |');
    });
  });
});
