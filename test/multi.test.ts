// MultiOptimizer and OptimizerMap: each variable with its own optimizer, and a step in all of them or in none.
import { inspect } from 'node:util';

import { assert } from 'chai';

import {
  Adam,
  deserialize,
  fields,
  MultiOptimizer,
  Nadam,
  Optimizer,
  OptimizerMap,
  LossScaleOptimizer,
  RMSprop,
  serialize,
  SGD,
  Variable,
  type FloatArray,
  type Gradient,
} from '../lib/index.ts';
import { rejection, thrown } from './errors.ts';
import { flags, makers } from './optimizers.ts';
import { random, words } from './random.ts';

const mapOf = (default_optimizer: Optimizer, entries: Record<string, Optimizer> = {}) =>
  new OptimizerMap({ default_optimizer, optimizer_map: entries });
const multiOf = (default_optimizer: Optimizer, entries: Record<string, Optimizer> = {}) =>
  new MultiOptimizer({ optimizer_map: mapOf(default_optimizer, entries) });
const all = (optimizer: Optimizer, variables: readonly Variable[] = []): string[][] =>
  [...variables, ...optimizer.variables].map(({ value }) => words(value));
const named = (...names: readonly string[]): Variable[] => names.map((name) => new Variable([2, 3], { name }));

describe('an OptimizerMap', () => {
  it('finds by exact key, then by the one pattern that fits the whole path, then the default', () => {
    const [adam, sgd, rmsprop] = [new Adam(), new SGD(), new RMSprop()];
    const map = mapOf(rmsprop);
    map.set('encoder/layer_0/dense', adam).set('encoder/.*', sgd).set('decoder', adam);
    for (const [path, found] of [
      ['decoder', adam],
      ['encoder/layer_0/dense', adam],
      ['encoder/layer_0/attention/query', sgd],
      ['decoder/layer_0/dense', rmsprop],
      ['my/encoder/x', rmsprop],
      ['', rmsprop],
    ] as const)
      assert.strictEqual(map.get(path), found, path);
    assert.isTrue(map.has('decoder'));
    assert.isFalse(map.has('encoder/x'));
    assert.equal(map.size, 3);
    assert.deepEqual([...map.keys()], ['encoder/layer_0/dense', 'encoder/.*', 'decoder']);
    assert.deepEqual([...map.values()], [adam, sgd, adam]);
    assert.deepEqual([...map], [...map.entries()]);
    assert.isTrue(map.delete('decoder'));
    assert.isFalse(map.delete('decoder'));
    assert.strictEqual(map.get('decoder'), rmsprop);
  });

  it('refuses what Keras refuses: two fitting patterns, a key twice, other keys and values, wrappers', () => {
    const map = mapOf(new SGD(), { 'a.*': new SGD(), '.*b': new SGD(), '(': new SGD() });
    const wrapper = multiOf(new SGD());
    const scaled = new LossScaleOptimizer({ inner_optimizer: new SGD() });
    for (const [action, type, text] of [
      [() => map.get('('), undefined, /never/],
      [() => map.delete('(') && map.get('ab'), RangeError, /at most one pattern to fit "ab", got "a\.\*" and "\.\*b"/],
      [() => map.set('a.*', new SGD()), RangeError, /each key once, got "a\.\*" again/],
      [() => map.set(3 as never, new SGD()), TypeError, /keys to be strings, got 3/],
      [() => map.get(3 as never), TypeError, /keys to be strings, got 3/],
      [() => map.set('x', 'sgd' as never), TypeError, /OptimizerMap\["x"\] expects an optimizer .* got "sgd"/],
      [() => map.set('x', wrapper), RangeError, /none that wraps others, got MultiOptimizer/],
      [() => map.set('x', scaled), RangeError, /got LossScaleOptimizer/],
      [() => mapOf(wrapper), RangeError, /default_optimizer/],
      [() => mapOf('sgd' as never), TypeError, /default_optimizer/],
      [
        () => new OptimizerMap({ default_optimizer: new SGD(), optimizer_map: [] as never }),
        TypeError,
        /optimizer_map/,
      ],
      [() => mapOf(new SGD(), { x: 3 as never }), TypeError, /got 3/],
      [() => mapOf(new SGD(), { '[': new SGD() }).get('x'), TypeError, /paths or regular expressions, got "\["/],
      [() => OptimizerMap.from_config(3), TypeError, /from_config expects an object, got 3/],
      [() => OptimizerMap.from_config({}), TypeError, /deserialize expects/],
    ] as const) {
      const error = thrown(action);
      if (type === undefined) assert.isUndefined(error);
      else assert.strictEqual(error?.constructor, type, String(text));
      if (type !== undefined) assert.match(String(error?.message), text);
    }
  });
});

describe('a MultiOptimizer', () => {
  it('steps rates of 0.1, 1 and 0 on 2, 3 and 4 to 1.9, 2 and 4, and counts 1 everywhere', () => {
    const rates = [0.1, 1, 0].map((learning_rate) => new SGD({ learning_rate })) as [SGD, SGD, SGD];
    const optimizer = multiOf(rates[0], { b: rates[1], c: rates[2] });
    const variables = [2, 3, 4].map((x, i) => new Variable([x], { name: 'abc'[i] as string }));
    assert.equal(optimizer.apply([[1], [1], [1]], variables), 1);
    assert.deepEqual(
      variables.map(({ value }) => value[0]),
      [Math.fround(1.9), 2, 4],
    );
    assert.deepEqual([optimizer, ...rates].map(({ iterations }) => iterations), [1, 1, 1, 1]); // prettier-ignore
    assert.deepEqual(optimizer.optimizers, [rates[1], rates[2], rates[0]]);
  });

  for (const way of ['apply', 'apply_async', 'apply on own gradients', 'update', 'stateless_apply'] as const)
    it(`steps every optimizer as if it were alone: ${way}`, async () => {
      const next = random(way);
      const make = (length: number) => new Float32Array(length).map(() => next() - 0.5);
      for (const flag of flags.filter((options) => !('loss_scale_factor' in options)))
        for (const [title, made] of makers(flag)) {
          const [alone, other] = [made(), new Nadam({ learning_rate: 0.1 })];
          const multi = multiOf(made(), { 'nadam/.*': new Nadam({ learning_rate: 0.1 }) });
          const values = [make(7), make(1), make(100)];
          const [together, apart] = [0, 1].map(() =>
            values.map((v, i) => new Variable(v, { name: i === 1 ? 'nadam/v' : `v${i}` })),
          ) as [Variable[], Variable[]];
          for (let t = 0; t < 3; t++) {
            const gradients = values.map(({ length }) => make(length));
            const [a, b, c] = gradients as [FloatArray, FloatArray, FloatArray];
            alone.apply([a, c], [apart[0], apart[2]] as Variable[]);
            other.apply([b], [apart[1] as Variable]);
            if (way === 'apply' || way === 'apply_async')
              await multi[way](t === 1 ? [c, a, b] : gradients, t === 1 ? [together[2], together[0], together[1]] as Variable[] : together); // prettier-ignore
            else if (way === 'update') {
              const byName = <T>(list: readonly T[]) => new Map(list.map((x, i) => [together[i]?.path as string, x]));
              multi.update(byName(together), byName(gradients));
            } else {
              multi.build(together);
              if (way === 'stateless_apply') {
                const copies = (list: readonly Variable[]) => list.map(({ value }) => value.slice());
                const before = all(multi, together);
                const [trained, numbers] = multi.stateless_apply(copies(multi.variables), gradients, copies(together));
                assert.deepEqual(all(multi, together), before);
                together.forEach((variable, i) => variable.assign(trained[i] as FloatArray));
                multi.set_weights(numbers);
              } else {
                gradients.forEach((g, i) => together[i]?.gradient.set(g));
                multi.apply();
              }
            }
          }
          const own = multi.variables.slice(2);
          assert.deepEqual(
            [...together, ...own].map(({ value }) => words(value)),
            [...apart, ...other.variables, ...alone.variables].map(({ value }) => words(value)),
            title,
          );
          assert.equal(multi.iterations, 3);
        }
    });

  it('trains plain arrays by name, routed by their names', () => {
    const multi = multiOf(new SGD({ learning_rate: 1 }), { 'b.*': new SGD({ learning_rate: 2 }) });
    const params = { a: new Float32Array([1, 1]), bias: new Float32Array([1]) };
    for (let i = 0; i < 2; i++) multi.update(params, { a: [1, 2], bias: [1] });
    assert.deepEqual([...params.a, ...params.bias], [-1, -3, -3]);
    assert.deepEqual(multi.optimizers.map(({ iterations }) => iterations), [2, 2]); // prettier-ignore
  });

  it('lists each optimizer once, and builds only those that have variables', () => {
    const [one, two, three] = [new SGD({ momentum: 0.5 }), new Adam(), new Adam()];
    const multi = multiOf(one, { a: two, b: one, c: three });
    assert.deepEqual(multi.optimizers, [two, one, three]);
    multi.build(named('a', 'b', 'd'));
    assert.deepEqual([one, two, three].map(({ built }) => built), [true, true, false]); // prettier-ignore
    assert.lengthOf(multi.variables, 2 + (2 + 2) + (2 + 2) + 2);
    assert.equal(multi.apply([[1, 1], [1, 1], [1, 1]]), 1); // prettier-ignore
    assert.deepEqual([one, two, three].map(({ iterations }) => iterations), [1, 1, 0]); // prettier-ignore
  });

  it('asks a function for the optimizer of each variable', () => {
    const [a, b] = [new SGD({ learning_rate: 1 }), new SGD({ learning_rate: 2 })];
    const select = ({ path }: Variable) => (path.startsWith('encoder') ? a : b);
    const multi = new MultiOptimizer({ optimizer_map: select, loss_scale_factor: 2 });
    assert.isEmpty(multi.optimizers);
    const variables = named('encoder/x', 'y');
    multi.apply([[2, 2], [2, 2]], variables); // prettier-ignore
    assert.deepEqual(variables.map(({ value }) => value[0]), [1, 0]); // prettier-ignore
    assert.deepEqual(multi.optimizers, [a, b]);
    assert.deepEqual([a.loss_scale_factor, b.loss_scale_factor], [2, 2]);
    const form = serialize(multi);
    const back = deserialize(form, { select }) as MultiOptimizer;
    assert.strictEqual(back.optimizer_map, select);
    for (const bad of [() => 3, () => multi, () => undefined])
      assert.instanceOf(
        thrown(() => new MultiOptimizer({ optimizer_map: bad as never }).build(named('x'))),
        bad() === multi ? RangeError : TypeError,
      );
  });

  it('replaces the loss_scale_factor of all: 2 by 10, and 5 by nothing', () => {
    const member = new SGD({ learning_rate: 1, loss_scale_factor: 2 });
    const multi = new MultiOptimizer({ optimizer_map: mapOf(member), loss_scale_factor: 10 });
    assert.equal(member.loss_scale_factor, 10);
    assert.equal(multi.scale_loss(3), 30);
    const [v] = named('x') as [Variable];
    multi.apply([[10, 20]], [v]);
    assert.deepEqual([...v.value], [1, 1]);
    const other = new SGD({ loss_scale_factor: 5 });
    multiOf(other);
    assert.isNull(other.loss_scale_factor);
  });

  it('expects the gradient of every variable', () => {
    const multi = multiOf(new SGD());
    const variables = named('a', 'b');
    multi.build(variables);
    for (const gradients of [
      [[1, 1]],
      [
        [1, 1],
        [1, 1],
        [1, 1],
      ],
    ])
      // prettier-ignore
      assert.match(String(thrown(() => multi.apply(gradients))?.message), /MultiOptimizer expects 2 gradients/);
    assert.match(
      String(thrown(() => multi.apply([[1, 1]], [variables[0] as Variable]))?.message),
      /expects 2 gradients/,
    );
    assert.equal(multi.apply([]), 0);
    assert.equal(multi.apply([[1, 1], null]), 1);
  });

  it('has no learning rate and says so', () => {
    const multi = multiOf(new SGD());
    for (const action of [() => multi.learning_rate, () => ((multi as { learning_rate: unknown }).learning_rate = 1)])
      assert.match(String(thrown(action)?.message), /learning_rate to be read and set on each of its optimizers/);
    assert.match(inspect(multi), /MultiOptimizer .*optimizers: \[\s*SGD/s);
    for (const options of [{ clipnorm: 1 }, { learning_rate: 0.1 }, { use_ema: true }, { foo: 1 }])
      assert.match(
        String(thrown(() => new MultiOptimizer({ optimizer_map: mapOf(new SGD()), ...options }))?.message),
        /MultiOptimizer expects .* got /,
      );
    for (const optimizer_map of [undefined, null, new SGD(), {}, 'sgd', SGD])
      assert.instanceOf(
        thrown(() => new MultiOptimizer({ optimizer_map } as never)),
        TypeError,
      );
  });

  class Failing extends Optimizer {
    static override readonly fields = fields.common(0.5);
    static readonly className: string = 'Failing';
    action: () => void = () => {};
    override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
      for (let i = 0; i < gradient.length; i++)
        variable.value[i] = (variable.value[i] as number) - learning_rate * (gradient[i] as number);
      this.action();
    }
  }
  const fails = (): never => {
    throw new Error('mine');
  };

  for (const way of ['apply', 'apply_async'] as const) {
    it(`is as it was if anything in any of its optimizers throws: ${way}`, async () => {
      const state = { rate: () => 0.1 };
      const [custom, second] = [new Failing(), new Failing()];
      const last = new Nadam({ learning_rate: () => state.rate() });
      const multi = multiOf(last, { a: new Adam({ use_ema: true }), b: custom, c: second });
      const variables = named('a', 'b', 'c', 'd');
      const step = async (gradients: readonly Gradient[]) => multi[way](gradients, variables);
      const good = variables.map(() => [1, 1]);
      interface Broken {
        readonly message: string;
        readonly cause?: () => void;
        readonly gradients?: readonly Gradient[];
      }
      const three = good.slice(0, 3);
      const broken: readonly Broken[] = [
        { message: 'mine', cause: () => (state.rate = fails) },
        { message: 'mine', cause: () => (second.action = fails) },
        { message: 'gradients[3] ("d") has 1', gradients: [...three, [1]] },
        { message: 'expects a gradient for at least one', gradients: [...three, null] },
        { message: 'overlaps', gradients: [...three, (variables[0] as Variable).value] },
      ];
      const check = async () => {
        const before = all(multi, variables);
        for (const { message, cause, gradients = good } of broken) {
          cause?.();
          assert.include((await rejection(() => step(gradients)))?.message, message);
          state.rate = () => 0.1;
          second.action = () => {};
          assert.deepEqual(all(multi, variables), before, message);
        }
      };
      const fresh = all(multi);
      state.rate = fails;
      await rejection(() => step(good));
      state.rate = () => 0.1;
      assert.isFalse([multi, ...multi.optimizers].some(({ built }) => built)); // nor is one of them half built
      assert.deepEqual(all(multi), fresh);
      assert.equal(await step(good), 1);
      await check();
      assert.equal(await step(good), 2);
      assert.deepEqual(multi.optimizers.map(({ iterations }) => iterations), [2, 2, 2, 2]); // prettier-ignore
    });

    it(`sees memory that an update_step of one optimizer takes away from another: ${way}`, async () => {
      const custom = new Failing();
      const multi = multiOf(new SGD(), { a: custom });
      const [a, b] = named('a', 'b') as [Variable, Variable];
      const gradient = new Float32Array(2);
      multi.build([a, b]);
      const before = all(multi, [a, b]);
      if (way === 'apply') {
        custom.action = () => void structuredClone(gradient, { transfer: [gradient.buffer] }); // otherwise it has been copied
        const detached = await rejection(() => multi.apply([[1, 1], gradient]));
        assert.propertyVal(detached, 'code', 'ERR_OPT_DETACHED');
        assert.deepEqual(all(multi, [a, b]), before);
      }
      custom.action = () => b.dispose();
      assert.propertyVal(await rejection(() => multi[way]([[1, 1], [1, 1]])), 'code', 'ERR_OPT_DISPOSED'); // prettier-ignore
      assert.deepEqual(words(a.value), before[0]);
    });
  }

  it('runs one asynchronous step and lets one wait; its optimizers cannot be stepped meanwhile', async () => {
    const [a, b] = [new SGD({ learning_rate: 1 }), new Failing()];
    const multi = multiOf(a, { b });
    const variables = named('a', 'b');
    const g = new Float32Array(2).fill(1);
    const steps = [multi.apply_async([g, g], variables), multi.apply_async([g.fill(2), g], variables)];
    g.fill(9);
    for (const action of [
      () => multi.apply_async([g, g], variables),
      () => a.apply([g], [variables[0] as Variable]),
      () => b.apply_async([g], [variables[1] as Variable]),
      () => multi.dispose(),
      () => multi.update_step(g, variables[0] as Variable),
    ])
      assert.propertyVal(await rejection(action), 'code', 'ERR_OPT_BUSY');
    assert.deepEqual(await Promise.all(steps), [1, 2]);
    assert.deepEqual(variables.map(({ value }) => value[0]), [-1, 0.5]); // prettier-ignore
    assert.equal(a.apply([g.fill(0)], [variables[0] as Variable]), 3);
    multi.update_step([1, 1], variables[0] as Variable);
    assert.equal(variables[0]?.value[0], -2);
  });

  it('finishes and swaps the averages of those optimizers that have some, and excludes in all', () => {
    const options = { learning_rate: 1, weight_decay: 0.5 };
    const multi = multiOf(new SGD({ ...options, use_ema: true }), { b: new SGD(options) });
    const [a, b] = named('a', 'b') as [Variable, Variable];
    multi.exclude_from_weight_decay({ var_list: [b] });
    multi.apply([[1, 1], [1, 1]], [a, b]); // prettier-ignore
    assert.deepEqual([...a.value, ...b.value], [0, 0.5, 1, 2]);
    a.assign([7, 7]);
    multi.swap_ema_weights();
    assert.deepEqual([...a.value, ...b.value], [0, 0.5, 1, 2]);
    multi.swap_ema_weights();
    multi.finalize_variable_values([a, b]);
    assert.deepEqual([...a.value, ...b.value], [0, 0.5, 1, 2]);
    const without = multiOf(new SGD());
    assert.propertyVal(
      thrown(() => without.swap_ema_weights()),
      'code',
      'ERR_OPT_CONFIG_RANGE',
    );
    without.finalize_variable_values();
  });

  it('counts a step that has happened even if a constraint throws, in all of its optimizers', () => {
    const multi = multiOf(new SGD(), { b: new SGD() });
    const variables = named('a', 'b');
    (variables[1] as Variable).constraint = fails;
    assert.equal(thrown(() => multi.apply([[1, 1], [1, 1]], variables))?.message, 'mine'); // prettier-ignore
    assert.deepEqual([multi, ...multi.optimizers].map(({ iterations }) => iterations), [1, 1, 1]); // prettier-ignore
  });

  it('is refused with a disposed optimizer, and disposes of all', () => {
    const [a, b] = [new SGD(), new SGD()];
    const multi = multiOf(a, { b });
    const variables = named('a', 'b');
    multi.build(variables);
    b.dispose();
    const before = all(a, variables);
    assert.propertyVal(thrown(() => multi.apply([[1, 1], [1, 1]])), 'code', 'ERR_OPT_DISPOSED'); // prettier-ignore
    assert.deepEqual(all(a, variables), before);
    assert.equal(a.apply([[1, 1]]), 1); // nothing keeps it busy
    multi.dispose();
    assert.propertyVal(thrown(() => a.apply([[1, 1]])), 'code', 'ERR_OPT_DISPOSED'); // prettier-ignore
    assert.propertyVal(thrown(() => multiOf(a)), 'code', 'ERR_OPT_DISPOSED'); // prettier-ignore
    const known = new SGD();
    known.build(named('elsewhere'));
    assert.propertyVal(thrown(() => multiOf(known).build(variables)), 'code', 'ERR_OPT_UNKNOWN_VARIABLE'); // prettier-ignore
  });
});
