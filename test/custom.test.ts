// Optimizers of the user's own: update_step in TypeScript, everything else around it.
import { assert } from 'chai';

import {
  Adam,
  deserialize,
  fields,
  memory,
  Nadam,
  Optimizer,
  register_keras_serializable,
  serialize,
  SGD,
  Variable,
  type FloatArray,
  type Trainable,
} from '../lib/index.ts';
import { refused, rejection, thrown } from './errors.ts';
import { flags } from './optimizers.ts';
import { random, words } from './random.ts';

const own = { ...fields.common(0.01), momentum: fields.fraction(0) };

/** SGD with momentum as a user would write it, each operation rounded as in float32. */
class Descent extends Optimizer<typeof own> {
  static override readonly fields = own;
  static readonly className: string = 'Descent';
  declare readonly momentum: number;
  #momentums: Variable[] = [];

  override build(variables: readonly Trainable[]): void {
    if (this.built) return;
    super.build(variables);
    if (this.momentum !== 0) this.#momentums = this.add_optimizer_variables(variables, 'momentum');
  }

  override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
    const p = variable.value;
    const round = p instanceof Float32Array ? Math.fround : Number;
    const [rate, mu] = [round(learning_rate), round(this.momentum)];
    const m = this.#momentums[this._get_variable_index(variable)]?.value ?? new Float64Array(p.length);
    for (let i = 0; i < p.length; i++) {
      m[i] = round(round((m[i] as number) * mu) - round((gradient[i] as number) * rate));
      p[i] = (p[i] as number) + (m[i] as number);
    }
  }
}
register_keras_serializable(Descent, 'test');

const types = [Float32Array, Float64Array];
const lengths = [1, 7, 1000];

type Type = (typeof types)[number];
type Step = (optimizer: Optimizer, gradients: FloatArray[], variables: Variable[]) => unknown;
const ways: Readonly<Record<string, Step>> = {
  apply: (optimizer, gradients, variables) => optimizer.apply(gradients, variables),
  apply_async: (optimizer, gradients, variables) => optimizer.apply_async(gradients, variables),
  'apply on own gradients': (optimizer, gradients, variables) => {
    optimizer.build(variables);
    gradients.forEach((g, i) => variables[i]?.gradient.set(g));
    return optimizer.apply();
  },
};

/** The words of all variables and states after five steps. */
async function train(optimizer: Optimizer, type: Type, step: Step): Promise<string[][]> {
  const next = random('custom');
  const make = (length: number): FloatArray => new type(length).map(() => next() - 0.5);
  const variables = lengths.map((length, i) => new Variable(make(length), { name: `v${i}` }));
  variables.forEach((v, i) => (v.constraint = i === 1 ? (value) => value.map((x) => Math.min(x, 0.4)) : null));
  optimizer.exclude_from_weight_decay({ var_names: ['v1'] });
  for (let t = 0; t < 5; t++) await step(optimizer, lengths.map(make), variables);
  return [...variables, ...optimizer.variables].map(({ value }) => words(value));
}

describe('an optimizer in TypeScript', () => {
  for (const type of types)
    for (const [way, step] of Object.entries(ways))
      for (const momentum of [0, 0.9])
        it(`has the words of the native one, ${type.name}, ${way}, momentum ${momentum}`, async () => {
          for (const flag of flags) {
            const options = { momentum, ...flag };
            const native = await train(new SGD(options), type, step);
            assert.deepEqual(await train(new Descent(options), type, step), native, JSON.stringify(flag));
          }
        });

  it("has Keras's variables, config and serialized form", () => {
    const [native, custom] = [new SGD({ momentum: 0.9, use_ema: true }), new Descent({ momentum: 0.9, use_ema: true })];
    const shapes = [native, custom].map((optimizer) => {
      optimizer.build([new Variable([1, 2], { name: 'a/kernel', shape: [2, 1] })]);
      return optimizer.variables.map(({ path, shape, dtype }) => [path.replace(/^\w+/, ''), shape, dtype]);
    });
    assert.deepEqual(shapes[0], shapes[1]);
    const form = serialize(custom);
    assert.deepInclude(form, { class_name: 'Descent', registered_name: 'test>Descent' });
    assert.equal(form.config.momentum, 0.9);
    const again = deserialize(JSON.parse(JSON.stringify(form))) as Descent;
    assert.instanceOf(again, Descent);
    assert.deepEqual(again.get_config(), custom.get_config());
  });

  it('goes on from saved weights', () => {
    const steps = (optimizer: Optimizer, v: Variable, count: number) => {
      for (let t = 0; t < count; t++) optimizer.apply([[v.value[0] as number, 1]], [v]);
    };
    const whole = { optimizer: new Descent({ momentum: 0.9 }), v: new Variable([1, 2]) };
    steps(whole.optimizer, whole.v, 6);
    const half = { optimizer: new Descent({ momentum: 0.9 }), v: new Variable([1, 2]) };
    steps(half.optimizer, half.v, 3);
    const rest = { optimizer: new Descent({ momentum: 0.9 }), v: new Variable(half.v.value as Float32Array) };
    rest.optimizer.build([rest.v]);
    rest.optimizer.set_weights(half.optimizer.variables);
    steps(rest.optimizer, rest.v, 3);
    assert.deepEqual([...rest.v.value], [...whole.v.value]);
    assert.equal(rest.optimizer.iterations, 6);
  });

  it('trains plain arrays, leaves out those without a gradient, and gives its memory back', async () => {
    const before = memory().cpu;
    const [a, b] = [Float32Array.of(1), Float32Array.of(2)];
    const optimizer = new Descent({ learning_rate: 1, momentum: 0.5 });
    optimizer.build([a, b]);
    optimizer.apply([[1], null]);
    optimizer.apply([[1], [1]]);
    assert.deepEqual([a[0], b[0]], [-1.5, 1]);
    assert.isAbove(memory().cpu, before);
    optimizer.dispose();
    await new Promise(setImmediate); // finalizers
    assert.isAtMost(memory().cpu, before);
  });

  for (const way of ['apply', 'apply_async'] as const)
    it(`undoes the whole step if update_step throws, ${way}`, async () => {
      let fail = false;
      class Falls extends Descent {
        override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
          super.update_step(gradient, variable, learning_rate);
          if (fail && variable.name === 'b') throw new RangeError('on purpose');
        }
      }
      const variables = [new Variable([1, 2], { name: 'a' }), new Variable(new Float64Array([3]), { name: 'b' })];
      const optimizer = new Falls({ momentum: 0.9, weight_decay: 0.5, gradient_accumulation_steps: 2, use_ema: true });
      const step = () => optimizer[way]([[1, 1], [1]], variables);
      for (let t = 0; t < 3; t++) await step();
      const state = () => [...variables, ...optimizer.variables].map(({ value }) => words(value));
      const before = state();
      fail = true;
      assert.equal((await rejection(step))?.message, 'on purpose');
      assert.deepEqual(state(), before);
      fail = false;
      await step();
      const straight = { optimizer: new Descent(optimizer.get_config()), variables: [[1, 2], new Float64Array([3])] };
      const copies = straight.variables.map((data) => new Variable(data as number[]));
      for (let t = 0; t < 4; t++) straight.optimizer.apply([[1, 1], [1]], copies);
      assert.deepEqual(
        variables.map(({ value }) => words(value)),
        copies.map(({ value }) => words(value)),
      );
    });

  it('unbuilds if its first step throws', async () => {
    class Never extends Descent {
      override update_step(): void {
        throw new Error('never');
      }
    }
    const before = memory().cpu;
    const optimizer = new Never({ momentum: 0.9 });
    const array = Float32Array.of(1);
    assert.throws(() => optimizer.apply([[1]], [array]), /never/);
    assert.isFalse(optimizer.built);
    await new Promise(setImmediate); // finalizers
    assert.isAtMost(memory().cpu, before);
    assert.lengthOf(optimizer.variables, 2);
  });

  it('is refused what would not work', async () => {
    class Async extends Descent {
      // eslint-disable-next-line @typescript-eslint/no-misused-promises -- what a user may write
      override async update_step(): Promise<void> {}
    }
    class Again extends Descent {
      override update_step(): void {
        this.apply([[1]]);
      }
    }
    const v = new Variable([1]);
    const rows = [
      [
        new Async(),
        'ERR_OPT_ARRAY_TYPE',
        /Async.update_step expects to write into its variable and return nothing, got an object/,
      ],
      [new Again(), 'ERR_OPT_BUSY', /Again.apply expects not to be called by a function in the middle of a step/],
    ] as const;
    for (const [optimizer, code, message] of rows) {
      optimizer.build([v]);
      await refused(optimizer, [v], () => optimizer.apply([[1]]), code, message);
    }
    const half = new Descent({ state_dtype: 'bfloat16' });
    assert.match(String(thrown(() => half.build([v]))?.message), /steps in TypeScript and expects state_dtype float32/);
  });

  it('may not name its options as what every optimizer has, nor leave out the common ones', () => {
    const make = (options: object) =>
      thrown(() => {
        class Odd extends Optimizer {
          static override readonly fields = options as typeof own;
          override update_step(): void {}
        }
        return new Odd();
      });
    for (const name of ['update', 'rule', 'blocks', 'running', 'constructor', 'toString', 'apply']) {
      const error = make({ ...own, [name]: fields.flag(true) });
      assert.equal(error?.code, 'ERR_OPT_CONFIG_TYPE', name);
      assert.include(error?.message, `Odd expects its static fields to have names of their own, got "${name}"`);
    }
    const others = Object.entries(own).filter(([name]) => name !== 'clipnorm');
    for (const options of [{ momentum: fields.fraction(0) }, Object.fromEntries(others)]) {
      const error = make(options);
      assert.equal(error?.code, 'ERR_OPT_CONFIG_TYPE');
      assert.match(String(error?.message), /Odd expects its static fields to begin with \.\.\.fields\.common\(0\.01\)/);
    }
  });

  it('is called by the name of its class if its className is none', () => {
    class Odd extends Descent {
      static override readonly className = 3 as unknown as string;
    }
    assert.match(new Odd().name, /^odd/);
  });

  it('needs fields and update_step', () => {
    class Bare extends Optimizer {}
    class Idle extends Optimizer {
      static override readonly fields = own;
    }
    const make = (cls: unknown) => thrown(() => new (cls as new () => unknown)());
    assert.match(
      String(make(Bare)?.message),
      /Bare is abstract: .* static fields = \{ \.\.\.fields\.common\(0\.01\) \}/,
    );
    assert.equal(make(Bare)?.code, 'ERR_OPT_CONFIG_TYPE');
    assert.match(String(make(Optimizer)?.message), /Optimizer is abstract/);
    assert.equal(make(Idle)?.code, 'ERR_OPT_NOT_IMPLEMENTED');
    assert.match(String(make(Idle)?.message), /Idle must implement update_step/);
  });
});

describe('an heir of a native optimizer', () => {
  /** Leaves the gradient as it is. */
  const heirOf = (cls: typeof Adam | typeof Nadam) =>
    class extends (cls as typeof Adam) {
      static override readonly className = 'Heir';
      override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
        super.update_step(gradient, variable, learning_rate);
      }
    };
  for (const cls of [Adam, Nadam])
    for (const type of types)
      for (const [way, step] of Object.entries(ways))
        it(`may step by its rule: ${cls.className}, ${type.name}, ${way}`, async () => {
          for (const flag of flags) {
            const native = await train(new cls(flag), type, step);
            assert.deepEqual(await train(new (heirOf(cls))(flag), type, step), native, JSON.stringify(flag));
          }
        });
  it('may change the gradient before', () => {
    class Centralized extends Adam {
      override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
        const mean = [...gradient].reduce((sum, x) => sum + x) / gradient.length;
        super.update_step(
          gradient.map((x) => x - mean),
          variable,
          learning_rate,
        );
      }
    }
    const [centralized, plain] = [new Variable([1, 2]), new Variable([1, 2])];
    new Centralized().apply([[3, 1]], [centralized]);
    new Adam().apply([[1, -1]], [plain]);
    assert.deepEqual([...centralized.value], [...plain.value]);
  });
  it('may have its update_step as a property', () => {
    class Still extends Adam {
      override readonly update_step = (): void => {};
    }
    const v = new Variable([1]);
    const optimizer = new Still();
    for (const rest of [0, 1]) assert.equal(optimizer.apply([[1]], [v]), 1 + rest);
    assert.equal(v.value[0], 1);
  });
  it('keeps 16-bit states', () => {
    const rounds = ['nearest', 'stochastic'] as const;
    for (const state_rounding of rounds) {
      const values = [Adam, heirOf(Adam)].map((cls) => {
        const v = new Variable(Float32Array.from({ length: 50 }, (_, i) => i / 7));
        const optimizer = new cls({ state_dtype: 'bfloat16', state_rounding, seed: 7 });
        for (let t = 0; t < 5; t++) optimizer.apply([v.value.map(Math.sin)], [v]);
        return [v, ...optimizer.variables].map(({ value }) => words(value));
      });
      assert.deepEqual(values[0], values[1]);
    }
  });
});
