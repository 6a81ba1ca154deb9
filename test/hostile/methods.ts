// The methods of the Keras pages, as a hostile caller calls them.
import type { Optimizer, Variable } from '../../lib/index.ts';
import type { Arguments, Call } from './calls.ts';
import type { World } from './world.ts';

/** Values by name: now and then one too few, another name, a Map with a way of its own, or no names at all. */
function named(world: World, made: Arguments, value: (variable: Variable) => unknown): never {
  const paths = world.variables.map((variable) => [world.chance(0.02) ? 'other' : variable.path, variable] as const);
  const entries = paths.slice(world.chance(0.05) ? 1 : 0).map(([path, variable]) => [path, value(variable)] as const);
  if (world.chance(0.05)) return made.any() as never;
  if (world.chance(0.5)) return Object.fromEntries(entries) as never;
  const map = new Map(entries);
  if (world.chance(0.1)) map[Symbol.iterator] = () => world.treacherous([1][Symbol.iterator]() as never);
  return map as never;
}

const weightsOf = (world: World, made: Arguments, variables: readonly Variable[]): never =>
  variables.map((variable) => (world.chance(0.9) ? variable : made.array(variable))) as never;

const tape = (world: World, made: Arguments): never =>
  (world.chance(0.9)
    ? { gradient: () => world.treacherous(made.gradients()) }
    : world.pick<unknown>([3, null, undefined, {}, { gradient: 1 }, world.pick(world.variables)])) as never;

const initializer = (world: World, made: Arguments): never =>
  world.pick<unknown>(['zeros', 'ones', 'random', () => world.treacherous(made.any()), made.any()]) as never;

const variableOf = (world: World, optimizer: Optimizer): Variable =>
  world.pick(world.chance(0.7) ? world.variables : optimizer.variables);

type Method = (optimizer: Optimizer, world: World, made: Arguments) => unknown;
const methods: Readonly<Record<string, readonly [weight: number, Method]>> = {
  update_step: [
    3,
    (optimizer, world, made) => {
      const variable = variableOf(world, optimizer);
      optimizer.update_step(made.array(variable) as never, variable, world.chance(0.7) ? undefined : made.number());
    },
  ],
  update: [
    3,
    (optimizer, world, made) =>
      optimizer.update(
        named(world, made, (variable) => variable),
        named(world, made, (variable) => made.array(variable)),
      ),
  ],
  stateless_apply: [
    2,
    (optimizer, world, made) =>
      optimizer.stateless_apply(
        weightsOf(world, made, optimizer.variables),
        made.gradients(),
        weightsOf(world, made, world.variables),
      ),
  ],
  minimize: [1, (optimizer, world, made) => optimizer.minimize(0, made.variables(), tape(world, made))],
  compute_gradients: [
    0.5,
    (optimizer, world, made) => optimizer.compute_gradients(0, made.variables(), tape(world, made)),
  ],
  aggregate_gradients: [0.5, (optimizer, _, made) => optimizer.aggregate_gradients(made.any() as never)],
  add_variable: [
    1,
    (optimizer, world, made) =>
      optimizer.add_variable({
        shape: [world.chance(0.7) ? world.length() : made.number()],
        initializer: initializer(world, made),
      }),
  ],
  add_variable_from_reference: [
    1,
    (optimizer, world, made) => {
      const reference = variableOf(world, optimizer);
      const initial_value = world.chance(0.5) ? (made.array(reference) as never) : null;
      optimizer.add_variable_from_reference(reference, world.chance(0.5) ? { initial_value } : { name: made.number() });
    },
  ],
  add_optimizer_variables: [
    1,
    (optimizer, world, made) =>
      optimizer.add_optimizer_variables(made.variables(), ['a', 'b'], { initializer: initializer(world, made) }),
  ],
  'assign, assign_add, assign_sub': [
    1,
    (optimizer, world, made) => {
      const variable = variableOf(world, optimizer);
      optimizer[world.pick(['assign', 'assign_add', 'assign_sub'] as const)](variable, made.array(variable) as never);
    },
  ],
};

export const methodCalls: Readonly<Record<string, readonly [weight: number, call: Call]>> = Object.fromEntries(
  Object.entries(methods).map(([name, [weight, method]]) => [
    name,
    [weight, (world, made) => method(world.pick(world.optimizers), world, made)],
  ]),
);
