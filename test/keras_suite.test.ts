// Keras's own test suite, class by class: its inputs, with the numbers that Keras 3.15.1 computed from them at full precision,
// where the suite itself compares four digits. docs/keras-tests.md says which test of Keras's is where.
import { assert } from 'chai';

import * as library from '../lib/index.ts';
import { deserialize, Variable, type Optimizer } from '../lib/index.ts';
import { bits, distance, readGolden, ulp32 } from './golden.ts';

interface Given {
  readonly class: string;
  /** A part of a step, which a test of its class looks at. */
  readonly function?: string;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly initial: readonly number[];
  readonly shape?: readonly number[];
}
interface SingleStep extends Given {
  readonly gradient: readonly number[];
  readonly result: readonly number[];
}
interface CorrectnessRun extends Given {
  readonly firstGradient: readonly number[];
  readonly thenGradient: readonly number[];
  readonly rows: readonly (readonly number[])[];
}
interface WeightDecayOnly extends Given {
  readonly gradient: readonly number[];
  readonly afterEachFreshOptimizer: readonly number[];
}
interface PeerTests {
  readonly singleSteps: readonly SingleStep[];
  readonly correctnessRuns: readonly CorrectnessRun[];
  readonly weightDecayOnly: readonly WeightDecayOnly[];
}

const golden = readGolden<PeerTests>('peer-tests');
/** Norms, matrix products and powers of elements: no bits are promised, but 4e-6 of the way and 4 ulp. */
const inexact = ['Ftrl', 'Lamb', 'Adafactor', 'Muon'];

const here = <T extends Given>(cases: readonly T[]): readonly T[] => cases.filter((c) => c.function === undefined);
const titleOf = ({ class: name, args }: Given): string => `${name} ${JSON.stringify(args)}`;
const make = ({ class: class_name, args: config = {} }: Given): Optimizer =>
  deserialize({ class_name, config }) as Optimizer;
const variableOf = ({ initial, shape = [initial.length] }: Given, name = 'variable'): Variable =>
  new Variable(initial, { shape, name, dtype: 'float32' });

function check(c: Given, ours: Variable, keras: readonly number[], who?: string): void {
  if (!inexact.includes(c.class)) return assert.deepEqual(bits(ours.value), bits(keras), who);
  const travelled = distance(keras, c.initial);
  ours.value.forEach((x, i) => {
    const expected = keras[i] as number;
    assert.isAtMost(Math.abs(x - expected), 4e-6 * travelled + 4 * ulp32(expected), `${who} ${i}: ${x}`);
  });
}

describe("Keras's own tests of each class", () => {
  it('are replayed, and of no class that we do not have', () => {
    const names = [...golden.singleSteps, ...golden.correctnessRuns, ...golden.weightDecayOnly].map((c) => c.class);
    assert.isAbove(names.length, 20);
    assert.includeMembers(Object.keys(library), names);
  });

  for (const c of here(golden.singleSteps))
    it(`single step: ${titleOf(c)}`, () => {
      const variable = variableOf(c);
      make(c).apply([c.gradient], [variable]);
      check(c, variable, c.result);
    });

  for (const c of here(golden.correctnessRuns))
    it(`correctness run: ${titleOf(c)}`, () => {
      const [optimizer, variable] = [make(c), variableOf(c)];
      c.rows.forEach((row, step) => {
        optimizer.apply([step === 0 ? c.firstGradient : c.thenGradient], [variable]);
        check(c, variable, row, `after ${step + 1}`);
      });
    });

  for (const c of here(golden.weightDecayOnly))
    it(`weight decay alone, and exclusion by name and by identity: ${titleOf(c)}`, () => {
      const [decayed, named, listed] = ['kernel', 'exclude', 'bias'].map((name) => variableOf(c, name)) as [
        Variable,
        Variable,
        Variable,
      ];
      const step = (excluded: object, variables: Variable[]): number => {
        const optimizer = make(c);
        optimizer.exclude_from_weight_decay(excluded);
        optimizer.apply(
          variables.map(() => c.gradient),
          variables,
        );
        return decayed.value[0] as number;
      };
      const after = [
        step({}, [decayed]),
        step({ var_names: ['exclude'] }, [decayed, named]),
        step({ var_list: [listed] }, [decayed, listed]),
      ];
      assert.deepEqual(bits(after), bits(c.afterEachFreshOptimizer));
      assert.deepEqual([...named.value, ...listed.value], [...c.initial, ...c.initial]);
    });
});
