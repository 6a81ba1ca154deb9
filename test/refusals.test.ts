// Input that means harm, or only a mistake: each is refused with its class, code and message, by every optimizer, in apply and
// in apply_async, and leaves every variable, state and counter as it was. The tables are in refusals/.
import { runInNewContext } from 'node:vm';

import { assert } from 'chai';

import { Adam, deserialize, Nadam, SGD, Variable, type Gradient, type Optimizer } from '../lib/index.ts';
import { refused, rejection, thrown } from './errors.ts';
import { classes, type OptimizerClass } from './optimizers.ts';
import { additions } from './refusals/additions.ts';
import { good, rows, type Arguments } from './refusals/gradients.ts';
import { flat, lists, v } from './refusals/lists.ts';
import { methods } from './refusals/methods.ts';
import { common, decaying, own } from './refusals/options.ts';
import { averaging, growable, optimizers, setUp, type Scene } from './refusals/scene.ts';

const calls = {
  apply: ({ optimizer }: Scene, [gradients, variables]: Arguments) =>
    optimizer.apply(gradients as Gradient[], variables as Variable[]),
  apply_async: ({ optimizer }: Scene, [gradients, variables]: Arguments) =>
    optimizer.apply_async(gradients as Gradient[], variables as Variable[]),
};

describe('the tables of bad input', () => {
  it('have at least 300 rows, no two of them alike', () => {
    // every row runs with every optimizer that it is about, those of gradients in apply and in apply_async
    const tables = { rows, lists, methods, additions, common, decaying, ...own };
    const names = Object.entries(tables).flatMap(([table, list]) => list.map(([name]) => `${table}, ${name}`));
    assert.strictEqual(new Set(names).size, names.length);
    assert.isAtLeast(names.length, 300);
  });
  it('have every option of every class', () => {
    for (const cls of classes) {
      const { fields } = cls as unknown as { readonly fields: object };
      const tested = [...common, ...decaying, ...(own[cls.className] ?? [])].flatMap(([, o]) => Object.keys(o));
      assert.isEmpty(
        Object.keys(fields).filter((name) => !tested.includes(name)),
        cls.className,
      );
    }
  });
});

/** The same with each of several optimizers; what fails says with which. */
async function each(list: typeof optimizers, action: (make: () => Optimizer) => Promise<unknown>): Promise<void> {
  for (const [what, make] of list)
    try {
      await action(make);
    } catch (error) {
      throw new Error(what, { cause: error });
    }
}

describe('apply and apply_async refuse, and leave everything as it was:', () => {
  for (const [method, call] of Object.entries(calls))
    for (const [name, given, code, message] of rows)
      it(`any optimizer.${method}: ${name}`, () =>
        each(optimizers, async (make) => {
          const scene = setUp(make);
          const input = given(scene);
          await refused(scene.optimizer, [scene.kernel, scene.bias], () => call(scene, input), code, message);
          await call(scene, [[[1, 1], [1]]]); // and the next step is fine
        }));
});

describe('a gradient that is a state of the optimizer', () => {
  for (const [what, make] of averaging)
    it(`is refused by ${what}`, async () => {
      const scene = setUp(make);
      const slots = scene.optimizer.variables.filter(({ path, dtype }) => /kernel/.test(path) && dtype !== 'int32');
      assert.isNotEmpty(slots);
      for (const slot of slots)
        for (const call of Object.values(calls)) {
          const action = () => call(scene, [[slot, good]]);
          await refused(scene.optimizer, [scene.kernel, scene.bias], action, 'ERR_OPT_ALIAS', /its state in memory/);
        }
    });
});

describe('constructors and from_config refuse', () => {
  const rowsOf = ({ className }: OptimizerClass) => [
    ...common,
    ...(className === 'Nadam' ? [] : decaying),
    ...(own[className] ?? []),
  ];
  for (const cls of classes)
    for (const [name, options, code, message] of rowsOf(cls))
      it(`${cls.className}: ${name}`, () => {
        for (const make of [
          () => new cls(options),
          () => deserialize({ class_name: cls.className, config: options }),
        ]) {
          const error = thrown(make);
          assert.equal(error?.code, code, String(error));
          assert.match(String(error?.message), message);
          assert.include(error?.message, cls.className);
        }
      });
});

describe('what is accepted though it looks strange:', () => {
  const accepted: readonly [string, () => unknown][] = [
    ['a typed array of another realm', () => runInNewContext('new Float32Array([1, 1])') as unknown],
    ['a list of another realm', () => runInNewContext('[1, 1]') as unknown],
    ['a shared buffer', () => new Float32Array(new SharedArrayBuffer(8)).fill(1)],
    ['a growable shared buffer of the right length', () => new Float32Array(growable(), 0, 2).fill(1)],
    ['an odd offset', () => new Float32Array(new ArrayBuffer(28), 20, 2).fill(1)],
    ['a subclass', () => new (class Mine extends Float32Array {})([1, 1])],
    ['a hidden buffer', () => Object.defineProperty(new Float32Array([1, 1]), 'buffer', { value: null })],
    ['a frozen list', () => Object.freeze([1, 1])],
    ['not-a-number and infinity, as in Keras', () => [NaN, Infinity]],
  ];
  for (const [name, gradient] of accepted)
    for (const [method, call] of Object.entries(calls))
      it(`${name}, by ${method}`, async () => {
        const scene = setUp(() => new SGD({ learning_rate: 1 }));
        assert.isUndefined(await rejection(() => call(scene, [[gradient(), good]])));
        const expected = name.startsWith('not-a-number') ? [NaN, -Infinity] : [-1, 0];
        assert.deepEqual([...scene.kernel.value], expected);
      });
});

describe('build refuses, and leaves nothing half-built:', () => {
  for (const [name, list, code, message] of lists)
    it(name, () =>
      each(optimizers, async (make) => {
        const optimizer = make();
        await refused(optimizer, [v], () => optimizer.build(list() as Variable[]), code, message);
        optimizer.build([v]);
      }),
    );

  it('but takes neighbours on one buffer', () => {
    const optimizer = new SGD({ learning_rate: 1 });
    const ones = new Float32Array(4).fill(1);
    optimizer.apply([ones, ones], [flat.subarray(0, 4), flat.subarray(4)]);
    assert.deepEqual([...flat], Array<number>(8).fill(-1));
  });
});

describe('other calls refuse, and leave everything as it was:', () => {
  for (const [name, call, code, message] of [...methods, ...additions])
    it(name, () =>
      each(averaging, async (make) => {
        const scene = setUp(make);
        await refused(scene.optimizer, [scene.kernel, scene.bias], () => call(scene), code, message);
        scene.optimizer.apply([[1, 1], [1]]); // and the next step is fine
      }),
    );

  it('a first apply: the optimizer is not even built', async () => {
    const v = new Variable([1]);
    const optimizer = new Nadam();
    for (const method of ['apply', 'apply_async'] as const) {
      await refused(optimizer, [v], () => optimizer[method]([[1, 2]], [v]), 'ERR_OPT_LENGTH', /has 2 elements/);
      await refused(
        optimizer,
        [v],
        () => optimizer[method]([[1]]),
        'ERR_OPT_NOT_BUILT',
        new RegExp(`Nadam.${method} expects build`),
      );
    }
    assert.equal(optimizer.apply([[1]], [v]), 1);
  });

  it('a step on a variable that has been disposed of', async () => {
    const v = new Variable([1]);
    const optimizer = new SGD();
    optimizer.build([v]);
    v.dispose();
    for (const method of ['apply', 'apply_async'] as const)
      assert.equal((await rejection(() => optimizer[method]([[1]])))?.code, 'ERR_OPT_DISPOSED');
    assert.equal(optimizer.iterations, 0);
  });
});

describe('user code in the middle of a step', () => {
  it('cannot take memory away that is written or read: a schedule that transfers the gradient', async () => {
    for (const method of ['apply', 'apply_async'] as const) {
      const gradient = new Float32Array(2);
      const scene = setUp(() => {
        let steps = 0;
        return new SGD({
          learning_rate: () => {
            if (steps++ === 1) structuredClone(gradient.buffer, { transfer: [gradient.buffer] });
            return 1;
          },
        });
      });
      const error = await rejection(() => calls[method](scene, [[gradient, good]]));
      // an asynchronous step has its copy already
      assert.equal(error?.code, method === 'apply' ? 'ERR_OPT_DETACHED' : undefined);
    }
  });
  it('cannot take a plain variable away', () => {
    const plain = new Float32Array(2);
    const optimizer = new SGD({
      learning_rate: () => (structuredClone(plain.buffer, { transfer: [plain.buffer] }), 1),
    });
    optimizer.build([plain]);
    assert.throws(() => optimizer.apply([[1, 1]]), TypeError, /detached/);
  });
  it('throws its own error, and the step has not happened', async () => {
    class Mine extends Error {}
    for (const options of [{ learning_rate: fail }, { beta_1: fail }]) {
      const v = new Variable([1]);
      const optimizer = new Adam(options);
      optimizer.build([v]);
      for (const call of [() => optimizer.apply([[1]]), () => optimizer.apply_async([[1]])])
        assert.instanceOf(await rejection(call), Mine);
      assert.deepEqual([optimizer.iterations, v.value[0], Number(optimizer.variables[2]?.value[0])], [0, 1, 0]);
    }
    function fail(): never {
      throw new Mine();
    }
  });
});
