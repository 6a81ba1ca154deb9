// What a GPU cannot do, or was not asked rightly, is refused before anything has happened.
import { assert } from 'chai';

import {
  IndexedSlices,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  Optimizer,
  OptimizerMap,
  SGD,
  Variable,
  fields,
} from '../../lib/index.ts';
import { rejection } from '../errors.ts';
import { describeOnGpu, same } from './gpu.ts';

class Mine extends Optimizer {
  static override readonly fields = fields.common(0.01);
  override update_step(): void {}
}
class Heir extends SGD {
  override update_step(): void {}
}

/** Two variables and their optimizer after a step. */
function scene() {
  const v = new Variable(Float32Array.of(1, 2, 3, 4), { device: 'cuda', name: 'v' });
  const w = new Variable(Float32Array.of(5, 6), { device: 'cuda', name: 'w' });
  const optimizer = new Nadam({ global_clipnorm: 1, gradient_dtype: 'bfloat16', use_ema: true });
  optimizer.apply(
    [
      [1, 1, 1, 1],
      [1, 1],
    ],
    [v, w],
  );
  const host = new Variable([1, 2, 3, 4], { name: 'h' });
  const foreign = (more: object) => ({ ...new Variable([1, 2, 3, 4], { device: 'cuda' }).cuda, ...more });
  return { v, w, optimizer, host, foreign, half: new Uint16Array(2) };
}
type Scene = ReturnType<typeof scene>;

const give = (gradient: (scene: Scene) => unknown) => (made: Scene) =>
  made.optimizer.apply([gradient(made), [1, 1]] as never);

type Row = readonly [
  what: string,
  action: (made: Scene) => unknown,
  type: ErrorConstructor | TypeErrorConstructor,
  code: string,
  message: RegExp,
];
const rows: readonly Row[] = [
  ['value', ({ v }) => v.value, TypeError, 'ERR_OPT_DEVICE', /^v lies on cuda:0: .*await read\(\)/],
  [
    'a value of the state',
    ({ optimizer }) => optimizer.variables[2]?.value,
    TypeError,
    'ERR_OPT_DEVICE',
    /lies on cuda:0: .*read\(\)/,
  ],
  [
    'a constraint',
    ({ v }) => (v.constraint = () => undefined),
    TypeError,
    'ERR_OPT_DEVICE',
    /on cuda:0 expects constraint to be null, got a function/,
  ],
  ['a description of what is on the host', ({ host }) => host.cuda, TypeError, 'ERR_OPT_DEVICE', /"h" lies on the cpu/],
  [
    'two places',
    ({ v, host }) => new SGD().build([v, host]),
    TypeError,
    'ERR_OPT_DEVICE',
    /SGD expects all variables on one device, "v" is on cuda:0, "h" is on cpu/,
  ],
  [
    'an array beside a GPU',
    ({ v }) => new SGD().build([v, new Float32Array(1)]),
    TypeError,
    'ERR_OPT_DEVICE',
    /"v" is on cuda:0, variables\[1\] is an array on the cpu/,
  ],
  [
    'two places of a wrapper',
    ({ v, host }) => new LossScaleOptimizer({ inner_optimizer: new SGD() }).build([host, v]),
    TypeError,
    'ERR_OPT_DEVICE',
    /LossScaleOptimizer expects all variables on one device, "h" is on cpu, "v" is on cuda:0/,
  ],
  [
    'a variable twice',
    ({ v }) => new SGD().build([v, v]),
    RangeError,
    'ERR_OPT_ALIAS',
    /variables\[0\] and variables\[1\] overlap/,
  ],
  [
    'a class of its own',
    ({ v }) => new Mine().build([v]),
    TypeError,
    'ERR_OPT_DEVICE',
    /Mine steps in TypeScript and expects variables on the cpu, "v" is on cuda:0/,
  ],
  [
    'an heir',
    ({ v }) => new Heir().apply([[1, 2, 3, 4]], [v]),
    TypeError,
    'ERR_OPT_DEVICE',
    /Heir steps in TypeScript/,
  ],
  [
    'a class of its own in a wrapper',
    ({ v }) => new LossScaleOptimizer({ inner_optimizer: new Mine() }).apply([[1, 2, 3, 4]], [v]),
    TypeError,
    'ERR_OPT_DEVICE',
    /Mine steps in TypeScript/,
  ],
  [
    'stateless_apply',
    ({ optimizer }) => optimizer.stateless_apply([], [], []),
    TypeError,
    'ERR_OPT_DEVICE',
    /Nadam.stateless_apply expects variables on the cpu, they are on cuda:0/,
  ],
  ['assign_add', ({ v, optimizer }) => optimizer.assign_add(v, [1, 1, 1, 1]), TypeError, 'ERR_OPT_DEVICE', /read\(\)/],
  [
    'a variable of the host assigned to',
    ({ v, host }) => host.assign(v),
    TypeError,
    'ERR_OPT_DEVICE',
    /"h" lies on cpu and what is assigned on cuda:0: .*read\(\)/,
  ],
  ['numbers assigned', ({ v }) => v.assign([1]), RangeError, 'ERR_OPT_LENGTH', /"v" expects 4 elements, got 1/],
  ['a variable assigned', ({ v, w }) => v.assign(w), RangeError, 'ERR_OPT_LENGTH', /"v" expects 4 elements, got 2/],
  [
    'a gradient assigned',
    ({ v, w }) => v.gradient.assign(w),
    RangeError,
    'ERR_OPT_LENGTH',
    /the gradient of "v" expects 4 elements, got 2/,
  ],
  [
    'other things assigned',
    ({ v }) => v.assign({} as never),
    TypeError,
    'ERR_OPT_ARRAY_TYPE',
    /"v" expects a Float32Array/,
  ],
  [
    'a host gradient of another dtype',
    give(() => new Float64Array(4)),
    TypeError,
    'ERR_OPT_ARRAY_TYPE',
    /gradients\[0\] \("v"\)/,
  ],
  [
    'a host gradient of another length',
    give(() => [1]),
    RangeError,
    'ERR_OPT_LENGTH',
    /gradients\[0\] \("v"\) has 1 elements, its variable has 4/,
  ],
  [
    'a gradient of another length',
    give(({ w }) => w.gradient),
    RangeError,
    'ERR_OPT_LENGTH',
    /gradients\[0\] \("v"\) has 2 elements, its variable has 4/,
  ],
  [
    'a gradient of another dtype',
    give(() => new Variable(new Float64Array(4), { device: 'cuda' })),
    TypeError,
    'ERR_OPT_ARRAY_TYPE',
    /dtype float32 or, by gradient_dtype, bfloat16, got float64/,
  ],
  [
    'a variable as its own gradient',
    give(({ v }) => v),
    RangeError,
    'ERR_OPT_ALIAS',
    /gradients\[0\] overlaps a variable or its state/,
  ],
  [
    'a slot as a gradient',
    give(({ optimizer }) => optimizer.variables[2]),
    RangeError,
    'ERR_OPT_ALIAS',
    /gradients\[0\] overlaps/,
  ],
  ['memory of a variable', give(({ v }) => v.cuda), RangeError, 'ERR_OPT_ALIAS', /gradients\[0\] overlaps/],
  [
    'a part of a variable',
    give(({ v, half }) => ({ ...v.cuda, ptr: v.cuda.ptr + 8n, shape: [4], dtype: half && 'bfloat16' })),
    RangeError,
    'ERR_OPT_ALIAS',
    /gradients\[0\] overlaps/,
  ],
  [
    'a sparse gradient out of range',
    give(() => new IndexedSlices([1], [4], [4])),
    RangeError,
    'ERR_OPT_INDEX',
    /indices\[0\] is 4/,
  ],
  [
    'a key too many',
    give(({ foreign }) => foreign({ strides: [1] })),
    TypeError,
    'ERR_OPT_CONFIG_TYPE',
    /is expected to have only ptr, shape, .*got "strides"/,
  ],
  [
    'a pointer of another kind',
    give(({ foreign }) => foreign({ ptr: 4096 })),
    TypeError,
    'ERR_OPT_CONFIG_TYPE',
    /expects ptr to be a bigint, got 4096/,
  ],
  [
    'a pointer below 0',
    give(({ foreign }) => foreign({ ptr: -4n })),
    RangeError,
    'ERR_OPT_CONFIG_RANGE',
    /expects ptr to be in \[0, 2\^64\)/,
  ],
  [
    'a pointer beyond 64 bits',
    give(({ foreign }) => foreign({ ptr: 2n ** 64n })),
    RangeError,
    'ERR_OPT_CONFIG_RANGE',
    /expects ptr to be in/,
  ],
  [
    'a pointer between elements',
    give(({ foreign, v }) => foreign({ ptr: v.gradient.cuda.ptr + 2n })),
    RangeError,
    'ERR_CUDA_POINTER',
    /a multiple of 4/,
  ],
  ['a pointer to nothing', give(({ foreign }) => foreign({ ptr: 4096n })), Error, 'ERR_CUDA_POINTER', /./],
  ['a null pointer', give(({ foreign }) => foreign({ ptr: 0n })), Error, 'ERR_CUDA_POINTER', /./],
  [
    'another shape',
    give(({ foreign }) => foreign({ shape: [2, 3] })),
    RangeError,
    'ERR_OPT_LENGTH',
    /has 6 elements, its variable has 4/,
  ],
  [
    'no shape',
    give(({ foreign }) => foreign({ shape: [-4, -1] })),
    RangeError,
    'ERR_OPT_LENGTH',
    /expects shape to be an array of whole numbers/,
  ],
  [
    'another dtype',
    give(({ foreign }) => foreign({ dtype: 'float64' })),
    TypeError,
    'ERR_OPT_ARRAY_TYPE',
    /got float64/,
  ],
  [
    'halves that gradient_dtype does not name',
    give(({ foreign }) => foreign({ dtype: 'float16' })),
    TypeError,
    'ERR_OPT_ARRAY_TYPE',
    /by gradient_dtype, bfloat16, got float16/,
  ],
  [
    'no dtype',
    give(({ foreign }) => foreign({ dtype: 'int8' })),
    TypeError,
    'ERR_OPT_ARRAY_TYPE',
    /one of float32, float64, bfloat16, float16, got "int8"/,
  ],
  [
    'another device',
    give(({ foreign }) => foreign({ device: 'cuda:1' })),
    TypeError,
    'ERR_OPT_DEVICE',
    /lies on cuda:1, its variable on cuda:0/,
  ],
  [
    'no device',
    give(({ foreign }) => foreign({ device: 'cpu' })),
    TypeError,
    'ERR_OPT_DEVICE',
    /expects device to be "cuda"/,
  ],
  [
    'a stream of another kind',
    give(({ foreign }) => foreign({ stream: 1 })),
    TypeError,
    'ERR_OPT_CONFIG_TYPE',
    /expects stream to be a bigint, got 1/,
  ],
  ['no gradient at all', ({ optimizer }) => optimizer.apply([null, null]), Error, 'ERR_OPT_NO_GRADIENT', /./],
  [
    'a gradient on a GPU for a variable of the host',
    ({ v, host }) => new SGD().apply([v.gradient], [host]),
    TypeError,
    'ERR_OPT_DEVICE',
    /lies on cuda:0, its variable on cpu: .*read\(\)/,
  ],
  [
    'foreign memory for a variable of the host',
    ({ foreign, host }) => new SGD().apply([foreign({})], [host]),
    TypeError,
    'ERR_OPT_DEVICE',
    /lies on cuda:0, its variable on cpu/,
  ],
  [
    'weights of another length',
    ({ optimizer }) => optimizer.set_weights(optimizer.variables.map((x, i, all) => (i === 2 ? (all[3] ?? x) : x))),
    RangeError,
    'ERR_OPT_LENGTH',
    /weights\[2\] .* expects 4 elements, got 2/,
  ],
  [
    'a counter on a GPU',
    ({ v, optimizer }) => optimizer.set_weights(optimizer.variables.map((x, i) => (i === 0 ? v : x))),
    TypeError,
    'ERR_OPT_DEVICE',
    /weights\[0\].*got some on cuda:0/,
  ],
  [
    'a device that is none',
    () => new Variable([1], { device: 'gpu' as never }),
    RangeError,
    'ERR_OPT_CONFIG_RANGE',
    /Variable expects device to be "cpu", "cuda", "cuda:0" or "auto", got "gpu"/,
  ],
  [
    'a device of another kind',
    () => new Variable([1], { device: 0 as never }),
    TypeError,
    'ERR_OPT_CONFIG_TYPE',
    /got 0/,
  ],
  [
    'a GPU too many',
    () => new Variable([1], { device: 'cuda:99' }),
    RangeError,
    'ERR_CUDA_NO_DEVICE',
    /Variable expects device to be one of cpu, cuda:0.*, got "cuda:99"/,
  ],
  [
    'a number that is none',
    () => Variable.zeros([1], { device: 'cuda:01' }),
    RangeError,
    'ERR_OPT_CONFIG_RANGE',
    /Variable.zeros expects device/,
  ],
  [
    'a shape for zeros',
    () => Variable.zeros([-1], { device: 'cuda' }),
    RangeError,
    'ERR_OPT_LENGTH',
    /Variable.zeros expects whole numbers/,
  ],
  [
    'an option for zeros',
    () => Variable.zeros([1], { shape: [1] } as never),
    TypeError,
    'ERR_OPT_CONFIG_TYPE',
    /got "shape"/,
  ],
  [
    'a shape that does not fit',
    () => new Variable([1], { device: 'cuda', shape: [2] }),
    RangeError,
    'ERR_OPT_LENGTH',
    /a shape of 1 elements in all, got \[2\]/,
  ],
  [
    'two places of several optimizers',
    ({ v, host }) =>
      new MultiOptimizer({
        optimizer_map: new OptimizerMap({ default_optimizer: new SGD(), optimizer_map: { h: new SGD() } }),
      }).build([v, host]),
    TypeError,
    'ERR_OPT_DEVICE',
    /MultiOptimizer expects all variables on one device/,
  ],
];

describeOnGpu('refused, with nothing changed', () => {
  for (const [what, action, type, code, message] of rows)
    it(`is ${what}`, async () => {
      const made = scene();
      const { v, w, optimizer, host } = made;
      const all = () => Promise.all([v, w, host, ...optimizer.variables].map((variable) => variable.read()));
      const before = await all();
      const counters = [optimizer.iterations, optimizer.gradient_norm];
      for (const act of [action, async (given: Scene) => Promise.resolve(action(given))]) {
        const error = await rejection(() => act(made));
        assert.equal(error?.code, code, String(error));
        assert.strictEqual<unknown>(error?.constructor, type);
        assert.match(String(error?.message), message);
      }
      same(await all(), before);
      assert.deepEqual([optimizer.iterations, optimizer.gradient_norm], counters);
      v.constraint = null; // which it always may be
      optimizer.apply([
        [1, 1, 1, 1],
        [1, 1],
      ]);
      assert.equal(optimizer.iterations, 2);
      optimizer.dispose();
    });

  it('is a host pointer', () => {
    // what lies on the host of an emulated GPU is not registered there either
    const { optimizer, host } = scene();
    const { memory } = (Variable as unknown as { storageOf(v: unknown): { memory: { address: bigint } } }).storageOf(
      host,
    );
    const foreign = { ptr: memory.address, shape: [4], dtype: 'float32', device: 'cuda' } as const;
    let error: (Error & { code?: string }) | undefined;
    try {
      optimizer.apply([foreign, [1, 1]]);
    } catch (caught) {
      error = caught as Error;
    }
    assert.equal(error?.code, 'ERR_CUDA_POINTER');
    assert.equal(optimizer.iterations, 1);
  });

  it('reads every part of a description once', () => {
    const { optimizer, v } = scene();
    const described = Variable.zeros([4], { device: 'cuda' }).cuda;
    const reads: string[] = [];
    const watched = {};
    for (const [key, value] of Object.entries(described))
      Object.defineProperty(watched, key, { get: () => (reads.push(key), value), enumerable: true });
    optimizer.apply([watched as never], [v]);
    assert.sameMembers(reads, Object.keys(described));
  });
});
