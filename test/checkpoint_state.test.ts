// A state that waits for build: counter and rate are there at once, the rest with the first build, or an error at every attempt.
import { assert } from 'chai';

import { CheckpointError } from '../lib/checkpoint/errors.ts';
import { stateOf, type StateOf } from '../lib/checkpoint/state_of.ts';
import { awaitState, type StateToCome } from '../lib/checkpoint/state_to_come.ts';
import {
  Adam,
  deserialize,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  Optimizer,
  serialize,
  SGD,
  Variable,
} from '../lib/index.ts';
import { rejection, thrown } from './errors.ts';
import { all, copies, everything, mapped, Own, selector, shapes, train, variablesOf } from './interrupted.ts';
import { makers } from './optimizers.ts';

/** What a file would give. */
const loaded = (state: StateOf): StateToCome => ({
  ...state,
  from: 'the file',
  values: state.values.map((value) =>
    value instanceof Variable
      ? { path: value.path, shape: value.shape, dtype: value.dtype, numbers: Array.from(value.value, Number) }
      : value,
  ),
  members: state.members.map(loaded),
});

/** Another optimizer of the same config that waits for the state. */
function awaiting(optimizer: Optimizer, custom: Record<string, unknown> = {}): Optimizer {
  const copy = deserialize(serialize(optimizer), custom) as Optimizer;
  awaitState(copy, loaded(stateOf(optimizer)));
  return copy;
}

/** Goes on with a copy that waits, and compares. */
function goesOn(optimizer: Optimizer, custom: Record<string, unknown> = {}): void {
  const variables = variablesOf();
  train(optimizer, variables, 0, 3);
  const [copy, resumed] = [awaiting(optimizer, custom), copies(variables)];
  assert.isFalse(copy.built);
  assert.equal(copy.iterations, optimizer.iterations);
  train(optimizer, variables, 3, 6);
  train(copy, resumed, 3, 6);
  assert.deepEqual(all(copy, resumed), all(optimizer, variables));
}

describe('a state that waits', () => {
  for (const [name, make] of [...makers(), ...makers(everything), ...makers({ state_dtype: 'bfloat16', seed: 3 })])
    it(`${name} goes on as if it had not been interrupted`, () => goesOn(make()));

  it('goes on in wrappers, in wrappers of wrappers and in a class of the own', () => {
    goesOn(new LossScaleOptimizer({ inner_optimizer: new Nadam(), initial_scale: 4, dynamic_growth_steps: 2 }));
    goesOn(mapped());
    goesOn(new LossScaleOptimizer({ inner_optimizer: mapped(), initial_scale: 4, dynamic_growth_steps: 2 }));
    goesOn(new Own(), { Own });
    goesOn(new LossScaleOptimizer({ inner_optimizer: new Own() }), { Own });
  });

  it('goes on in the optimizers that a function gives', () =>
    goesOn(new MultiOptimizer({ optimizer_map: selector() }), { select: selector() }));

  it('gives the scale before anything is built', () => {
    const optimizer = new LossScaleOptimizer({ inner_optimizer: new SGD(), initial_scale: 4, dynamic_growth_steps: 2 });
    train(optimizer, variablesOf(), 0, 3);
    const copy = awaiting(optimizer) as LossScaleOptimizer;
    assert.deepEqual([copy.dynamic_scale, copy.step_counter, copy.scale_loss(3)], [8, 1, 24]);
  });

  it('has the numbers of other dtypes converted', () => {
    const optimizer = new Nadam();
    const variables = variablesOf('float64');
    train(optimizer, variables, 0, 3);
    const [copy, resumed] = [
      awaiting(optimizer),
      copies(variables).map((v) => new Variable(v.value, { shape: v.shape, name: v.path, dtype: 'float32' })),
    ];
    copy.build(resumed);
    const rounded = optimizer.variables.slice(2).map(({ value }) => Array.from(value, Math.fround));
    assert.deepEqual(
      copy.variables.slice(2).map(({ value }) => [...value]),
      rounded,
    );
  });

  it('keeps what is set between loading and building', () => {
    const optimizer = new Adam();
    train(optimizer, variablesOf(), 0, 2);
    const copy = awaiting(optimizer);
    copy.learning_rate = 0.5;
    train(copy, variablesOf(), 2, 3);
    assert.deepEqual([copy.learning_rate, copy.iterations], [0.5, 3]);
  });

  it('is what is saved of an optimizer that waits', () => {
    for (const make of [() => new Nadam(), mapped, () => new Own()]) {
      const optimizer = make();
      train(optimizer, variablesOf(), 0, 3);
      const waits = awaiting(optimizer, { Own });
      const again = deserialize(serialize(waits), { Own }) as Optimizer;
      awaitState(again, loaded(stateOf(waits)));
      const resumed = variablesOf();
      again.build(resumed);
      assert.deepEqual(all(again, []), all(optimizer, []));
    }
  });

  it('waits also where nothing had been built, and for variables that were added before', () => {
    const [optimizer, waits] = [new Own(), new Own()];
    optimizer.calls.assign([7]);
    awaitState(waits, loaded(stateOf(optimizer)));
    assert.deepEqual([...waits.calls.value], [7]);
    train(waits, variablesOf(), 0, 1);
    assert.deepEqual([...waits.calls.value], [7 + shapes.length]);
  });
});

/** Attempts to build with what does not fit, and then with what does. */
async function refuses(
  make: () => Optimizer,
  wrong: () => Variable[],
  message: RegExp,
  change = (state: StateToCome) => state,
) {
  const optimizer = make();
  const variables = variablesOf();
  train(optimizer, variables, 0, 3);
  const state = change(loaded(stateOf(optimizer)));
  const copy = deserialize(serialize(optimizer), { Own }) as Optimizer;
  awaitState(copy, state);
  const given = wrong();
  const before = given.map(({ value }) => [...value]);
  const gradients = given.map(({ value }) => new Float32Array(value.length).fill(1));
  for (const attempt of [
    () => copy.build(given),
    () => copy.apply(gradients, given),
    () => copy.apply_async(gradients, given),
    () => copy.apply(gradients, given),
  ]) {
    const error = (await rejection(attempt)) as CheckpointError;
    assert.instanceOf(error, CheckpointError);
    assert.equal(error.code, 'ERR_CKPT_MISMATCH', error.message);
    assert.match(error.message, message);
    assert.isFalse(copy.built);
    assert.equal(copy.iterations, optimizer.iterations);
  }
  assert.deepEqual(
    given.map(({ value }) => [...value]),
    before,
  );
  if (state.values.length !== stateOf(optimizer).values.length) return;
  const resumed = copies(variables);
  train(optimizer, variables, 3, 5);
  train(copy, resumed, 3, 5);
  assert.deepEqual(all(copy, resumed), all(optimizer, variables));
}

describe('a state that does not fit is refused at every attempt, and then fits what it was made for:', () => {
  const inner = () => new LossScaleOptimizer({ inner_optimizer: new Nadam() });
  for (const [name, make] of [
    ['Nadam', () => new Nadam()],
    ['LossScaleOptimizer', inner],
    ['Own', () => new Own()],
    ['MultiOptimizer', mapped],
  ] as const) {
    it(`fewer variables for ${name}`, () =>
      refuses(make, () => variablesOf().slice(1), /^the file was written with \d variables, "\w+" is built with \d$/));
    it(`other shapes for ${name}`, () =>
      refuses(
        make,
        () => variablesOf().map((v, i) => (i === 3 ? new Variable(v.value, { shape: [4, 3], name: v.path }) : v)),
        /"layer_3\/w" of shape \[2, 3, 2\] as variables\[\d\], "\w+" is built with "layer_3\/w" of shape \[4, 3\]$/,
      ));
  }
  it('the same shapes in another order', () => {
    const square = ['a', 'b'].map((name) => new Variable([1, 2], { name }));
    const optimizer = new Adam();
    optimizer.apply([new Float32Array(2), new Float32Array(2)], square);
    const copy = awaiting(optimizer);
    const error = thrown(() => copy.build([...square].reverse()));
    assert.match(
      String(error?.message),
      /^the file was written with "a" as variables\[0\], "adam\w*" is built with "b" there/,
    );
    copy.build(square);
  });
  it('a state of fewer variables', () =>
    refuses(
      () => new Adam(),
      variablesOf,
      /has 7 variables of "adam\w*", which has 8 .* "adam\w*\/layer_3_w_velocity"/,
      (state) => ({
        ...state,
        values: state.values.slice(0, 7),
      }),
    ));
  it('a counter that is none', () => {
    for (const counter of [-1, 0.5, NaN, 2 ** 53]) {
      const error = thrown(() => awaitState(new Adam(), { from: 'the file', counter, values: [] }));
      assert.equal(error?.code, 'ERR_CKPT_MISMATCH');
    }
  });
  it('an optimizer that is built', () => {
    const optimizer = new Adam();
    optimizer.build(variablesOf());
    assert.equal(
      thrown(() => awaitState(optimizer, { from: 'the file', counter: 1, values: [] }))?.code,
      'ERR_OPT_CONFIG_TYPE',
    );
  });
});

describe('a first step that fails', () => {
  for (const make of [
    () => new Nadam(),
    mapped,
    () => new LossScaleOptimizer({ inner_optimizer: new Nadam() }),
    () => new Own(),
  ])
    it(`of ${make().name.replace(/_\d+$/, '')} lets the state wait again`, async () => {
      const optimizer = make();
      const variables = variablesOf();
      train(optimizer, variables, 0, 3);
      const copy = awaiting(optimizer, { Own });
      const other = variablesOf();
      const bad = other.map(({ value }) => new Float32Array(value.length + 1));
      assert.equal(thrown(() => copy.apply(bad, other))?.code, 'ERR_OPT_LENGTH');
      assert.equal((await rejection(() => copy.apply_async(bad, other)))?.code, 'ERR_OPT_LENGTH');
      assert.isFalse(copy.built);
      const resumed = copies(variables);
      train(optimizer, variables, 3, 5);
      train(copy, resumed, 3, 5);
      assert.deepEqual(all(copy, resumed), all(optimizer, variables));
    });
});
