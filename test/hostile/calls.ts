// The calls that a hostile caller makes, on arguments of every kind.
import {
  allocate,
  deserialize,
  get,
  getNumThreads,
  memory,
  serialize,
  setNumThreads,
  Variable,
  type Config,
} from '../../lib/index.ts';
import { methodCalls } from './methods.ts';
import { treacherousList, value } from './values.ts';
import type { World } from './world.ts';

/** A call; what it throws, or its promise is rejected with, is looked at. */
export type Call = (world: World, arguments_: Arguments) => unknown;

/** Makes arguments, and counts the kinds. */
export class Arguments {
  readonly seen = new Map<string, number>();
  readonly #world: World;
  constructor(world: World) {
    this.#world = world;
  }

  /** Something in the place of an array of the length and dtype of `like`. */
  array(like: Variable): unknown {
    return value(this.#world, like.shape[0] ?? 0, like.dtype === 'float64', this.seen);
  }
  any(): unknown {
    return value(this.#world, this.#world.length(), this.#world.chance(0.3), this.seen);
  }
  gradients(): never {
    const list = this.#world.variables.map((variable) => this.array(variable));
    return this.#list(list) as never;
  }
  variables(): never {
    const { variables, plain } = this.#world;
    if (this.#world.chance(0.8)) return variables as never;
    const strange = () => (this.#world.chance(0.3) ? this.any() : this.#world.pick<unknown>([...variables, ...plain]));
    return this.#list(Array.from({ length: 1 + this.#world.int(4) }, strange)) as never;
  }
  /** Anything in the place of a number. */
  number(): never {
    const valueOf = (): number => this.#world.treacherous(0.5);
    return this.#world.pick<unknown>([
      0,
      0.5,
      1,
      -1,
      NaN,
      Infinity,
      2 ** 1024,
      '0.5',
      2n,
      null,
      true,
      [1],
      { valueOf },
      valueOf,
      2 ** 53,
    ]) as never;
  }

  #list(list: unknown[]): unknown {
    if (this.#world.chance(0.05)) return this.any();
    if (this.#world.chance(0.05)) return list.slice(1);
    return this.#world.chance(0.1) ? treacherousList(this.#world, list) : list;
  }
}

const optionNames = [
  'learning_rate',
  'beta_1',
  'epsilon',
  'momentum',
  'clipnorm',
  'use_ema',
  'name',
  'weight_decay',
  'constructor',
  '__proto__',
];

function config(world: World, made: Arguments): Record<string, never> {
  const options = Object.fromEntries([1, 2].map(() => [world.pick(optionNames), made.number()]));
  return world.chance(0.3)
    ? new Proxy(options, { get: (target, key) => world.treacherous(target[key as string]) as never })
    : options;
}

export const calls: Readonly<Record<string, readonly [weight: number, call: Call]>> = {
  ...methodCalls,
  apply: [
    8,
    (world, made) =>
      world.pick(world.optimizers).apply(made.gradients(), world.chance(0.7) ? made.variables() : undefined),
  ],
  'apply the gradients of the variables': [
    2,
    // eslint-disable-next-line prefer-spread -- not the apply of functions
    (world) => world.pick(world.optimizers).apply(undefined, world.variables),
  ],
  apply_async: [
    6,
    (world, made) => {
      const step = world
        .pick(world.optimizers)
        .apply_async(made.gradients(), world.chance(0.7) ? made.variables() : undefined);
      return world.chance(0.5) ? step : world.wait(step);
    },
  ],
  idle: [2, (world) => world.pick(world.optimizers).idle()],
  apply_gradients: [
    1,
    (world, made) =>
      world.pick(world.optimizers).apply_gradients(world.variables.map((v) => [made.array(v), v]) as never),
  ],
  build: [1, (world, made) => world.pick(world.optimizers).build(made.variables())],
  set_weights: [
    1,
    (world, made) => {
      const optimizer = world.pick(world.optimizers);
      optimizer.set_weights(
        optimizer.variables.map((v) => (world.chance(0.3) ? made.number() : made.array(v))) as never,
      );
    },
  ],
  assign: [
    2,
    (world, made) => {
      const variable = world.pick(world.variables);
      variable.assign(made.array(variable) as never);
    },
  ],
  'assign to state': [
    1,
    (world, made) => {
      const variable = world.pick(world.pick(world.optimizers).variables);
      variable.assign(made.array(variable) as never);
    },
  ],
  finalize_variable_values: [
    1,
    (world, made) => world.pick(world.optimizers).finalize_variable_values(made.variables()),
  ],
  swap_ema_weights: [0.5, (world) => world.pick(world.optimizers).swap_ema_weights()],
  exclude_from_weight_decay: [
    0.5,
    (world, made) =>
      world
        .pick(world.optimizers)
        .exclude_from_weight_decay({ var_list: made.variables(), var_names: [made.any()] as never }),
  ],
  learning_rate: [0.5, (world, made) => (world.pick(world.optimizers).learning_rate = made.number())],
  constraint: [
    0.5,
    (world, made) => {
      const variable = world.pick(world.variables);
      variable.constraint = (data) =>
        world.treacherous(world.chance(0.5) ? undefined : ((world.chance(0.5) ? data : made.array(variable)) as never));
    },
  ],
  'new Variable': [
    1,
    (world, made) => new Variable(made.any() as never, world.chance(0.5) ? { shape: [made.number()] } : {}),
  ],
  'new optimizer': [
    1,
    (world, made) => (world.optimizers[world.int(3)] = new (world.pick(world.classes))(config(world, made))),
  ],
  deserialize: [
    0.5,
    (world, made) =>
      deserialize({ class_name: world.pick(['Nadam', 'toString', '__proto__']), config: config(world, made) }),
  ],
  get: [0.5, (_, made) => get(made.any() as never)],
  serialize: [0.5, (world): Config => serialize(world.pick(world.optimizers)) as unknown as Config],
  allocate: [0.5, (world, made) => allocate(made.number(), world.pick(['float32', 'float64', 'int8'] as never[]))],
  setNumThreads: [0.2, (world, made) => setNumThreads(world.chance(0.5) ? made.number() : 1 + world.int(4))],
  memory: [0.2, () => [memory(), getNumThreads()]],
  dispose: [0.3, (world) => world.pick([...world.variables, ...world.optimizers]).dispose()],
  renew: [2, (world) => world.renew()],
};
