// The WebAssembly addon beside the native one: the same plans have the same words, refuse the same calls in the same words, and
// leave the event loop free. Over 200 lines: one scene, in which every kind of plan is made.
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { assert } from 'chai';

import type { Dtype, Memory, PassSpec, Plan, StorageName, TensorSpec, Addon } from '../../lib/native.ts';
import { addon } from '../../lib/native.ts';
import { wasmAddon } from '../../lib/wasm/addon.ts';
import type { WasmModule } from '../../lib/wasm/kernels.ts';
import { thrown } from '../errors.ts';
import { random, wildNumber } from '../random.ts';
import { settle } from '../settle.ts';

const built = fileURLToPath(new URL('../../dist/wasm/module.cjs', import.meta.url));
const isNative = addon.backends.some(({ name }) => name === 'baseline');
const reason = !existsSync(built)
  ? 'the kernels are not built (npm run build:wasm)'
  : isNative
    ? undefined
    : 'there is no native addon to compare with';
const module = reason === undefined ? (createRequire(import.meta.url)(built) as WasmModule) : undefined;

type Numbers = Float32Array | Float64Array | Uint16Array;
type Form = StorageName | 'late' | 'late bfloat16' | 'late float16';

/** A tensor of a scene: how its arrays are kept, the gradient's rows, and what a directed rule needs. */
interface Part {
  readonly length: number;
  readonly variable?: Form;
  readonly gradient?: Form;
  readonly slots?: StorageName;
  readonly rows?: readonly number[];
  readonly columns?: number;
  readonly shape?: readonly number[];
  /** It is not brought, and skips its tensor. */
  readonly absent?: boolean;
}

interface Act {
  readonly rule: string;
  readonly dtype?: Dtype;
  readonly parts: readonly Part[];
  readonly half?: 'bfloat16' | 'float16';
  readonly control?: Readonly<Record<string, number>>;
  readonly decay?: boolean;
  readonly kind?: 'wild' | 'plain';
}

// made once: random numbers are slow
const next = random('wasm');
const pool = { wild: numbersOf(() => wildNumber(next)), plain: numbersOf(() => 2 * next() - 1) };
function numbersOf(number: () => number): Float64Array {
  return new Float64Array(50_021).map(number);
}
const classes = { float32: Float32Array, float64: Float64Array };

/** The first element that differs, every NaN being one number; -1 for none. */
function difference(a: Numbers, b: Numbers): number {
  const number = (x: number | undefined) => (a instanceof Uint16Array && ((x ?? 0) & 0x7fff) > 0x7f80 ? NaN : x);
  return a.findIndex((x, i) => !Object.is(number(x), number(b[i])));
}

/** The same plan on whatever addon, over the same numbers. */
class Scene {
  readonly plan: Plan;
  readonly arrays: (Numbers | Uint32Array | null)[] = [];
  readonly shown: Numbers[] = [];
  readonly memories: Memory[] = [];
  readonly #on: Addon;
  #seed = 1;

  constructor(on: Addon, acts: readonly Act[]) {
    this.#on = on;
    const control = this.#memory(acts.length * on.controlSize * 8);
    const variables = Math.max(...acts.map(({ parts }) => parts.length));
    const specs = acts.map((act) => this.#spec(act));
    const numbers = new Float64Array(control.buffer());
    acts.forEach(({ rule, control = {} }, i) => {
      const fields = { active: 1, unscale: 1, limit: Infinity, ...control } as Readonly<Record<string, number>>;
      numbers.set(
        on.controls.map((name) => fields[name] ?? 0),
        i * on.controlSize,
      );
      const names = on.rules.find(({ name }) => name === rule)?.scalars ?? [];
      const scalars = names.map((name, j) => (name === 'ns_steps' ? 2 : (fields[name] ?? 0.05 + 0.9 / (j + 2))));
      numbers.set(scalars.map(Math.fround), i * on.controlSize + on.controls.length);
    });
    this.plan = on.newPlan(
      on.backends.findIndex(({ unusable }) => unusable === null),
      specs,
      variables,
      control,
    );
  }

  #memory(bytes: number): Memory {
    const memory = new this.#on.Memory(bytes);
    this.memories.push(memory);
    return memory;
  }

  #array(act: Act, length: number, form: Form): { readonly source: Memory | number; readonly array: Numbers } {
    const { dtype = 'float32', kind = 'plain' } = act;
    const isLate = form.startsWith('late');
    const storage = isLate ? form.slice(5) : form;
    const kept = storage === 'plain' || storage === '' ? classes[dtype] : Uint16Array;
    const memory = isLate ? undefined : this.#memory(length * kept.BYTES_PER_ELEMENT);
    const array = memory === undefined ? new kept(length) : new kept(memory.buffer());
    const numbers = pool[kind];
    const begin = (this.#seed += 7919) % 50_021;
    for (let i = 0; i < length; i++) {
      const x = numbers[(begin + i) % numbers.length] as number;
      array[i] = kept === Uint16Array ? Math.floor(Math.abs(x) * 40_000) : x;
    }
    this.shown.push(array);
    return { source: memory ?? this.arrays.push(array) - 1, array };
  }

  #spec(act: Act): PassSpec {
    const { rule, dtype = 'float32', half, decay = false } = act;
    const id = this.#on.rules.findIndex(({ name }) => name === rule);
    const info = this.#on.rules[id];
    const size = classes[dtype].BYTES_PER_ELEMENT;
    const tensors = act.parts.map((part, variable): TensorSpec => {
      const { length, rows, columns = 0, shape = [1, 1, length], absent = false, slots = 'plain' } = part;
      const elements = rows === undefined ? length : rows.length * columns;
      const forms: [number, Form][] = [
        [length, part.variable ?? 'plain'],
        [elements, rows === undefined && !absent ? (part.gradient ?? 'late') : 'late'],
        ...(info?.slots ?? []).map((): [number, Form] => [length, slots]),
      ];
      const made = forms.map(([n, form]) => this.#array(act, n, form));
      const needs = absent ? (made[1]?.source as number) : null;
      if (needs !== null) this.arrays[needs] = null;
      const storages = forms.map(([, form]) => (form.startsWith('late') ? 'plain' : form) as StorageName);
      const extra = rule === 'adafactor_factored' ? extraOf(shape) : [];
      return {
        ...{ variable, length, decay, needs, given: true, storages },
        sources: made.map(({ source }) => source),
        ...(rows && { rows: this.arrays.push(Uint32Array.from(rows)) - 1, columns }),
        ...(info?.directed && { direction: this.#memory(length * size), shape }),
        ...(info?.directed && { extra: extra.map((n) => this.#array(act, n, 'plain').source as Memory) }),
      };
    });
    return { rule: id, dtype: dtype === 'float32' ? 0 : 1, ...(half && { half }), tensors };
  }

  release(): void {
    this.plan.release();
    for (const memory of this.memories) memory.release();
  }
}

const extraOf = ([batch = 0, rows = 0, columns = 0]: readonly number[]) => [
  batch * rows,
  batch * columns,
  batch * rows * columns,
];

const lengths = [0, 1, 1023, 1024, 1025, 16_383, 16_384, 16_385, 40_000].map((length) => ({ length }));
const few = [0, 3, 16_385].map((length) => ({ length }));
const gentle = { weight_decay: 0.125, learning_rate: 0.0625 };
const controls: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  nothing: {},
  'a loss scale and limits': { unscale: 3, limit: 0.75, ...gentle },
  clipnorm: { clipnorm: 0.5, unscale: 3 },
  global_clipnorm: { global_clipnorm: 0.5, ...gentle },
};
type Controls = readonly Readonly<Record<string, number>>[];
const rowControls: Controls = [{ global_clipnorm: 0.3, unscale: 5 }, { unscale: 0, clipnorm: 1 }, { unscale: NaN }, {}];
const wholeControls: Controls = [
  { clipnorm: 1, ...gentle },
  { unscale: 2, limit: 0.5 },
];
const row = (n: number) => Array.from({ length: n }, (_, i) => i);
const sparse: readonly Part[] = [
  { length: 0, columns: 5, rows: [] },
  { length: 4000, columns: 4, rows: [0, 1, 2, 7, 998, 999] },
  { length: 3000, columns: 1, rows: row(1500).map((i) => 2 * i) },
  { length: 60_000, columns: 12_000, rows: [1, 2, 4] },
  { length: 36_000, columns: 90, rows: row(399).filter((i) => i % 5 !== 0) },
  { length: 4000, columns: 40, rows: [] },
];
const matrices: readonly Part[] = [
  { length: 600, shape: [1, 20, 30] },
  { length: 3 * 129 * 70, shape: [3, 129, 70] },
  { length: 40_000, shape: [1, 100, 400] },
];

const plans: Record<string, readonly Act[]> = {};
for (const dtype of ['float32', 'float64'] as const) {
  for (const [name, control] of Object.entries(controls))
    plans[`norms, ${dtype}, ${name}`] = [{ rule: 'nadam', dtype, parts: lengths, control, decay: true }];
  for (const kind of ['wild', 'plain'] as const)
    plans[`wild numbers, ${dtype}, ${kind}`] = [
      { rule: 'ftrl', dtype, kind, parts: lengths, control: { clipnorm: 2 } },
    ];
  for (const rule of ['sgd', 'adam', 'adagrad'])
    for (const control of rowControls)
      plans[`rows of ${rule}, ${dtype}, ${JSON.stringify(control)}`] = [{ rule, dtype, parts: sparse, control }];
  for (const control of wholeControls)
    for (const rule of ['lamb', 'adafactor', 'adafactor_factored'])
      plans[`${rule}, ${dtype}, ${JSON.stringify(control)}`] = [
        { rule, dtype, parts: [{ length: 0, shape: [0, 3, 3] }, ...matrices], control, decay: true },
      ];
  for (const rule of ['muon', 'muon_nesterov'])
    plans[`${rule}, ${dtype}`] = [
      { rule, dtype, parts: matrices.filter(({ shape }) => shape?.[0] === 1), decay: true },
    ];
}
for (const stochastic of [0, 1])
  for (const rule of ['adam', 'sgd_momentum', 'lamb']) {
    const control = { stochastic, seed: 77, iteration: 3 };
    const parts = [...few, ...matrices].map((part) => ({ ...part, slots: 'bfloat16' as const }));
    plans[`slots in bfloat16, ${rule}, ${stochastic}`] = [{ rule, parts, control }];
    if (rule !== 'adam') continue;
    const slots = { slots: 'bfloat16' } as const;
    plans[`slots in bfloat16, rows, ${stochastic}`] = [
      { rule, parts: sparse.map((part) => ({ ...part, ...slots })), control: { ...control, clipnorm: 1 } },
    ];
  }
for (const half of ['bfloat16', 'float16'] as const)
  for (const gradient of [`late ${half}`, half] as const)
    plans[`gradients: ${gradient}`] = [
      {
        rule: 'adam',
        half,
        parts: lengths.map((part) => ({ ...part, gradient })),
        control: { unscale: 8, clipnorm: 1 },
      },
    ];
const missing = [{ length: 100 }, { length: 200, absent: true }, { length: 20_000, variable: 'late' as const }];
plans['several passes, gradients that are missing'] = [
  { rule: 'accumulate', parts: missing },
  { rule: 'rmsprop', parts: missing, control: { unscale: 2 } },
  { rule: 'adamax', parts: missing, control: { global_clipnorm: 0.2 } },
  { rule: 'zero', parts: missing },
  { rule: 'average', parts: missing, control: { active: 0 } },
  { rule: 'average', parts: missing },
  { rule: 'copy', parts: missing },
];

describe('the WebAssembly addon beside the native one', function () {
  let wasm = addon;
  before(function () {
    if (module === undefined) {
      console.log(`      not run: ${reason}`);
      this.skip();
    }
    wasm = wasmAddon(module);
  });

  it('says the same of rules, traces and controls', () => {
    assert.deepEqual(wasm.rules, addon.rules);
    assert.deepEqual(wasm.controls, addon.controls);
    assert.equal(wasm.controlSize, addon.controlSize);
    addon.rules.forEach((_, i) => assert.deepEqual(wasm.trace(i), addon.trace(i)));
    assert.deepEqual(wasm.traceOfDecay(), addon.traceOfDecay());
  });

  for (const dtype of ['float32', 'float64'] as const)
    for (const kind of ['wild', 'plain'] as const)
      it(`has the same words after two steps of every rule, ${dtype}, ${kind} numbers`, () => {
        for (const { name: rule } of addon.rules)
          same([{ rule, dtype, kind, parts: few, control: { limit: 0.9, ...gentle }, decay: true }], rule);
      });
  for (const [name, acts] of Object.entries(plans)) it(`has the same words and norms: ${name}`, () => same(acts, name));

  /** Two runs of a plan on either addon, the second one by runAsync or not. */
  function same(acts: readonly Act[], what: string): void {
    const scenes = [addon, wasm].map((on) => new Scene(on, acts));
    for (let step = 0; step < 2; step++) {
      const [expected, got] = scenes.map(({ plan, arrays }) => [plan.finite(arrays), plan.run(arrays), plan.norm(0)]);
      assert.deepEqual(got, expected, what);
      const [theirs, ours] = scenes.map(({ shown }) => shown) as [Numbers[], Numbers[]];
      ours.forEach((found, i) =>
        assert.equal(difference(found, theirs[i] as Numbers), -1, `${what}: array ${i} after step ${step}`),
      );
    }
    for (const scene of scenes) scene.release();
  }

  it('refuses the same calls in the same words', () => {
    for (const [what, call] of Object.entries(refusals)) {
      const [expected, got] = [addon, wasm].map((on) => {
        const error = thrown(() => call(on));
        return error && [error.constructor.name, error.code, error.message];
      });
      assert.isDefined(expected, what);
      assert.deepEqual(got, expected, what);
    }
  });

  it('merges and puts rows as native code does', () => {
    for (const type of [Float32Array, Float64Array])
      for (const list of [Int32Array, Uint32Array, Float64Array])
        for (const given of [[], [3], [2, 0, 2, 2, 1, 0], [1, 5, 0], [1, -1], [1, 0.5]]) {
          const [expected, got] = [addon, wasm].map((on) => {
            const values = new type(given.length * 3).map((_, i) => pool.wild[i] as number);
            const sums = new type(values.length);
            const [merged, keys] = [new Uint32Array(given.length), new Float64Array(given.length)];
            const count = on.mergeRows(values, list.from(given), 5, 3, sums, merged, keys);
            const dense = new type(15).fill(1);
            if (count > 0) on.putRows(dense, merged.slice(0, count), 3, sums.slice(0, count * 3));
            if (count > 1) on.putRows(dense, merged.slice(0, 1), 3, null);
            return { count, merged, sums, dense };
          });
          assert.deepEqual(got, expected, `${type.name} ${list.name} ${given.join()}`);
        }
  });

  /** A plan that takes some slices of time, with what it is run on. */
  const long = (): Scene =>
    new Scene(wasm, [{ rule: 'nadam', parts: [{ length: 4_000_000 }], control: { clipnorm: 1 } }]);

  it('leaves the event loop free, is busy meanwhile, and has the same words afterwards', async () => {
    const [scene, other] = [long(), long()];
    const { plan, arrays, memories } = scene;
    let ticks = 0;
    const count = setInterval(() => ticks++, 1);
    const order: string[] = [];
    const ended = new Promise<number>((resolve, reject) => {
      plan.runAsync(arrays, memories, (norm, error) => {
        order.push('run');
        if (error === undefined) resolve(norm);
        else reject(error);
      });
    });
    for (const call of [() => plan.run(arrays), () => plan.bind(arrays), () => plan.norm(0), () => plan.release()])
      assert.propertyVal(thrown(call), 'code', 'ERR_OPT_BUSY');
    const small = new Scene(wasm, [{ rule: 'sgd', parts: [{ length: 3 }] }]);
    const checked = new Promise<number>((resolve) => {
      small.plan.finiteAsync(small.arrays, [], (finite) => {
        order.push('check');
        resolve(finite);
      });
    });
    (arrays[0] as Float32Array).fill(NaN); // what is brought was taken when the step was called
    const norm = await ended;
    clearInterval(count);
    assert.equal(norm, other.plan.run(other.arrays));
    assert.equal(await checked, 1);
    assert.deepEqual(order, ['run', 'check']);
    assert.isAbove(ticks, 4);
    scene.shown.forEach((array, i) => {
      if (array !== arrays[0]) assert.equal(difference(array, other.shown[i] as Numbers), -1, `array ${i}`);
    });
    for (const made of [scene, other, small]) made.release();
  });

  it('says that memory has been transferred away, before a step and during one', async () => {
    const scene = new Scene(wasm, [{ rule: 'adam', parts: [{ length: 1_000_000 }] }]);
    const ended = new Promise((resolve) => scene.plan.runAsync(scene.arrays, [], (_, error) => resolve(error)));
    const variable = scene.shown[0]?.buffer as ArrayBuffer;
    structuredClone(variable, { transfer: [variable] });
    assert.propertyVal(await ended, 'code', 'ERR_OPT_DETACHED');
    assert.propertyVal(
      thrown(() => scene.plan.run(scene.arrays)),
      'code',
      'ERR_OPT_DETACHED',
    );
    scene.release();
  });

  it('gives memory back: released, or no longer reachable', async () => {
    await settle();
    const before = wasm.liveBytes();
    const memory = new wasm.Memory(1000, 512);
    assert.equal(wasm.liveBytes(), before + 1000);
    const shown = new Float32Array(memory.buffer());
    assert.isTrue(shown.every((x) => x === 0));
    memory.release();
    memory.release();
    assert.equal(shown.length, 0);
    assert.propertyVal(
      thrown(() => memory.buffer()),
      'code',
      'ERR_OPT_DISPOSED',
    );
    assert.equal(wasm.liveBytes(), before);
    const dropped = () => new Scene(wasm, [{ rule: 'adam', parts: [{ length: 1_000_000 }] }]).plan.run;
    for (let i = 0; i < 3; i++) assert.isFunction(dropped());
    assert.isAbove(wasm.liveBytes(), before + 3e7);
    await settle();
    assert.equal(wasm.liveBytes(), before);
  });

  it('steps on after its memory is released, until it is released itself', () => {
    const scene = new Scene(wasm, [{ rule: 'adam', parts: [{ length: 10, gradient: 'plain' }] }]);
    for (const memory of scene.memories) memory.release();
    assert.equal(scene.plan.run([]), -1);
    scene.plan.release();
    assert.propertyVal(
      thrown(() => scene.plan.run([])),
      'code',
      'ERR_OPT_DISPOSED',
    );
  });
});

type Call = (on: Addon) => unknown;

/** A plan of one tensor of 4 elements, changed. */
const planOf = (on: Addon, tensor: object = {}, pass: object = {}, variables = 1): Plan => {
  const one = { variable: 0, length: 4, decay: false, needs: null, sources: [0, 1], ...tensor } as TensorSpec;
  const backend = on.backends.findIndex(({ unusable }) => unusable === null);
  const control = new on.Memory(on.controlSize * 8);
  new Float64Array(control.buffer())[0] = 1;
  return on.newPlan(backend, [{ rule: 0, dtype: 0, tensors: [one], ...pass } as PassSpec], variables, control);
};
const p = new Float32Array(8);
const detached = new Float32Array(4);
structuredClone(detached.buffer, { transfer: [detached.buffer] });
const whole = { rule: addon.rules.findIndex(({ name }) => name === 'adafactor_factored') };
const directed = (on: Addon, direction: number, shape: readonly number[], ...extra: readonly number[]) =>
  planOf(on, { direction: new on.Memory(direction), shape, extra: extra.map((bytes) => new on.Memory(bytes)) }, whole);
const merge = (on: Addon, count: number, keys = count) =>
  on.mergeRows(
    ...[new Float32Array(4), new Int32Array(count), 9, 2, new Float32Array(4), new Uint32Array(2)],
    ...([new Float64Array(keys)] as const),
  );
const runs =
  (...arrays: unknown[]): Call =>
  (on) =>
    planOf(on).run(arrays as never);
const rowsAt =
  (...rows: number[]): Call =>
  (on) =>
    planOf(on, { rows: 2, columns: 1 }).run([p.subarray(0, 4), new Float32Array(rows.length), Uint32Array.from(rows)]);

const refusals: Readonly<Record<string, Call>> = {
  'a backend': (on) => on.newPlan(99, [], 0, new on.Memory(0)),
  'too little control': (on) =>
    on.newPlan(on.backends.length === 1 ? 0 : 2, [{ rule: 0, dtype: 0, tensors: [] }], 0, new on.Memory(8)),
  'a control that is no memory': (on) => on.newPlan(on.backends.length === 1 ? 0 : 2, [], 0, {} as Memory),
  'a rule': (on) => planOf(on, {}, { rule: 99 }),
  'half a rule': (on) => planOf(on, {}, { rule: 0.5 }),
  'a dtype': (on) => planOf(on, {}, { dtype: 2 }),
  'a half': (on) => planOf(on, {}, { half: 'float8' }),
  'a storage': (on) => planOf(on, { storages: ['plain', 'float8'] }),
  'a length': (on) => planOf(on, { length: -1 }),
  'a variable': (on) => planOf(on, { variable: 1 }),
  needs: (on) => planOf(on, { needs: 0.5 }),
  'a source': (on) => planOf(on, { sources: [0, 2 ** 31] }),
  'sources that are too few': (on) => planOf(on, { sources: [0] }),
  'memory that is too small': (on) => planOf(on, { sources: [new on.Memory(12), 0] }),
  'another thing than memory': (on) => planOf(on, { sources: [{}, 0] }),
  'memory that is released': (on) => {
    const memory = new on.Memory(16);
    memory.release();
    return planOf(on, { sources: [memory, 0] });
  },
  'a stored variable': (on) => planOf(on, { sources: [new on.Memory(16), 0], storages: ['bfloat16', 'plain'] }),
  'rows of some tensors': (on) =>
    planOf(
      on,
      {},
      {
        tensors: [0, 1].map((i) => ({
          variable: 0,
          length: 4,
          decay: false,
          needs: null,
          sources: [0, 1],
          ...(i === 0 && { rows: 2, columns: 1 }),
        })),
      },
    ),
  'no direction': (on) => planOf(on, { shape: [1, 2, 2], extra: [] }, whole),
  'a direction that is too small': (on) => directed(on, 12, [1, 2, 2], 8, 8, 16),
  'a shape of another size': (on) => directed(on, 16, [1, 2, 3], 8, 12, 16),
  'factors that are missing': (on) => directed(on, 16, [1, 2, 2], 8, 8),
  'a factor that is too small': (on) => directed(on, 16, [1, 2, 2], 4, 8, 16),
  'no arrays': (on) => planOf(on).run(),
  'no list': (on) => planOf(on).run({} as never),
  'arrays that are missing': runs(p.subarray(0, 4)),
  'an array that is null': runs(p.subarray(0, 4), null),
  bytes: runs(p.subarray(0, 4), new Uint8Array(4)),
  'a DataView': runs(p.subarray(0, 4), new DataView(new ArrayBuffer(16))),
  'a list as array': runs(p.subarray(0, 4), [1, 2, 3, 4]),
  'another dtype': runs(p.subarray(0, 4), new Float64Array(4)),
  'halves that are not expected': runs(p.subarray(0, 4), new Uint16Array(4)),
  'another length': runs(p.subarray(0, 4), new Float32Array(3)),
  'arrays that overlap': runs(p.subarray(0, 4), p.subarray(3, 7)),
  'one array twice': runs(p.subarray(0, 4), p.subarray(0, 4)),
  'a detached array': runs(p.subarray(0, 4), detached),
  'memory that is also brought': (on) => {
    const memory = new on.Memory(16);
    return planOf(on, { sources: [memory, 0] }).run([new Float32Array(memory.buffer())]);
  },
  'rows that descend': rowsAt(1, 0),
  'rows beyond the end': rowsAt(4),
  'no rows': (on) => planOf(on, { rows: 2, columns: 1 }).run([p.subarray(0, 4), new Float32Array(0), null]),
  'rows of another kind': (on) =>
    planOf(on, { rows: 2, columns: 1 }).run([p.subarray(0, 4), new Float32Array(0), new Float32Array(0)]),
  'gradients for other rows': (on) =>
    planOf(on, { rows: 2, columns: 1 }).run([p.subarray(0, 4), new Float32Array(2), Uint32Array.of(1)]),
  'what is held and no memory': (on) =>
    planOf(on).runAsync([p.subarray(0, 4), new Float32Array(4)], [{} as Memory], () => {}),
  'a plan that is released': (on) => {
    const plan = planOf(on);
    plan.release();
    return plan.release();
  },
  'a norm': (on) => planOf(on).norm(-1),
  'memory below 0': (on) => new on.Memory(-1),
  'half a byte': (on) => new on.Memory(0.5),
  'more memory than there is': (on) => new on.Memory(2 ** 52),
  'an offset': (on) => new on.Memory(8, 4096),
  'a trace': (on) => on.trace(99),
  'merged rows that do not fit': (on) => merge(on, 3),
  'keys that do not fit': (on) => merge(on, 2, 1),
  'rows to put that do not fit': (on) => on.putRows(new Float32Array(4), Uint32Array.of(2), 2, null),
  'values to put that do not fit': (on) => on.putRows(new Float32Array(4), Uint32Array.of(1), 2, new Float32Array(1)),
  'rows of another class': (on) => on.putRows(new Float32Array(4), new Int32Array(1) as never, 2, null),
  'an array that is none': (on) => on.putRows({} as never, new Uint32Array(0), 2, null),
};
