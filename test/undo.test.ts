// What update_step does to its own step: whatever fails in the middle, the step happens whole or not at all.
import { assert } from 'chai';

import { fields, memory, Optimizer, SGD, Variable, type FloatArray, type Trainable } from '../lib/index.ts';
import { rejection, thrown } from './errors.ts';
import { words } from './random.ts';

const own = fields.common(0.5);
type Attack = (optimizer: Mine) => unknown;

/** Momentum as a user would write it; in its second variable it attacks. */
class Mine extends Optimizer<typeof own> {
  static override readonly fields = own;
  static readonly className = 'Mine';
  attack: Attack = () => {};
  model: readonly Trainable[] = [];
  momentums: Variable[] = [];

  override build(variables: readonly Trainable[]): void {
    if (this.built) return;
    super.build(variables);
    this.model = variables;
    this.momentums = this.add_optimizer_variables(variables, 'momentum');
  }

  override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
    const index = this._get_variable_index(variable);
    const m = this.momentums[index]?.value as FloatArray;
    gradient.forEach((g, i) => {
      m[i] = (m[i] as number) / 2 + g;
      variable.value[i] = (variable.value[i] as number) - learning_rate * m[i];
    });
    if (index === 1) this.attack(this);
  }
}

const fall = (): never => {
  throw new Error('on purpose');
};
const detach = (array: unknown): void => {
  const { buffer } = array as Float32Array<ArrayBuffer>;
  structuredClone(buffer, { transfer: [buffer] });
};
const late = (optimizer: Optimizer) => optimizer.add_variable({ name: 'late', initializer: 'ones' });

const arrays = () => [Float32Array.of(1, 2), Float64Array.of(3), Float32Array.of(4)];
const variables = () => arrays().map((array, i) => new Variable<FloatArray>(array, { name: 'abc'[i] as string }));

/** Name; what the trained are; what update_step does; the code of the error, none for the caller's own. */
const attacks: readonly (readonly [string, () => Trainable[], Attack, string | undefined])[] = [
  ['throws', variables, fall, undefined],
  ['transfers an array away', arrays, ({ model }) => detach(model[0]), 'ERR_OPT_DETACHED'],
  ['transfers its own array away', arrays, ({ model }) => detach(model[1]), 'ERR_OPT_DETACHED'],
  ['transfers an array away and throws', arrays, ({ model }) => (detach(model[0]), fall()), undefined],
  ['disposes of a variable', variables, ({ model }) => (model[0] as Variable).dispose(), 'ERR_OPT_DISPOSED'],
  ['disposes of a state and throws', variables, ({ momentums }) => (momentums[0]?.dispose(), fall()), undefined],
  ['adds a variable and throws', variables, (optimizer) => ((late(optimizer).value[0] = 5), fall()), undefined],
  ['steps', variables, (optimizer) => optimizer.apply(), 'ERR_OPT_BUSY'],
  ['disposes of its optimizer', variables, (optimizer) => optimizer.dispose(), 'ERR_OPT_BUSY'],
];

/** The words of what is still there, by name. */
function seen({ model, variables: state, gradient_norm, iterations }: Mine): ReadonlyMap<string, unknown> {
  const all = [...model.map((value, i) => [`model ${i}`, value] as const), ...state.map((v) => [v.name, v] as const)];
  const values = all.map(([name, one]) => {
    const value = thrown(() => (one as Variable).value) === undefined && ((one as Variable).value ?? one);
    return [name, value && value.length > 0 ? words(value) : 'gone'] as const;
  });
  return new Map<string, unknown>([...values, ['norm', gradient_norm], ['iterations', iterations]]);
}

const flags = [
  {},
  { use_ema: true, global_clipnorm: 1, weight_decay: 0.5, gradient_accumulation_steps: 2, loss_scale_factor: 3 },
];
describe('a step whose update_step', () => {
  for (const [what, make, attack, code] of attacks)
    for (const way of make === arrays ? (['apply'] as const) : (['apply', 'apply_async'] as const))
      for (const flag of flags)
        it(`${what} has not happened: ${way}, ${Object.keys(flag).length} flags`, async () => {
          const [optimizer, model] = [new Mine(flag), make()];
          for (const gradient of [1, 2, 3]) await optimizer[way]([[gradient, 1], [1], [1]], model);
          const before = seen(optimizer);
          optimizer.attack = attack;
          const error = await rejection(() => optimizer[way]([[7, 1], [1], [1]], model));
          assert.equal(error?.code, code, String(error));
          if (code === undefined) assert.equal(error?.message, 'on purpose');
          for (const [name, value] of seen(optimizer))
            if (value !== 'gone')
              assert.deepEqual(value, before.has(name) ? before.get(name) : words(Float32Array.of(1)), name);
        });

  it('starts another optimizer on its variables has not happened', async () => {
    const [optimizer, other] = [new Mine(), new SGD()];
    const model = variables();
    optimizer.apply([[1, 1], [1], [1]], model);
    let step: Promise<unknown> = Promise.resolve();
    optimizer.attack = () => (step = other.apply_async([[0, 0], [0], [0]], model));
    const before = seen(optimizer);
    assert.equal(thrown(() => optimizer.apply([[1, 1], [1], [1]]))?.code, 'ERR_OPT_BUSY');
    await step;
    assert.deepEqual(seen(optimizer), before);
  });

  it('failed goes on when it does not', () => {
    const [failed, straight] = [new Mine({ use_ema: true }), new Mine({ use_ema: true })];
    const models = [variables(), variables()] as [Variable[], Variable[]];
    const gradients = [[1, -1], [1], [2]];
    failed.apply(gradients, models[0]);
    failed.attack = fall;
    assert.throws(() => failed.apply(gradients), /on purpose/);
    failed.attack = () => {};
    failed.apply(gradients);
    for (let t = 0; t < 2; t++) straight.apply(gradients, models[1]);
    assert.deepEqual(seen(failed), seen(straight));
  });

  it('is undone without methods of the array', () => {
    const [array] = arrays() as [Float32Array];
    for (const name of ['slice', 'set']) Object.defineProperty(array, name, { value: fall });
    const optimizer = new Mine();
    optimizer.apply([[1, 1], [1]], [array, Float32Array.of(1)]);
    const before = [...array];
    optimizer.attack = () => {
      throw new RangeError('mine');
    };
    assert.throws(() => optimizer.apply([[1, 1], [1]]), RangeError, 'mine');
    assert.deepEqual([...array], before);
  });

  it('adds variables at its first call finds them again after a first step that failed', async () => {
    class Lazy extends Optimizer<typeof own> {
      static override readonly fields = own;
      calls: Variable | undefined;
      fail = true;
      override update_step(_: FloatArray, variable: Variable): void {
        this.calls ??= this.add_variable_from_reference(variable, { name: 'calls' });
        this.calls.value[0] = (this.calls.value[0] as number) + 1;
        if (this.fail) fall();
      }
    }
    for (const way of ['apply', 'apply_async'] as const) {
      const [optimizer, v] = [new Lazy({ use_ema: true }), new Variable([1], { name: 'v' })];
      const step = () => optimizer[way]([[1]], [v]);
      assert.equal((await rejection(step))?.message, 'on purpose');
      assert.isFalse(optimizer.built);
      optimizer.fail = false;
      for (let t = 0; t < 2; t++) await step();
      assert.equal(optimizer.calls?.value[0], 2);
      assert.deepEqual(
        optimizer.variables.map(({ name }) => name),
        ['iteration', 'learning_rate', 'v_calls', 'v_average'],
      );
    }
  });
});

describe('an asynchronous first step that fails', () => {
  it('leaves a variable that was added meanwhile', async () => {
    const optimizer = new Mine();
    optimizer.attack = fall;
    const step = optimizer.apply_async([[1, 1], [1], [1]], variables());
    const added = optimizer.add_variable({ initializer: 'ones' });
    assert.equal((await rejection(() => step))?.message, 'on purpose');
    assert.deepEqual([optimizer.built, added.value[0]], [false, 1]);
  });
});

describe('build', () => {
  it('that is called by a getter of its own list happens once', async () => {
    const before = memory().cpu;
    const [v, optimizer] = [new Variable([1]), new SGD({ momentum: 0.9 })];
    optimizer.build(Object.defineProperty([v], 0, { get: () => (optimizer.build([v]), v) }));
    assert.lengthOf(optimizer.variables, 3);
    optimizer.dispose();
    v.dispose();
    await new Promise(setImmediate); // finalizers
    assert.isAtMost(memory().cpu, before);
  });
  it('that a getter of its list disposes of is refused', async () => {
    const before = memory().cpu;
    const [v, optimizer] = [new Variable([1]), new SGD({ momentum: 0.9 })];
    const list = Object.defineProperty([v], 0, { get: () => (optimizer.dispose(), v) });
    assert.equal(thrown(() => optimizer.build(list))?.code, 'ERR_OPT_DISPOSED');
    v.dispose();
    await new Promise(setImmediate); // finalizers
    assert.isAtMost(memory().cpu, before);
  });
});

describe('memory that is gone is found before the first write', () => {
  const [code, refusal] = ['ERR_OPT_DETACHED', /expects an array with memory/] as const;
  function scene() {
    const [kept, lost] = [Float32Array.of(1, 2), Float32Array.of(3)];
    const optimizer = new SGD({ learning_rate: 1, use_ema: true });
    optimizer.apply([[1, 1], [1]], [kept, lost]);
    const values = () => [[...kept], ...optimizer.variables.slice(0, 3).map(({ value }) => [...value].map(String))];
    return { kept, lost, optimizer, values };
  }
  it('by stateless_apply, also where a getter in its arguments takes it away', () => {
    const takes: readonly ((lost: Float32Array) => unknown)[] = [
      (lost) => (detach(lost), [[5, 5], [6]]),
      (lost) => [[5, 5], Object.defineProperty([6], 0, { get: () => (detach(lost), 6) })],
    ];
    for (const take of takes) {
      const { lost, optimizer, values } = scene();
      const [before, state] = [values(), optimizer.variables.map(({ value }) => [Number(value[0])])];
      state.splice(2, 2, [7, 7], [7]);
      const error = thrown(() => optimizer.stateless_apply(state, [[1, 1], [1]], take(lost) as []));
      assert.equal(error?.code, code, String(error));
      assert.match(String(error?.message), refusal);
      assert.deepEqual(values(), before);
    }
  });
  it('by finalize_variable_values', () => {
    const { optimizer, values } = scene();
    optimizer.apply([[1, 1], [1]]);
    const before = values();
    optimizer.variables[3]?.dispose();
    assert.equal(thrown(() => optimizer.finalize_variable_values())?.code, 'ERR_OPT_DISPOSED');
    assert.deepEqual(values(), before);
  });
});
