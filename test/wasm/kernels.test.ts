// The kernels as WebAssembly, called as lib/wasm/ calls them, against those of the native addon without vector instructions beyond SSE2: every
// bit of every array, for every rule and everything that may surround it. NaN may have any payload.
// Over 200 lines: a step on each of the two.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import { addon, newPlan, useBackend, type Memory, type PassSpec, type RuleInfo } from '../../lib/native.ts';
import { compiled, instantiated, type Instance, type Pointer, type WasmModule } from '../../lib/wasm/kernels.ts';
import { random, type Random } from '../random.ts';

const path = fileURLToPath(new URL('../../dist/wasm/module.cjs', import.meta.url));
const block = 16384; // elements: kBlock of native/work.h
const dtypes = { float32: Float32Array, float64: Float64Array };
const dtypeNames = ['float32', 'float64'] as const;
type FloatArray = Float32Array | Float64Array;
type Stored = FloatArray | Uint16Array;

/** What surrounds a rule. */
interface Around {
  readonly unscale?: number;
  readonly clipnorm?: number;
  readonly global_clipnorm?: number;
  readonly limit?: number;
  readonly decay?: boolean;
  readonly average?: boolean;
  readonly gradients?: 'bfloat16' | 'float16';
  readonly slots?: 'nearest' | 'stochastic';
}

interface Case extends Around {
  readonly rule: number;
  readonly dtype: 0 | 1;
  readonly length: number;
  readonly shape: readonly [number, number, number];
}

/** Everything that a step reads, and writes: the same on both sides. */
interface Data {
  readonly p: FloatArray;
  readonly g: Stored;
  readonly slots: readonly Stored[];
  readonly average: FloatArray;
  readonly extra: readonly FloatArray[];
  readonly control: Float64Array;
  readonly averaging: Float64Array;
}

const infoOf = ({ rule }: Case): RuleInfo => addon.rules[rule] as RuleInfo;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);
/** A mantissa at or next to its ends, often: their products and quotients lie next to powers of two. */
function edged(exponent: number, next: Random): number {
  const near = Math.floor(4 * next());
  const mantissa = next() < 0.4 ? near : next() < 0.6 ? 0x7fffff - near : Math.floor(0x800000 * next());
  bits[0] = (next() < 0.5 ? 0x80000000 : 0) | (Math.max(0, Math.min(255, exponent)) << 23) | mantissa;
  return float[0] as number;
}
const tinyExponents = [0, 0, 0, 1, 1, 2, 24, 40, 62, 63, 64, 65, 66, 86, 103, 126, 127, 128, 150];
const makers: readonly ((next: Random) => number)[] = [
  (next) => 2 * next() - 1,
  (next) => edged(tinyExponents[Math.floor(next() * tinyExponents.length)] as number, next),
  (next) => edged(Math.floor(256 * next()), next),
  (next) => (next() < 0.9 ? 2 * next() - 1 : edged(256 * Math.round(next()), next)),
  (next) => edged(60 + Math.floor(70 * next()), next) * (1 + 2 ** -30 * next()),
];
/** Numbers to take parts of, by kind. */
const pools = makers.map((make, kind) => {
  const next = random(`pool ${kind}`);
  return Float64Array.from({ length: 30000 }, () => make(next));
});

function dataOf(of: Case, seed: string): Data {
  const next = random(seed);
  const { dtype, length, shape } = of;
  const [batch, rows, columns] = shape;
  const type = dtypes[dtypeNames[dtype]];
  const kind = Math.floor(next() * pools.length);
  const some = (count: number, into: new (numbers: ArrayLike<number>) => FloatArray = type): FloatArray => {
    const pool = pools[next() < 0.8 ? kind : Math.floor(next() * pools.length)] as Float64Array;
    const from = Math.floor(next() * pool.length);
    return new into(Float64Array.from({ length: count }, (_, i) => pool[(from + i) % pool.length] as number));
  };
  const halves = (count: number): Uint16Array => {
    const halves = new Uint16Array(some(Math.ceil(count / 2), Float32Array).buffer); // the lower ones are any numbers
    return halves.slice(0, count);
  };
  const { slots, scalars, whole } = infoOf(of);
  const control = new Float64Array(addon.controlSize);
  const fields: Record<string, number> = {
    active: 1,
    unscale: of.unscale ?? 1,
    clipnorm: of.clipnorm ?? 0,
    global_clipnorm: of.global_clipnorm ?? 0,
    limit: of.limit ?? Infinity,
    weight_decay: next() < 0.5 ? 0.01 : Math.abs(some(1)[0] as number),
    learning_rate: next() < 0.5 ? 0.1 : 2 ** -60,
    stochastic: of.slots === 'stochastic' ? 1 : 0,
    seed: 7,
    iteration: 3,
  };
  control.set(addon.controls.map((name) => fields[name] as number));
  const ordinary = next() < 0.7;
  const scalar = (): number => (ordinary ? 0.01 + 0.98 * next() : (some(1, Float64Array)[0] as number));
  control.set(
    scalars.map((name) => (name === 'ns_steps' ? 2 : name === 'power' ? 0.3 : scalar())),
    addon.controls.length,
  );
  return {
    p: some(length),
    g: of.gradients === undefined ? some(length) : halves(length),
    slots: slots.map(() => (of.slots === undefined ? some(length) : halves(length))),
    average: some(length),
    extra: whole === 'factored' ? [some(batch * rows), some(batch * columns), some(length)] : [],
    control,
    averaging: Float64Array.of(0.9, 1 - 0.9),
  };
}

const copied = (data: Data): Data => structuredClone(data);

/** The arrays of a step's data that it may write, in one order. */
const written = ({ p, slots, average, extra }: Data): readonly Stored[] => [p, ...slots, average, ...extra];

function native(of: Case, data: Data): number {
  const { directed, slots } = infoOf(of);
  const filled = (array: Stored): Memory => {
    const memory = new addon.Memory(Math.max(array.byteLength, 1));
    new Uint8Array(memory.buffer()).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    return memory;
  };
  const memories = data.slots.map(filled);
  const extra = data.extra.map(filled);
  const tensor = {
    variable: 0,
    length: of.length,
    decay: of.decay === true,
    needs: null,
    sources: [0, 1, ...memories],
    ...(of.slots !== undefined && { storages: ['plain', 'plain', ...slots.map(() => 'bfloat16' as const)] as const }),
    ...(directed && { direction: filled(data.p), shape: of.shape, extra }),
  };
  const passes: PassSpec[] = [
    { rule: of.rule, dtype: of.dtype, tensors: [tensor], ...(of.gradients && { half: of.gradients }) },
  ];
  const average = addon.rules.findIndex(({ name }) => name === 'average');
  const averaged = { variable: 0, length: of.length, decay: false, needs: null, sources: [2, 0] };
  if (of.average) passes.push({ rule: average, dtype: of.dtype, tensors: [averaged] });
  const control = new addon.Memory(8 * addon.controlSize * passes.length);
  const numbers = new Float64Array(control.buffer());
  numbers.set(data.control);
  if (of.average) {
    numbers.set([1, 1, 0, 0, Infinity], addon.controlSize);
    numbers.set(data.averaging, addon.controlSize + addon.controls.length);
  }
  const before = useBackend('baseline');
  const plan = newPlan(passes, 1, control);
  useBackend(before);
  const norm = plan.run([data.p, data.g, data.average]);
  plan.release();
  [...memories, ...extra].forEach((memory, i) => {
    const array = [...data.slots, ...data.extra][i] as Stored;
    const bytes = new Uint8Array(memory.buffer(), 0, array.byteLength);
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(bytes);
  });
  return norm;
}

/** A place for each array in an instance's memory. */
class Places {
  private next: Pointer;
  private readonly placed: [Stored | Uint32Array, Pointer][] = [];
  readonly view: DataView;
  private readonly instance: Instance;
  constructor(instance: Instance) {
    this.instance = instance;
    this.next = instance.heapBase;
    this.view = new DataView(instance.buffer);
  }
  room(bytes: number): Pointer {
    const place = this.next;
    this.next += Math.ceil((bytes + 64) / 64) * 64; // what is written behind an array is seen in none, but traps at the end
    return place;
  }
  put(array: Stored | Uint32Array): Pointer {
    const place = this.room(array.byteLength);
    this.bytesAt(place, array).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    this.placed.push([array, place]);
    return place;
  }
  /** Every array as it is there. */
  fetch(): void {
    for (const [array, place] of this.placed)
      new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(this.bytesAt(place, array));
  }
  private bytesAt(place: Pointer, array: Stored | Uint32Array): Uint8Array {
    return new Uint8Array(this.instance.buffer, place, array.byteLength);
  }
}

/** The same step by the exported kernels, in the order of native/host_plan.cpp. */
function onWasm(instance: Instance, of: Case, data: Data): number {
  const { kernels, layout } = instance;
  const { directed } = infoOf(of);
  const { rule, dtype, length } = of;
  const places = new Places(instance);
  const { view } = places;
  const [p, g, control, averaging] = [data.p, data.g, data.control, data.averaging].map((array) =>
    places.put(array),
  ) as [Pointer, Pointer, Pointer, Pointer];
  const states = data.slots.map((slot) => places.put(slot));
  const average = places.put(data.average);
  const extra = places.put(Uint32Array.from(data.extra.map((array) => places.put(array))));
  const out = places.room(16);
  const sums = [places.room(8 * 64), places.room(8 * 64)] as const;
  const blocks = Array.from({ length: Math.ceil(length / block) }, (_, i) => i * block);

  const tensorOf = (variable: Pointer, gradient: Pointer, halves: boolean): Pointer => {
    const tensor = places.room(layout.tensorBytes);
    new Uint8Array(instance.buffer, tensor, layout.tensorBytes).fill(0);
    const pointer = (field: number, value: number): void => view.setUint32(tensor + field, value, true);
    pointer(layout.p, variable);
    pointer(layout.g, gradient);
    pointer(layout.length, length);
    view.setFloat64(tensor + layout.multiplier, 1, true);
    view.setFloat64(tensor + layout.divisor, 1, true);
    if (!halves) return tensor;
    states.forEach((state, i) => {
      pointer(layout.slots + 4 * i, state);
      view.setUint8(tensor + layout.storage + 2 + i, of.slots === undefined ? 0 : 1);
    });
    const storages = { plain: 0, bfloat16: 1, float16: 2 };
    view.setUint8(tensor + layout.storage + 1, storages[of.gradients ?? 'plain']);
    return tensor;
  };
  const factors = (tensor: Pointer): void => {
    for (const [i, field] of [layout.multiplier, layout.divisor].entries())
      view.setFloat64(tensor + field, view.getFloat64(out + 8 * i, true), true);
  };
  const sumsInto = (into: Pointer, sumOf: (begin: number, some: number) => number): number => {
    blocks.forEach((begin, i) => view.setFloat64(into + 8 * i, sumOf(begin, Math.min(block, length - begin)), true));
    return kernels.foldPairwise(into, blocks.length);
  };

  const direction = directed ? places.put(data.p.slice()) : 0;
  const tensor = tensorOf(directed ? direction : p, g, true);
  if (of.decay && !directed) view.setUint8(tensor + layout.decay, 1);
  if (of.average && !directed) {
    view.setUint32(tensor + layout.average, average, true);
    view.setUint32(tensor + layout.averaging, averaging, true);
  }
  let norm = -1;
  if (of.clipnorm !== undefined || of.global_clipnorm !== undefined) {
    const sum = sumsInto(sums[0], (begin, some) => kernels.sumOfSquares(dtype, tensor, begin, some, of.unscale ?? 1));
    norm = Math.sqrt(sum);
    if (of.clipnorm !== undefined) kernels.clipFactor(dtype, sum, of.clipnorm, out);
    else kernels.globalClipFactor(dtype, sum, of.global_clipnorm as number, out);
    factors(tensor);
  }
  kernels.update(rule, dtype, tensor, 0, length, control);
  if (directed) {
    const descent = places.put(new Float64Array(addon.controlSize));
    const set = (name: string, value: number): void =>
      view.setFloat64(descent + 8 * addon.controls.indexOf(name), value, true);
    for (const name of ['active', 'weight_decay', 'learning_rate'])
      set(name, data.control[addon.controls.indexOf(name)] as number);
    set('unscale', 1);
    set('limit', Infinity);
    const descending = tensorOf(p, direction, false);
    view.setUint8(descending + layout.decay, of.decay ? 1 : 0);
    const squares = sumsInto(sums[0], (begin, some) => kernels.sumOfDecayed(dtype, descending, begin, some, descent));
    const ofDirection = sumsInto(sums[1], (begin, some) => kernels.sumOfSquares(dtype, descending, begin, some, 1));
    const shape = places.put(Uint32Array.from(of.shape));
    const workspace = places.room(kernels.workspaceBytes(rule, dtype, ...of.shape));
    kernels.steer(rule, dtype, descending, control, shape, squares, ofDirection, extra, workspace);
    if (of.average) {
      view.setUint32(descending + layout.average, average, true);
      view.setUint32(descending + layout.averaging, averaging, true);
    }
    const descend = addon.rules.findIndex(({ name }) => name === 'descend');
    kernels.update(descend, dtype, descending, 0, length, descent);
  }
  places.fetch();
  return norm;
}

/** Words of an array, NaN as one. */
function words(array: Stored): ArrayLike<number> {
  if (array instanceof Uint16Array) return array;
  const wide = array instanceof Float64Array ? 2 : 1;
  const all = new Uint32Array(array.slice().buffer);
  array.forEach((x, i) => {
    if (x !== x) all.fill(0xffffffff, i * wide, i * wide + wide);
  });
  return all;
}

/** Where two arrays differ, in elements; -1 if they do not. A bfloat16 that is not a number is as good as any other. */
function difference(a: Stored, b: Stored): number {
  const [left, right] = [words(a), words(b)];
  const isNaN16 = (x: number): boolean => (x & 0x7fff) > 0x7f80;
  for (let i = 0; i < left.length; ++i) {
    const [x, y] = [left[i] as number, right[i] as number];
    if (x !== y && !(a instanceof Uint16Array && isNaN16(x) && isNaN16(y)))
      return Math.floor((i * a.length) / left.length);
  }
  return -1;
}

const preparations: readonly Around[] = [
  {},
  { unscale: 1024 },
  { unscale: 3 },
  { limit: 0.25 },
  { clipnorm: 0.5 },
  { unscale: 0.1, global_clipnorm: 2 ** -70, limit: 2 ** -126 },
  { gradients: 'bfloat16', clipnorm: 1e-30 },
  { gradients: 'float16', unscale: 2 ** 20 },
];
const lengths = [0, 1, 3, 4, 5, 15, 16, 17, 130, 1023, 1024, 1025, 2061];
const shapes: Readonly<Record<string, readonly (readonly [number, number, number])[]>> = {
  factored: [
    [1, 7, 5],
    [3, 65, 9],
    [2, 64, 160],
  ],
  orthogonal: [
    [1, 1, 1],
    [1, 40, 13],
    [1, 13, 300],
    [1, 60, 60],
  ],
  trust_ratio: [[1, 1, 2 * block + 77]],
  relative: [[1, 1, block + 5]],
};

describe('WebAssembly kernels', () => {
  let instance: Instance;
  before(function () {
    const why = !existsSync(path)
      ? 'dist/wasm/module.cjs is not built (npm run build:wasm)'
      : addon.backends.some(({ name }) => name === 'baseline')
        ? null
        : 'the addon is not the native one';
    if (why !== null) {
      console.log(`      not run: ${why}`);
      this.skip();
    }
    instance = instantiated(compiled(createRequire(import.meta.url)(path) as WasmModule), 4e6);
  });

  /** One step on both. */
  const compare = (of: Case, seed: string, change: (data: Data) => void = () => {}): void => {
    const data = dataOf(of, seed);
    change(data);
    const [ours, theirs] = [copied(data), copied(data)];
    const norms = [onWasm(instance, of, ours), native(of, theirs)];
    const what = (): string => `${infoOf(of).name} ${JSON.stringify(of)}, ${seed}`;
    assert.isTrue(Object.is(norms[0], norms[1]), `${what()}: norms ${String(norms)}`);
    written(ours).forEach((array, i) => {
      const other = written(theirs)[i] as Stored;
      const at = difference(array, other);
      if (at >= 0) assert.fail(`${what()}: array ${i}[${at}] is ${array[at]}, natively ${other[at]}`);
    });
  };

  addon.rules.forEach((info, rule) => {
    for (const dtype of [0, 1] as const)
      it(`${info.name} as ${dtypeNames[dtype]}: the bits of the native addon`, () => {
        let count = 0;
        const next = (): string => `${info.name} ${dtype} ${count++}`;
        const own = shapes[info.whole] ?? [];
        for (const preparation of preparations)
          for (const decay of [false, true])
            for (const average of [false, true])
              for (const slots of [undefined, 'nearest', 'stochastic'] as const) {
                if (dtype === 1 && (preparation.gradients !== undefined || slots !== undefined)) continue;
                if (slots !== undefined && info.slots.length === 0) continue;
                const around = { ...preparation, decay, average, slots, rule, dtype };
                const length = lengths[count % lengths.length] as number;
                const shape = own[count % Math.max(own.length, 1)] ?? ([1, 1, length] as const);
                const size = shape.reduce((a, b) => a * b);
                compare({ ...around, length: size, shape }, next());
              }
        for (const length of own.length > 0 ? [] : lengths)
          for (let trial = 0; trial < pools.length; ++trial)
            compare({ rule, dtype, length, shape: [1, 1, length] }, next());
      });
  });

  const ruleOf = (name: string): number => addon.rules.findIndex((info) => info.name === name);
  const scalar = addon.controls.length;
  const line = (name: string, length = 1025): Case => ({ rule: ruleOf(name), dtype: 0, length, shape: [1, 1, length] });
  it('flush what only rounding as a denormal lifts to 2^-126', () => {
    for (const length of [1, 4, 1025])
      compare(line('sgd', length), 'lifted', ({ p, g, control }) => {
        p.fill(0);
        g.fill((1 - 2 ** -24) * 2 ** -81);
        control[scalar] = 2 ** -45; // learning rate
      });
  });
  it('flush gradients that only their loss scale would make normal', () => {
    compare({ ...line('sgd'), unscale: 2 ** -40 }, 'scaled', ({ p, g, control }) => {
      p.fill(0);
      g.fill(1e-40);
      control[scalar] = 1;
    });
  });
  it('flush one denormal among ordinary numbers, and undo what has been tried without', () => {
    for (const name of ['sgd_momentum', 'adam', 'nadam', 'lamb'])
      compare(line(name), 'one denormal', ({ p, g, slots, control }) => {
        for (const array of [p, g, ...slots]) array.fill(0.5);
        control.fill(0.5, scalar);
        g[700] = 1e-19; // its square is a denormal
        (slots[0] as Stored)[3] = 2 ** -126; // suspicious, and no more
      });
  });
  it('flush what a product of matrices sums up', () => {
    const shape = [1, 40, 70] as const;
    compare({ rule: ruleOf('muon'), dtype: 0, length: 2800, shape }, 'rows', ({ p, g, slots, control }) => {
      for (const array of [p, g, ...slots]) array.fill(0);
      g.fill(2 ** -64, 0, 64).fill(2 ** -64, 70, 134); // two rows, whose product is 64 denormals
      g[139] = 1; // carries it into the result
      control.set([-0.05, 0.95, 1, 0, 0, 0, 1, 0, 1], scalar); // x <- x x' x
    });
  });
});
