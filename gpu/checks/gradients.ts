// Gradients of 16 bits and of some rows, and arrays that lie anywhere: what the CPU makes of them.
import assert from 'node:assert/strict';

import {
  Adagrad,
  Adam,
  IndexedSlices,
  Nadam,
  SGD,
  type DeviceName,
  type Gradient,
  type Variable,
} from '../../lib/index.ts';
import type { Check, Settings } from './check.ts';
import { Foreign } from './foreign.ts';
import { assertSame, filled, randomFrom, type Floats } from './numbers.ts';
import { variableOn } from './variables.ts';

const lengths = (small: boolean): number[] => [1, 2, 3, 7, 8, 9, 100, 1025, ...(small ? [4099] : [16_385, 1_000_003])];

/** Every pattern of 16 bits, and then others. */
function halves(length: number, seed: string): Uint16Array<ArrayBuffer> {
  const next = randomFrom(seed);
  return new Uint16Array(length).map((_, i) => (length > 65_536 && i < 65_536 ? i : 65_536 * next()));
}

/** Steps whose gradients are bits: from the host, or already on the device, at any alignment of two bytes. */
async function halfGradients({ device, seeds, small }: Settings, half: 'bfloat16' | 'float16'): Promise<void> {
  for (const seed of seeds)
    for (const options of [{}, { global_clipnorm: 0.5 }, { gradient_accumulation_steps: 2, loss_scale_factor: 3 }]) {
      const run = async (where: DeviceName) => {
        const variables = lengths(small).map((length) => variableOn(where, new Float32Array(length)));
        const optimizer = new Nadam({ ...options, gradient_dtype: half });
        const held: Foreign[] = [];
        for (let step = 0; step < 4; step++) {
          const gradients = variables.map(({ shape }, i): Gradient => {
            const words = halves(shape[0] as number, `${seed} ${step} ${i}`);
            if (where === 'cpu' || step % 2 === 0) return words;
            const foreign = new Foreign(where, words.byteLength + 64);
            held.push(foreign);
            return foreign.put(words, shape, 2 * (i % 7), half);
          });
          optimizer.apply(gradients, variables);
        }
        const values = await Promise.all([...variables, ...optimizer.variables].map((one) => one.read()));
        for (const one of [optimizer, ...variables]) one.dispose();
        for (const foreign of held) foreign.release();
        return values;
      };
      const [there, here] = [await run(device), await run('cpu')];
      const what = `${half} ${JSON.stringify(options)} seed ${seed}`;
      here.forEach((expected, i) => assertSame(there[i] as Floats, expected, `${what}: array ${i}`));
    }
}

/** Every alignment that a float may have, and not a byte outside. */
async function alignments({ device, seeds, small }: Settings): Promise<void> {
  const next = randomFrom(`aligned ${seeds[0] ?? ''}`);
  for (const length of [1, 5, 33, 1025, small ? 2049 : 100_001])
    for (let shift = 0; shift < 33; shift++) {
      const numbers = filled('float32', length, () => next() - 0.5);
      const foreign = new Foreign(device, 4 * (length + 64));
      const guarded = new Float32Array(length + 64).fill(1234.5);
      guarded.set(numbers, shift);
      foreign.put(guarded, [length + 64]);
      const gradient = { ...foreign.put(numbers, [length], 4 * shift) };
      const variables = [device, 'cpu' as const].map((where) => variableOn(where, numbers));
      const optimizers = variables.map(() => new Adam({ global_clipnorm: 0.1 }));
      optimizers[0]?.apply([gradient], [variables[0] as Variable]);
      optimizers[1]?.apply([numbers], [variables[1] as Variable]);
      const [there, here] = await Promise.all(variables.map((variable) => variable.read()));
      assertSame(there as Floats, here as Floats, `${length} elements, ${shift} after a boundary`);
      await assertUntouched(foreign, guarded);
      for (const one of [...optimizers, ...variables]) one.dispose();
      foreign.release();
    }
}

/** A gradient is read and never written. */
async function assertUntouched({ device, memory }: Foreign, expected: Float32Array): Promise<void> {
  const copy = variableOn(device, new Float32Array(expected.length));
  const sgd = new SGD({ learning_rate: -1 });
  const owner = memory;
  sgd.apply([{ ptr: memory.address, shape: [expected.length], dtype: 'float32', device, owner }], [copy]);
  assertSame(await copy.read(), expected, 'what another library handed over');
  sgd.dispose();
  copy.dispose();
}

/** Rows that repeat, from the host, beside a dense gradient. */
async function rows({ device, seeds, small }: Settings): Promise<void> {
  const [count, columns] = [small ? 100 : 20_000, 9];
  for (const make of [() => new SGD(), () => new Adagrad({ global_clipnorm: 1 }), () => new Nadam({ clipnorm: 0.5 })]) {
    const run = async (where: DeviceName) => {
      const next = randomFrom(`rows ${seeds[0] ?? ''}`);
      const table = variableOn(where, filled('float32', count * columns, next), { shape: [count, columns] });
      const dense = variableOn(where, filled('float32', 77, next));
      const optimizer = make();
      for (let step = 0; step < 5; step++) {
        const slices = 1 + 60 * step;
        const indices = Int32Array.from({ length: slices }, () => Math.floor(next() * count * (step === 3 ? 0.01 : 1)));
        const values = filled('float32', slices * columns, () => next() - 0.5);
        const gradient = new IndexedSlices(values, indices, [count, columns]);
        optimizer.apply([gradient, filled('float32', 77, next)], [table, dense]);
        values.fill(NaN);
      }
      const values = await Promise.all([table, dense, ...optimizer.variables].map((one) => one.read()));
      for (const one of [optimizer, table, dense]) one.dispose();
      return values;
    };
    const [there, here] = [await run(device), await run('cpu')];
    here.forEach((expected, i) => assertSame(there[i] as Floats, expected, `rows: array ${i}`));
  }
}

/** Addresses that no step may follow. */
async function refused({ device }: Settings): Promise<void> {
  const variable = variableOn(device, [1, 2, 3, 4]);
  const sgd = new SGD({ learning_rate: -1 });
  sgd.build([variable]);
  const other = new Foreign(device, 64);
  const good = other.put(new Float32Array(4), [4]);
  const bad: readonly object[] = [
    { ...good, ptr: 16n },
    { ...good, ptr: 0n },
    { ...good, shape: [5] },
    { ...good, dtype: 'float64' },
    { ...good, device: `cuda:${97}` },
    { ...good, ptr: good.ptr + 1n },
  ];
  for (const gradient of bad)
    assert.throws(
      () => sgd.apply([gradient as Gradient], [variable]),
      Error,
      `accepted ${Object.keys(gradient).join()}`,
    );
  sgd.apply([good], [variable]);
  assertSame(await variable.read(), [1, 2, 3, 4], 'after refusals');
  for (const one of [sgd, variable]) one.dispose();
  other.release();
}

export const gradientChecks = (settings: Settings): Check[] => [
  ...(['bfloat16', 'float16'] as const).map((half) => ({
    name: `gradients: ${half}, from the host and on the device`,
    run: () => halfGradients(settings, half),
  })),
  { name: 'gradients: at every alignment, read and not written', run: () => alignments(settings) },
  { name: 'gradients: of some rows, which may repeat', run: () => rows(settings) },
  { name: 'gradients: addresses that are none are refused', run: () => refused(settings) },
];
