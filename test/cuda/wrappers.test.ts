// What surrounds a step works on a GPU too: wrappers, averages, weights, variables of the own, single updates.
import { assert } from 'chai';

import { SwapEMAWeights } from '../../lib/callbacks/index.ts';
import {
  Adam,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  OptimizerMap,
  ScheduleFreeAdamW,
  SGD,
  Variable,
  type FloatArray,
  type Optimizer,
} from '../../lib/index.ts';
import { makers } from '../optimizers.ts';
import { describeOnGpu, ends, few, flat, numbers, own, same, type AnyVariable, type Side } from './gpu.ts';

const shapes = [...flat(few), [5, 8]];
const values = (variables: readonly AnyVariable[]): Promise<FloatArray[]> =>
  Promise.all(variables.map((variable) => variable.read()));

/** Runs the same on both sides. */
async function both(run: (side: Side) => Promise<readonly ArrayLike<unknown>[]>): Promise<void> {
  same(await run('cuda'), await run('cpu'));
}

function stepped(optimizer: Optimizer, side: Side, steps = 3): AnyVariable[] {
  const variables = few.map(
    (length, i) => new Variable(numbers(`start ${i}`, length), { device: side, name: `v${i}` }),
  );
  for (let step = 0; step < steps; step++)
    optimizer.apply(
      few.map((length, i) => numbers(`gradient ${step} ${i}`, length)),
      variables,
    );
  return variables;
}

describeOnGpu('on a GPU', () => {
  for (const asynchronous of [false, true])
    for (const [name, make] of makers({ global_clipnorm: 0.75 })) {
      it(`LossScaleOptimizer of ${name}${asynchronous ? ', asynchronously' : ''}`, () =>
        ends(() => new LossScaleOptimizer({ inner_optimizer: make(), initial_scale: 8, dynamic_growth_steps: 2 }), {
          shapes,
          asynchronous,
          gradients: (arrays) => {
            arrays[1]?.fill(arrays[1]?.[0] as number); // one of the five numbers
            return [...arrays];
          },
        }));
    }
  for (const asynchronous of [false, true])
    it(`LossScaleOptimizer leaves out a step that is not finite${asynchronous ? ', asynchronously' : ''}`, () => {
      let step = 0;
      return ends(() => ((step = 0), new LossScaleOptimizer({ inner_optimizer: new Nadam(), initial_scale: 8 })), {
        shapes,
        asynchronous,
        steps: 6,
        gradients: (arrays, variables, side) => {
          const all = arrays.map((array) => array && array.slice());
          if (step++ % 2 === 1) (all[1] as FloatArray)[0] = [Infinity, NaN][(step >> 1) % 2] as number;
          return own(all, variables, side);
        },
      });
    });
  for (const asynchronous of [false, true])
    it(`MultiOptimizer${asynchronous ? ', asynchronously' : ''}`, () =>
      ends(
        () => {
          const optimizer_map = { 'v[02]': new Adam({ use_ema: true }), v1: new SGD({ momentum: 0.9, clipnorm: 0.1 }) };
          const map = new OptimizerMap({ default_optimizer: new Nadam({ global_clipnorm: 0.5 }), optimizer_map });
          return new MultiOptimizer({ optimizer_map: map, loss_scale_factor: 4 });
        },
        { shapes, asynchronous },
      ));

  const averaging = () => new Nadam({ use_ema: true, ema_momentum: 0.5 });
  it('swap_ema_weights exchanges variables and averages', () =>
    both(async (side) => {
      const optimizer = averaging();
      const variables = stepped(optimizer, side);
      optimizer.swap_ema_weights();
      const swapped = await values([...variables, ...optimizer.variables]);
      optimizer.swap_ema_weights();
      return [...swapped, ...(await values([...variables, ...optimizer.variables]))];
    }));
  it('SwapEMAWeights swaps, in a wrapper as well', () =>
    both(async (side) => {
      const optimizer = new LossScaleOptimizer({ inner_optimizer: averaging() });
      const variables = stepped(optimizer, side);
      const callback = new SwapEMAWeights();
      callback.set_model({ optimizer });
      callback.on_test_begin();
      const swapped = await values(variables);
      callback.on_test_end();
      return [...swapped, ...(await values(variables))];
    }));
  it('finalize_variable_values copies the averages', () =>
    both(async (side) => {
      const optimizer = averaging();
      const variables = stepped(optimizer, side);
      optimizer.finalize_variable_values();
      return values([...variables, ...optimizer.variables]);
    }));

  it('set_weights takes numbers, variables of another optimizer, and its own', () =>
    both(async (side) => {
      const [from, to] = [averaging(), averaging()];
      stepped(from, side);
      const variables = stepped(to, side, 1);
      const numbers = await values(from.variables);
      to.set_weights(from.variables);
      const first = await values(to.variables);
      to.set_weights(numbers);
      same(await values(to.variables), first);
      const [count, rate, ...rest] = to.variables;
      const pairs = few.map((_, i) => i); // averages and slots of the same variable change places
      const mixed = [...rest];
      for (const i of pairs) {
        const [average, slot] = [i, few.length + 2 * i];
        [mixed[average], mixed[slot]] = [rest[slot] as Variable, rest[average] as Variable];
      }
      to.set_weights([count as Variable, rate as Variable, ...mixed]);
      to.apply(few.map((length, i) => new Float32Array(length).fill(i)));
      return values([...variables, ...to.variables]);
    }));

  it('bfloat16 state is written, read and copied', () =>
    both(async (side) => {
      const make = () => new Nadam({ state_dtype: 'bfloat16' });
      const [from, to] = [make(), make()];
      stepped(from, side);
      stepped(to, side, 1);
      to.set_weights(from.variables);
      const copied = await values(to.variables);
      to.set_weights(copied);
      return [...copied, ...(await values(to.variables))];
    }));
  it('a slot that begins as its variable does so in both forms', () =>
    both(async (side) => {
      const states: FloatArray[] = [];
      for (const state_dtype of ['float32', 'bfloat16'] as const) {
        const optimizer = new ScheduleFreeAdamW({ state_dtype });
        optimizer.build(few.map((length, i) => new Variable(numbers(`start ${i}`, length), { device: side })));
        states.push(...(await values(optimizer.variables)));
      }
      return states;
    }));

  it('update_step updates one variable', () =>
    both(async (side) => {
      const optimizer = new Nadam();
      const variables = stepped(optimizer, side);
      optimizer.update_step(numbers('one more', 129), variables[2] as AnyVariable, 0.5);
      return values([...variables, ...optimizer.variables]);
    }));
  it('variables that are added like another one lie where that does', () =>
    both(async (side) => {
      const optimizer = new Nadam();
      const variables = stepped(optimizer, side);
      const added = optimizer.add_optimizer_variables(variables, 'mine', { initializer: 'ones' });
      for (const [i, variable] of added.entries()) assert.equal(variable.device, variables[i]?.device);
      assert.equal(optimizer.add_variable({ shape: [2] }).device, 'cpu');
      return values(optimizer.variables);
    }));
  it('a step of some variables, or none, is built and undone', async () => {
    const v = Variable.zeros([2], { device: 'cuda' });
    const optimizer = new Nadam();
    assert.throws(() => optimizer.apply([[1]], [v]), /has 1 elements/);
    assert.isFalse(optimizer.built);
    assert.equal(optimizer.apply([]), 0);
    optimizer.apply([[1, 1]], [v]);
    assert.deepEqual([optimizer.built, optimizer.device, (await v.read())[0] !== 0], [true, 'cuda:0', true]);
  });
});
