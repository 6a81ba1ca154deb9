// States and gradients in 16 bits: every bit of bfloat16 and float16 against plain JavaScript, the same everywhere.
import { assert } from 'chai';

import { Adam, deserialize, Nadam, SGD, setNumThreads, getNumThreads, Variable, type Optimizer } from '../lib/index.ts';
import { useBackend } from '../lib/native.ts';
import { thrown } from './errors.ts';
import { backends, random, reference, wildNumber, words } from './random.ts';

const view = new DataView(new ArrayBuffer(4));
const bitsOf = (x: number): number => (view.setFloat32(0, x), view.getUint32(0));
const floatOf = (bits: number): number => (view.setUint32(0, bits), view.getFloat32(0));

const fromBfloat16 = (half: number): number => floatOf((half << 16) >>> 0);
function fromFloat16(half: number): number {
  const [sign, exponent, mantissa] = [half >> 15 ? -1 : 1, (half >> 10) & 31, half & 1023];
  if (exponent === 31) return mantissa === 0 ? sign * Infinity : NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15));
}
/** What is added before the lower half is cut off; NaN is kept apart. */
function toBfloat16(x: number, increment: (bits: number) => number): number {
  const bits = bitsOf(x);
  return Number.isNaN(x) ? fromBfloat16((bits >>> 16) | 0x40) : floatOf(((bits + increment(bits)) & 0xffff0000) >>> 0);
}
const nearest = (x: number): number => toBfloat16(x, (bits) => 0x7fff + ((bits >>> 16) & 1));

// The generator of native/storage.h, once more with big integers.
const [word, long] = [0xffffffffn, 0xffffffffffffffffn];
function mixed(x: bigint): bigint {
  x = ((x ^ (x >> 30n)) * 0xbf58476d1ce4e5b9n) & long;
  x = ((x ^ (x >> 27n)) * 0x94d049bb133111ebn) & long;
  return x ^ (x >> 31n);
}
function noise(seed: number, iteration: number, variable: number, slot: number, element: number): number {
  let key = mixed((BigInt(seed) + 0x9e3779b97f4a7c15n) & long);
  key = mixed(key ^ BigInt(iteration));
  key = mixed(key ^ BigInt(variable * 256 + slot));
  key = mixed(key) & word;
  const x = ((BigInt(element) ^ key) * 0x9e3779b1n) & word;
  return Number((((x ^ (x >> 15n) ^ key) * 0x85ebca77n) & word) >> 16n);
}

const all = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
const flushed = (x: number): number => (Math.abs(x) < 2 ** -126 ? 0 : x);

/** Calls `test` with every backend in turn. */
function onEvery(test: (backend: string) => void): void {
  for (const backend of backends) {
    const before = useBackend(backend);
    try {
      test(backend);
    } finally {
      useBackend(before);
    }
  }
}

/** The momenta after a first step of SGD that makes them the gradients, rounded as the options say. */
function rounded(gradient: Float32Array, options: object): Float32Array[] {
  const optimizer = new SGD({ learning_rate: -1, momentum: 0.5, state_dtype: 'bfloat16', ...options });
  const variables = [0, 1].map(() => new Variable(new Float32Array(gradient.length)));
  optimizer.apply([gradient, gradient], variables);
  return optimizer.variables.slice(-2).map(({ value }) => value as Float32Array);
}

describe('16-bit gradients', () => {
  for (const [gradient_dtype, decode] of [
    ['bfloat16', fromBfloat16],
    ['float16', fromFloat16],
  ] as const)
    it(`of ${gradient_dtype} have the value of each of the 65,536 patterns, on every backend`, () => {
      onEvery((backend) => {
        const p = new Variable(new Float32Array(2 ** 16));
        new SGD({ learning_rate: -1, gradient_dtype }).apply([all], [p]);
        const expected = Float32Array.from(all, (half) => flushed(decode(half)) + 0);
        assert.deepEqual(words(p.value as Float32Array), words(expected), backend);
      });
    });

  const cases = [
    {},
    { clipnorm: 0.5 },
    { global_clipnorm: 0.5 },
    { gradient_accumulation_steps: 2 },
    { loss_scale_factor: 3 },
  ];
  for (const flags of [...cases, { use_ema: true, clipvalue: 0.1 }])
    it(`make the step that their float32 values make, with ${JSON.stringify(flags)}`, async () => {
      const next = random('halves');
      const lengths = [1, 100, 2500, 40_000];
      const make = (options: object) => {
        const optimizer = new Nadam({ learning_rate: 0.1, ...flags, ...options });
        return { optimizer, variables: lengths.map((length) => new Variable(new Float32Array(length))) };
      };
      const [wide, half, late] = [make({}), make({ gradient_dtype: 'bfloat16' }), make({ gradient_dtype: 'bfloat16' })];
      for (let t = 0; t < 4; t++) {
        const halves = lengths.map((length) => Uint16Array.from({ length }, () => 0x3c00 + Math.floor(next() * 0x400)));
        wide.optimizer.apply(
          halves.map((list) => Float32Array.from(list, fromBfloat16)),
          wide.variables,
        );
        half.optimizer.apply(halves, half.variables);
        await late.optimizer.apply_async(halves, late.variables);
      }
      for (const { optimizer, variables } of [half, late])
        [...wide.variables, ...wide.optimizer.variables].forEach((v, i) => {
          const other = [...variables, ...optimizer.variables][i] as Variable;
          assert.deepEqual(other.value, v.value, v.path);
        });
    });

  it('are refused where nothing says how to read them, or the variable is no float32', () => {
    const v = new Variable(new Float32Array(2));
    const refused = (action: () => unknown) => thrown(action)?.code;
    const bits = new Uint16Array(2);
    assert.equal(
      refused(() => new SGD().apply([bits as never], [v])),
      'ERR_OPT_ARRAY_TYPE',
    );
    const wide = new Variable(new Float64Array(2));
    const optimizer = new SGD({ gradient_dtype: 'bfloat16' });
    assert.equal(
      refused(() => optimizer.apply([bits], [wide])),
      'ERR_OPT_ARRAY_TYPE',
    );
    assert.equal(
      refused(() => new SGD({ gradient_dtype: 'float16' }).apply([new Uint16Array(3)], [v])),
      'ERR_OPT_LENGTH',
    );
    assert.equal(
      refused(() => new SGD({ gradient_dtype: 'float32' as never })),
      'ERR_OPT_CONFIG_RANGE',
    );
    const trained = new Float32Array(2);
    const inside = new Uint16Array(trained.buffer, 0, 2);
    assert.equal(
      refused(() => new SGD({ gradient_dtype: 'float16' }).apply([inside], [trained])),
      'ERR_OPT_ALIAS',
    );
  });

  it('may be a Float16Array, where JavaScript has it', function () {
    const { Float16Array } = globalThis as { Float16Array?: { of(...x: number[]): Uint16Array } };
    if (Float16Array === undefined) {
      console.log('      not run: this Node.js has no Float16Array');
      this.skip();
    }
    const v = new Variable(new Float32Array(3));
    new SGD({ learning_rate: -1 }).apply([Float16Array.of(0.5, -2, 2 ** -24)], [v]);
    assert.deepEqual([...v.value], [0.5, -2, 2 ** -24]);
    const other = new SGD({ gradient_dtype: 'bfloat16' });
    assert.equal(thrown(() => other.apply([Float16Array.of(1, 2, 3)], [v]))?.code, 'ERR_OPT_ARRAY_TYPE');
  });
});

describe('bfloat16 states', () => {
  const next = random('states');
  const wild = Float32Array.from({ length: 5000 }, () => wildNumber(next));

  it('round to nearest, to even', () => {
    const expected = words(wild.map((x) => nearest(flushed(x) + 0)));
    onEvery((backend) => {
      for (const state of rounded(wild, { state_rounding: 'nearest' }))
        assert.deepEqual(words(state), expected, backend);
    });
  });

  it('round at random by seed, iteration, variable and element', () => {
    onEvery((backend) => {
      rounded(wild, { seed: 7 }).forEach((state, variable) => {
        const random16 = (element: number) => noise(7, 1, variable, 0, element);
        const expected = wild.map((x, i) => toBfloat16(flushed(x) + 0, () => random16(i)));
        assert.deepEqual(words(state), words(expected), backend);
      });
    });
  });

  it('are right on average', () => {
    const count = 200_000;
    for (const x of [1 + 1 / 512, 1 + 3 / 1024, -0.3]) {
      const step = Math.abs(fromBfloat16(bitsOf(x) >>> 16)) * 2 ** -7; // at most
      const [state] = rounded(new Float32Array(count).fill(x), {}) as [Float32Array];
      const mean = state.reduce((sum, value) => sum + value, 0) / count;
      assert.closeTo(mean, Math.fround(x), (5 * step) / 2 / Math.sqrt(count)); // five standard deviations, at most
    }
  });

  it('differ with each part of the key, and only with that', () => {
    const x = new Float32Array(1000).fill(1 + 1 / 256); // in the middle between two
    const [a, b] = rounded(x, { seed: 1 });
    const [c] = rounded(x, { seed: 1 });
    const [d] = rounded(x, { seed: 2 });
    assert.deepEqual(a, c);
    for (const other of [b, d]) assert.notDeepEqual(other, a);
    const same = a?.filter((value, i) => value === d?.[i]).length ?? 0;
    assert.isTrue(same > 400 && same < 600, `${same} of 1000`);
  });

  for (const state_rounding of ['nearest', 'stochastic'])
    it(`have the same bits on all backends, threads, sync and async, ${state_rounding}`, async () => {
      const lengths = [3, 1024, 1025, 100_000];
      const train = async (backend: string, threads: number, late: boolean): Promise<string[][]> => {
        const numbers = random('train');
        const [before, threadsBefore] = [useBackend(backend), getNumThreads()];
        setNumThreads(threads);
        const optimizer = new Nadam({ state_dtype: 'bfloat16', state_rounding: state_rounding as 'nearest', seed: 3 });
        const make = (length: number) => Float32Array.from({ length }, () => numbers() - 0.5);
        const variables = lengths.map((length) => new Variable(make(length)));
        for (let t = 0; t < 3; t++)
          if (late) await optimizer.apply_async(lengths.map(make), variables);
          else optimizer.apply(lengths.map(make), variables);
        useBackend(before);
        setNumThreads(threadsBefore);
        return [...variables, ...optimizer.variables].map(({ value }) => words(value));
      };
      const expected = await train(reference, 1, false);
      for (const backend of backends)
        for (const [threads, late] of [
          [1, false],
          [2, false],
          [3, true],
        ] as const)
          assert.deepEqual(await train(backend, threads, late), expected, `${backend} ${threads} ${late}`);
    });

  it('go on after a resume as if there had been none', () => {
    const make = () => new Adam({ state_dtype: 'bfloat16', use_ema: true });
    const gradient = (t: number) => Float32Array.from({ length: 3000 }, (_, i) => Math.sin(i * t));
    const [whole, first, second] = [make(), make(), make()];
    const [a, b] = [new Variable(new Float32Array(3000)), new Variable(new Float32Array(3000))];
    for (let t = 1; t <= 6; t++) whole.apply([gradient(t)], [a]);
    for (let t = 1; t <= 3; t++) first.apply([gradient(t)], [b]);
    second.build([b]);
    second.set_weights(first.variables.map(({ value }) => value as Float32Array));
    for (let t = 4; t <= 6; t++) second.apply([gradient(t)], [b]);
    assert.deepEqual(b.value, a.value);
    assert.deepEqual(
      second.variables.map(({ value }) => value),
      whole.variables.map(({ value }) => value),
    );
  });

  it('take half the bytes, say their dtype, and are copies when looked at', () => {
    const optimizer = new Adam({ state_dtype: 'bfloat16', use_ema: true });
    const v = new Variable(new Float32Array(10).fill(1), { name: 'w' });
    optimizer.apply([new Float32Array(10).fill(0.1)], [v]);
    const dtypes = optimizer.variables.map(({ name, dtype }) => `${name} ${dtype}`);
    assert.deepEqual(dtypes.slice(2), ['w_average float32', 'w_momentum bfloat16', 'w_velocity bfloat16']);
    const [, , , momentum] = optimizer.variables as [Variable, Variable, Variable, Variable];
    momentum.value.fill(5);
    assert.notEqual(momentum.value[0], 5);
    momentum.assign(new Float32Array(10).fill(1 + 2 ** -8 + 2 ** -20));
    assert.deepEqual(momentum.value, new Float32Array(10).fill(1 + 2 ** -7));
  });

  it('are options that a config carries, and only if they are chosen', () => {
    const options = { state_dtype: 'bfloat16', state_rounding: 'nearest', seed: 5, gradient_dtype: 'float16' } as const;
    const config = new Nadam(options).get_config();
    assert.deepInclude(config, options);
    assert.deepInclude((deserialize({ class_name: 'Nadam', config }) as Optimizer).get_config(), options);
    assert.doesNotHaveAnyKeys(new Nadam().get_config(), Object.keys(options));
  });

  it('are no variables to train, and have no gradient', () => {
    const optimizer = new Adam({ state_dtype: 'bfloat16' });
    optimizer.build([new Variable(new Float32Array(2))]);
    const momentum = optimizer.variables.find(({ dtype }) => dtype === 'bfloat16') as Variable;
    assert.equal(thrown(() => new SGD().build([momentum]))?.code, 'ERR_OPT_ARRAY_TYPE');
    assert.equal(thrown(() => momentum.gradient)?.code, 'ERR_OPT_READ_ONLY');
  });

  it('are refused for float64 variables', () => {
    const optimizer = new Adam({ state_dtype: 'bfloat16' });
    const error = thrown(() => optimizer.build([new Variable(new Float64Array(1), { name: 'wide' })]));
    assert.propertyVal(error, 'code', 'ERR_OPT_ARRAY_TYPE');
    assert.match(error?.message ?? '', /Adam expects float32 variables with state_dtype bfloat16, "wide" is float64/);
  });
});
