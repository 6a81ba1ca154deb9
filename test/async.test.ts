// Asynchronous steps and threads: the same numbers as synchronous ones, and what may be done when.
import { createHash } from 'node:crypto';

import { assert } from 'chai';

import {
  allocate,
  deserialize,
  getNumThreads,
  memory,
  Nadam,
  setNumThreads,
  SGD,
  Variable,
  type Optimizer,
} from '../lib/index.ts';
import type { Dtype } from '../lib/native.ts';
import { rejection, thrown } from './errors.ts';
import { random } from './random.ts';

const types = { float32: Float32Array, float64: Float64Array };

/** A short form of the bytes of an array; no NaN occurs here. */
const digest = ({ buffer, byteOffset, byteLength }: ArrayBufferView): string =>
  createHash('sha1')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');

const configs: readonly [string, object][] = [
  ['SGD', { momentum: 0.9 }],
  ['Adam', { global_clipnorm: 0.5, weight_decay: 0.1 }],
  ['Lamb', { global_clipnorm: 0.5, weight_decay: 0.1 }],
  [
    'Nadam',
    { clipnorm: 0.5, use_ema: true, ema_overwrite_frequency: 2, gradient_accumulation_steps: 2, loss_scale_factor: 3 },
  ],
];
// several large tensors, many small ones, and sizes around the unit of work
const lengths = [100_001, 32_768, 32_769, 65_536, 0, 1, ...Array.from({ length: 300 }, (_, i) => i)];

async function train(
  threads: number,
  sync: boolean,
  class_name: string,
  config: object,
  dtype: Dtype,
): Promise<string[]> {
  setNumThreads(threads);
  const next = random(`${class_name}${dtype}`);
  const make = (length: number) => new types[dtype](length).map(() => next() - 0.5);
  const optimizer = deserialize({ class_name, config }) as Optimizer;
  const variables = lengths.map((length) => new Variable(make(length)));
  const steps: Promise<number>[] = [];
  for (let t = 0; t < 4; t++) {
    const gradients = lengths.map(make);
    if (sync) optimizer.apply(gradients, variables);
    else steps.push(optimizer.apply_async(gradients, variables));
    if (t % 2 === 1) await Promise.all(steps);
  }
  return [...variables, ...optimizer.variables]
    .map(({ value }) => digest(value))
    .concat(String(optimizer.gradient_norm));
}

describe('threads', () => {
  const before = getNumThreads();
  after(() => setNumThreads(before));

  for (const [name, config] of configs)
    for (const dtype of ['float32', 'float64'] as const)
      it(`${name}, ${dtype}: 1, 2, 3 and 8 threads, sync and async, give the same words`, async () => {
        const expected = await train(1, true, name, config, dtype);
        for (const threads of [1, 2, 3, 8])
          for (const sync of [true, false])
            assert.deepEqual(
              await train(threads, sync, name, config, dtype),
              expected,
              `${threads} threads, ${sync ? 'sync' : 'async'}`,
            );
      });

  it('are as many as asked for', () => {
    setNumThreads(3);
    assert.equal(getNumThreads(), 3);
    for (const [count, code] of [
      [0, 'ERR_OPT_CONFIG_RANGE'],
      [1.5, 'ERR_OPT_CONFIG_RANGE'],
      [NaN, 'ERR_OPT_CONFIG_RANGE'],
      [1025, 'ERR_OPT_CONFIG_RANGE'],
      ['2', 'ERR_OPT_CONFIG_TYPE'],
    ] as const)
      assert.propertyVal(
        thrown(() => setNumThreads(count as number)),
        'code',
        code,
      );
    assert.equal(getNumThreads(), 3);
  });
});

describe('apply_async', () => {
  const pair = () => {
    const v = new Variable(new Float32Array(200_000).fill(1));
    const optimizer = new SGD({ learning_rate: 1 });
    optimizer.build([v]);
    return { v, optimizer, gradient: new Float32Array(200_000).fill(1) };
  };

  it('resolves to the raw counter; iterations rises when a step ends', async () => {
    const { optimizer, gradient } = pair();
    const steps = [optimizer.apply_async([gradient]), optimizer.apply_async([gradient])];
    assert.equal(optimizer.iterations, 0);
    assert.deepEqual(await Promise.all(steps), [1, 2]);
    assert.equal(optimizer.iterations, 2);
    assert.equal(await optimizer.apply_async([]), 2);
  });

  it('builds at its first call, and unbuilds if that fails', async () => {
    const v = new Variable([1, 2]);
    const optimizer = new Nadam();
    assert.propertyVal(await rejection(() => optimizer.apply_async([[1]], [v])), 'code', 'ERR_OPT_LENGTH');
    assert.propertyVal(await rejection(() => optimizer.apply_async([[1, 2]])), 'code', 'ERR_OPT_NOT_BUILT');
    assert.equal(await optimizer.apply_async([[1, 2]], [v]), 1);
  });

  it('takes the gradients as they are at the call: later changes of plain arrays do nothing', async () => {
    const { v, optimizer, gradient } = pair();
    const first = optimizer.apply_async([gradient]);
    gradient.fill(10);
    const second = optimizer.apply_async([gradient]);
    gradient.fill(1000);
    await Promise.all([first, second]);
    assert.isTrue(v.value.every((x) => x === -10));
  });

  it('reads v.gradient, variables and allocated arrays in place', async () => {
    const { v, optimizer } = pair();
    v.gradient.fill(2);
    await optimizer.apply_async();
    assert.equal(v.value[0], -1);
    await optimizer.apply_async([new Variable(new Float32Array(200_000).fill(3))]);
    assert.equal(v.value[7], -4);
    const own = allocate([200, 1000]);
    const live = memory().cpu;
    own.fill(1);
    await optimizer.apply_async([own]);
    assert.equal(v.value[8], -5);
    assert.equal(memory().cpu, live, 'no copy was made');
  });

  it('asks for the learning rate when the step starts, after the one before has ended', async () => {
    const { v, gradient } = pair();
    const asked: number[] = [];
    const optimizer: SGD = new SGD({
      learning_rate: (step) => {
        asked.push(step, optimizer.iterations);
        return step;
      },
    });
    const steps = [optimizer.apply_async([gradient], [v]), optimizer.apply_async([gradient], [v])];
    assert.deepEqual(asked, [0, 0]);
    await Promise.all(steps);
    assert.deepEqual(asked, [0, 0, 1, 1]);
    assert.equal(v.value[0], 0);
  });

  it('rejects a step whose learning rate fails, and goes on with the next', async () => {
    const { v, gradient } = pair();
    let rate: number = NaN;
    const optimizer = new SGD({ learning_rate: () => rate });
    optimizer.build([v]);
    assert.propertyVal(await rejection(() => optimizer.apply_async([gradient])), 'code', 'ERR_OPT_CONFIG_RANGE');
    rate = 1;
    assert.equal(await optimizer.apply_async([gradient]), 1);
    assert.equal(v.value[0], 0);
  });

  it('lets one step wait, and refuses everything that writes meanwhile', async () => {
    const { v, optimizer, gradient } = pair();
    const other = new SGD();
    other.build([v]);
    const steps = [optimizer.apply_async([gradient]), optimizer.apply_async([gradient])];
    const refused: [string, () => unknown][] = [
      ['apply', () => optimizer.apply([gradient])],
      ['assign', () => v.assign(gradient)],
      ['assign of a number of the optimizer', () => optimizer.variables[1]?.assign([0.5])],
      ['set_weights', () => optimizer.set_weights([2, 1])],
      ['dispose', () => optimizer.dispose()],
      ['finalize_variable_values', () => optimizer.finalize_variable_values([v])],
      ['swap_ema_weights', () => optimizer.swap_ema_weights()],
      ['dispose of the variable', () => v.dispose()],
      ['apply of another optimizer', () => other.apply([gradient])],
    ];
    for (const [name, action] of refused) assert.propertyVal(thrown(action), 'code', 'ERR_OPT_BUSY', name);
    await Promise.all(steps);
    assert.isTrue(
      v.value.every((x) => x === -1),
      'nothing else was written',
    );
    for (const [name, action] of refused.slice(0, 4)) assert.isUndefined(thrown(action), `${name} afterwards`);
  });

  it('rejects the third step with ERR_OPT_BUSY at once', async () => {
    const { optimizer, gradient } = pair();
    const steps = [1, 2, 3, 4].map(() => rejection(() => optimizer.apply_async([gradient])));
    assert.deepEqual(
      (await Promise.all(steps)).map((error) => error?.code),
      [undefined, undefined, 'ERR_OPT_BUSY', 'ERR_OPT_BUSY'],
    );
    assert.equal(optimizer.iterations, 2);
  });

  it('rejects a step on variables that another optimizer is writing', async () => {
    const { v, optimizer, gradient } = pair();
    const other = new SGD();
    const first = optimizer.apply_async([gradient]);
    assert.propertyVal(await rejection(() => other.apply_async([gradient], [v])), 'code', 'ERR_OPT_BUSY');
    // one that is not even built yet
    assert.propertyVal(
      thrown(() => new SGD().apply([gradient], [v])),
      'code',
      'ERR_OPT_BUSY',
    );
    await first;
    assert.isTrue(v.value.every((x) => x === 0));
    assert.equal(await other.apply_async([gradient], [v]), 1);
  });

  it("leaves the running step's gradients alone when the next one fails to be taken", async () => {
    const v = new Variable(new Float32Array(2_000_000).fill(1));
    const optimizer = new SGD({ learning_rate: 1 });
    optimizer.build([v, new Variable([0])]);
    const [ones, taken, hundreds] = [1, 1, 100].map((x) => new Float32Array(2_000_000).fill(x)) as Float32Array[];
    const hostile = Object.defineProperty([taken, null], 1, {
      get: () => (structuredClone(taken?.buffer, { transfer: [taken?.buffer as ArrayBuffer] }), [0]),
    });
    const first = optimizer.apply_async([ones as Float32Array, [0]]);
    assert.propertyVal(await rejection(() => optimizer.apply_async(hostile as never)), 'code', 'ERR_OPT_DETACHED');
    const third = optimizer.apply_async([hundreds as Float32Array, [0]]);
    assert.deepEqual(await Promise.all([first, third]), [1, 2]);
    assert.isTrue(v.value.every((x) => x === -100));
  });

  it('refuses to be called by a function in the middle of a step', async () => {
    const { v, gradient } = pair();
    const codes: (string | undefined)[] = [];
    const optimizer: SGD = new SGD({
      learning_rate: () => {
        for (const call of [
          () => optimizer.apply([gradient]),
          () => optimizer.dispose(),
          () => optimizer.exclude_from_weight_decay(),
          () => optimizer.set_weights([0]),
          () => optimizer.swap_ema_weights(),
        ])
          codes.push(thrown(call)?.code);
        return 1;
      },
    });
    optimizer.apply([gradient], [v]);
    await optimizer.apply_async([gradient]);
    assert.deepEqual(codes, Array(10).fill('ERR_OPT_BUSY'));
    assert.deepEqual([optimizer.iterations, v.value[0]], [2, -1]);
  });

  it("refuses to write where a function in the middle of a step has started another optimizer's", async () => {
    const { v, optimizer, gradient } = pair();
    const started: Promise<number>[] = [];
    const other = new SGD({ learning_rate: () => (started.push(optimizer.apply_async([gradient])), 1) });
    other.build([v]);
    assert.propertyVal(
      thrown(() => other.apply([gradient])),
      'code',
      'ERR_OPT_BUSY',
    );
    await Promise.all(started);
    assert.propertyVal(await rejection(() => other.apply_async([gradient])), 'code', 'ERR_OPT_BUSY');
    await optimizer.idle();
    assert.isTrue(v.value.every((x) => x === -1));
    assert.equal(other.iterations, 0);
  });

  it('refuses plain arrays as variables', async () => {
    const optimizer = new SGD();
    const error = await rejection(() => optimizer.apply_async([[1]], [new Float32Array(1)]));
    assert.instanceOf(error, TypeError);
    assert.propertyVal(error, 'code', 'ERR_OPT_NOT_ASYNC_SAFE');
  });

  it('does not stop the event loop, and idle() waits for all', async () => {
    const v = new Variable(new Float32Array(8_000_000));
    const optimizer = new Nadam();
    optimizer.build([v]);
    v.gradient.fill(1);
    let turns = 0;
    const turn = () => (turns++, optimizer.iterations < 20 && setImmediate(turn));
    setImmediate(turn);
    for (let pair = 1; pair <= 10; pair++) {
      void optimizer.apply_async();
      void optimizer.apply_async();
      await optimizer.idle();
      assert.equal(optimizer.iterations, 2 * pair);
    }
    assert.isAbove(turns, 100, 'steps on this thread would leave one for each');
    await optimizer.idle();
  });

  it('goes on with the decay it began with when variables are excluded meanwhile, and later steps without', async () => {
    const v = new Variable(new Float32Array(1).fill(1));
    v.gradient[0] = 0;
    const optimizer = new SGD({ learning_rate: 0.5, weight_decay: 0.5 });
    optimizer.build([v]);
    optimizer.apply(); // both kinds of steps are made
    optimizer.apply([[0]]);
    assert.equal(v.value[0], 0.5625);
    const step = optimizer.apply_async([[0]]);
    optimizer.exclude_from_weight_decay({ var_list: [v] });
    await step;
    const decayed = v.value[0];
    optimizer.apply();
    optimizer.apply([[0]]);
    await optimizer.apply_async();
    assert.equal(decayed, 0.421875);
    assert.equal(v.value[0], decayed);
    optimizer.dispose();
  });

  it('and apply notice when a schedule takes a variable or its gradient away', async () => {
    for (const call of ['apply', 'apply_async'] as const) {
      const v = new Variable(new Float32Array(4));
      v.gradient.fill(1);
      let taken = false;
      const optimizer = new SGD({ learning_rate: () => (taken && v.dispose(), 0.1) });
      optimizer.build([v]);
      await optimizer[call]();
      taken = true;
      const error = await rejection(async () => optimizer[call]());
      assert.propertyVal(error, 'code', 'ERR_OPT_DISPOSED');
      assert.equal(optimizer.iterations, 1);
    }
  });

  it('applies constraints when the step has ended, before it resolves', async () => {
    const { v, optimizer, gradient } = pair();
    v.constraint = (value) => void value.fill(7);
    await optimizer.apply_async([gradient]);
    assert.equal(v.value[3], 7);
  });

  it('survives a gradient whose buffer is taken away, before and during a step', async () => {
    const { v, optimizer } = pair();
    const [first, second] = [allocate(200_000), allocate(200_000)];
    const steps = [
      optimizer.apply_async([first.fill(1)]),
      rejection(() => optimizer.apply_async([second.fill(1)])),
    ] as const;
    for (const array of [first, second]) structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] });
    assert.equal(await steps[0], 1);
    const error = await steps[1]; // Node 20 does not detach a library's buffer, later versions do
    if (error !== undefined) assert.propertyVal(error, 'code', 'ERR_OPT_DETACHED');
    assert.equal(v.value[0], error === undefined ? -1 : 0);
  });
});

describe('allocate', () => {
  it('gives zeros in library memory, of the shape and dtype asked for', () => {
    const before = memory().cpu;
    const array = allocate([3, 4], 'float64');
    assert.deepEqual([array.constructor, array.length, array[0]], [Float64Array, 12, 0]);
    assert.equal(memory().cpu - before, 96);
    assert.lengthOf(allocate(5), 5);
    assert.lengthOf(allocate([]), 1);
    assert.lengthOf(allocate([0, 7]), 0);
  });
  it('refuses other shapes and dtypes', () => {
    for (const shape of [-1, 1.5, NaN, '3', [2, -1], [2 ** 40, 2 ** 40], null])
      assert.propertyVal(
        thrown(() => allocate(shape as number)),
        'code',
        'ERR_OPT_LENGTH',
      );
    assert.propertyVal(
      thrown(() => allocate(1, 'int8' as Dtype)),
      'code',
      'ERR_OPT_CONFIG_RANGE',
    );
    assert.match(String(thrown(() => allocate(2 ** 50))?.code), /ERR_OPT_(OOM|TOO_LARGE)/);
  });
});
