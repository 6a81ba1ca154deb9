// What a hostile caller has in hand: variables, optimizers, arrays that it passed before, and code that it runs at the worst moment.
import { allocate, setNumThreads, Variable, type FloatArray, type Optimizer } from '../../lib/index.ts';
import { classes } from '../optimizers.ts';
import type { Random } from '../random.ts';
import { userClasses } from './users.ts';

/** What the caller's own code throws. */
export class UserError extends Error {}

export class World {
  readonly next: Random;
  /** Classes of the library and of the caller. */
  readonly classes = [...classes, ...userClasses(this)];
  variables: Variable[] = [];
  plain: FloatArray[] = [];
  optimizers: Optimizer[] = [];
  /** Arrays that were passed to calls lately: what an attack takes away. */
  passed: FloatArray[] = [];
  /** Promises of asynchronous steps that have not been looked at. */
  pending: Promise<unknown>[] = [];
  #depth = 0;

  constructor(next: Random) {
    this.next = next;
    this.renew();
  }

  int(limit: number): number {
    return Math.floor(this.next() * limit);
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)] as T;
  }

  /** Lengths that matter to kernels, seldom one that other threads take part in. */
  length(): number {
    return this.chance(0.005) ? 60_000 + this.int(40_000) : this.pick([0, 1, 3, 7, 8, 9, 16, 17, 31, 40]);
  }
  numbers(length: number, double = false): FloatArray {
    const array = double ? new Float64Array(length) : new Float32Array(length);
    return array.fill(this.next() - 0.5);
  }
  remember<T extends FloatArray>(array: T): T {
    this.passed[this.int(8)] = array;
    return array;
  }

  /** New variables and optimizers; the old ones go, whatever state they are in. */
  renew(): void {
    const count = 1 + this.int(4);
    this.variables = Array.from({ length: count }, () => new Variable(this.numbers(this.length(), this.chance(0.3))));
    this.plain = Array.from({ length: 2 }, () => this.remember(this.numbers(this.length())));
    this.optimizers = Array.from({ length: 3 }, () => new (this.pick(this.classes))(this.options() as never));
  }

  /** Options that an optimizer accepts, functions of the caller's among them. */
  options(): object {
    const options: Record<string, unknown> = {};
    const maybe = (name: string, value: unknown): void => void (this.chance(0.25) && (options[name] = value));
    maybe('learning_rate', () => this.treacherous(0.1));
    maybe('weight_decay', 0.01);
    maybe(this.pick(['clipnorm', 'global_clipnorm', 'clipvalue']), 0.5);
    maybe('use_ema', true);
    if (options.use_ema) maybe('ema_overwrite_frequency', 2);
    maybe('gradient_accumulation_steps', 2);
    maybe('loss_scale_factor', 3);
    return options;
  }

  /** A value, after code of the caller's has run: now and then it attacks. */
  treacherous<T>(value: T): T {
    if (this.chance(0.3)) this.attack();
    return value;
  }

  /** Does something that nobody expects in the middle of a call. */
  attack(): void {
    if (this.#depth > 2) return;
    this.#depth++;
    try {
      this.pick(attacks)(this);
    } finally {
      this.#depth--;
    }
  }

  wait(step: Promise<unknown>): void {
    this.pending.push(step);
    step.catch(() => {}); // looked at when the caller awaits it
  }
}

export function detach(array: FloatArray | undefined): void {
  if (array === undefined || !(array.buffer instanceof ArrayBuffer) || array.length === 0) return;
  structuredClone(array.buffer, { transfer: [array.buffer] });
}

/** Errors of the library inside an attack are the caller's to bear: they end the attack, as they would end its function. */
const attacks: readonly ((world: World) => void)[] = [
  () => {
    throw new UserError('thrown by the caller');
  },
  (world) => detach(world.pick(world.passed)),
  (world) => detach(world.pick(world.plain)),
  (world) => detach(world.pick(world.variables).gradient),
  (world) => world.pick(world.variables).dispose(),
  (world) => world.pick(world.optimizers).dispose(),
  (world) =>
    void world.pick(world.optimizers).apply(
      world.variables.map((v) => v.gradient),
      world.variables,
    ),
  (world) =>
    world.wait(
      world.pick(world.optimizers).apply_async(
        world.variables.map((v) => v.gradient),
        world.variables,
      ),
    ),
  (world) => world.wait(world.pick(world.optimizers).apply_async()),
  (world) => world.pick(world.optimizers).exclude_from_weight_decay({ var_names: ['variable'] }),
  (world) => world.pick(world.optimizers).build(world.variables),
  (world) => world.renew(),
  (world) => {
    const variable = world.pick(world.variables);
    world.pick(world.optimizers).update_step(variable.gradient, variable);
  },
  (world) => void world.pick(world.optimizers).add_variable({ name: 'attack' }),
  (world) => {
    const optimizer = world.pick(world.optimizers);
    const gradients = world.variables.map((v) => v.gradient);
    optimizer.stateless_apply(optimizer.variables, gradients, world.variables);
  },
  (world) => {
    const optimizer = world.pick(world.optimizers);
    world.pick(optimizer.variables).dispose();
  },
  (world) => setNumThreads(1 + world.int(4)),
  (world) => void world.remember(allocate(world.int(50))),
  (world) => void world.remember(world.numbers(3)).fill(NaN),
  (world) => (world.pick(world.variables).constraint = null),
];
