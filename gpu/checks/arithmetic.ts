// The device's division, square root, product and flushing where formats end: the CPU's bits, which are Keras's.
import { SGD, type DeviceName, type Optimizer } from '../../lib/index.ts';
import type { Dtype } from '../../lib/native.ts';
import { makers } from '../../test/optimizers.ts';
import type { Random } from '../../test/random.ts';
import type { Check, Settings } from './check.ts';
import { anyBits, assertSame, classes, randomFrom, type Floats } from './numbers.ts';
import { variableOn } from './variables.ts';

const scratch = new DataView(new ArrayBuffer(4));
const floatOf = (bits: number): number => (scratch.setUint32(0, bits), scratch.getFloat32(0));
const bitsOf = (x: number): number => (scratch.setFloat32(0, x), scratch.getUint32(0));

/** Both signs of: zero, denormal numbers, the least normal ones, the largest, infinity, NaN, and powers of 2 with neighbours. */
function edges(): number[] {
  const words = [0, 1, 2, 0x3fffff, 0x400000, 0x7ffffe, 0x7fffff, 0x7f7ffffe, 0x7f7fffff, 0x7f800000, 0x7fc00000];
  for (let exponent = 1; exponent < 255; exponent += 6)
    words.push((exponent << 23) - 1, exponent << 23, (exponent << 23) + 1, (exponent << 23) + 0x2aaaab);
  return words.flatMap((word) => [floatOf(word), floatOf((word | 0x80000000) >>> 0)]);
}

/** Each of them with each, as two arrays. */
function pairs(values: readonly number[]): readonly [Float32Array<ArrayBuffer>, Float32Array<ArrayBuffer>] {
  const [a, b] = [new Float32Array(values.length ** 2), new Float32Array(values.length ** 2)];
  for (let i = 0; i < a.length; i++) {
    a[i] = values[i % values.length] as number;
    b[i] = values[Math.floor(i / values.length)] as number;
  }
  return [a, b];
}

/** Floats around x, so many to each side. */
const around = (x: number, count: number): number[] =>
  Array.from({ length: 2 * count + 1 }, (_, i) => floatOf(Math.max(0, bitsOf(Math.fround(x)) + i - count)));

const kTiny = 2 ** -126;

/** What every step makes of 0: of SGD with rate -1, the gradient divided by the loss scale; with others, their product. */
async function steppedFromZero(
  device: DeviceName,
  set: (sgd: SGD) => void,
  gradients: readonly Floats[],
): Promise<Floats[]> {
  const results: Promise<ArrayLike<number>>[] = [];
  for (const gradient of gradients) {
    const sgd = new SGD({ learning_rate: -1 });
    set(sgd);
    const variable = variableOn(device, new Float32Array(gradient.length));
    sgd.apply([gradient], [variable]);
    results.push(variable.read().finally(() => (sgd.dispose(), variable.dispose())));
  }
  return (await Promise.all(results)) as Floats[];
}

async function products({ device, seeds, small }: Settings): Promise<void> {
  const next = randomFrom(seeds[0] ?? '');
  const rates = Array.from({ length: 24 }, (_, k) => [1 - 2 ** -k / 2, 1 + 2 ** -k / 2]).flat();
  rates.push(kTiny, 2 ** -149, 2 ** 127, 3e-39, ...Array.from({ length: small ? 5 : 50 }, () => 4 * next() - 2));
  for (const rate of rates.map(Math.fround)) {
    // 1 - x^2 of the least normal number rounds to it, without having been tiny after rounding.
    const near = rates.flatMap((other) => around(kTiny * Math.abs(other), 4));
    const gradient = Float32Array.from([
      ...edges(),
      ...near,
      ...around(kTiny / Math.abs(rate), 16),
      ...anyBits('float32', 999, next),
    ]);
    const set = (sgd: SGD) => (sgd.learning_rate = rate);
    const [there, here] = [
      await steppedFromZero(device, set, [gradient]),
      await steppedFromZero('cpu', set, [gradient]),
    ];
    assertSame(there[0] as Floats, here[0] as Floats, `g * ${rate}`);
  }
}

async function quotients({ device, seeds, small }: Settings): Promise<void> {
  const next = randomFrom(`quotients ${seeds[0] ?? ''}`);
  const divisors = [3, 7, 2 ** 15, 1e-30, 3e38, 2 ** -126, 1 + 2 ** -23, 2 - 2 ** -23];
  divisors.push(...Array.from({ length: small ? 4 : 60 }, () => 2 ** (240 * next() - 120) * (1 + next())));
  for (const divisor of divisors.map(Math.fround)) {
    const gradient = Float32Array.from([
      ...edges(),
      ...around(kTiny * divisor, 64),
      ...anyBits('float32', small ? 999 : 65_536, next),
    ]);
    const by = async (where: DeviceName) => {
      const variable = variableOn(where, new Float32Array(gradient.length));
      const sgd = new SGD({ learning_rate: -1, loss_scale_factor: divisor });
      sgd.apply([gradient], [variable]);
      return variable.read().finally(() => (sgd.dispose(), variable.dispose()));
    };
    assertSame(await by(device), await by('cpu'), `g / ${divisor}`);
  }
}

type Fill = (dtype: Dtype, length: number, index: number) => Floats;

/** One step of an optimizer from a state that is given, as is the gradient. */
async function stepped(
  make: () => Optimizer,
  dtype: Dtype,
  length: number,
  fill: Fill,
  device: DeviceName,
): Promise<ArrayLike<number>[]> {
  const variable = variableOn(device, fill(dtype, length, 0));
  const optimizer = make();
  optimizer.build([variable]);
  const state = optimizer.variables;
  const weights = state.map((one, i) => (one.shape.length === 1 ? fill(dtype, length, i + 2) : undefined));
  const kept = await Promise.all(state.map((one) => one.read()));
  optimizer.set_weights(weights.map((weight, i) => weight ?? (kept[i] as Floats)));
  optimizer.apply([fill(dtype, length, 1)], [variable]);
  const values = await Promise.all([variable, ...optimizer.variables].map((one) => one.read()));
  optimizer.dispose();
  variable.dispose();
  return values;
}

async function fromAnyState({ device, seeds, small }: Settings, dtype: Dtype): Promise<void> {
  const length = small ? 999 : 100_003;
  for (const seed of seeds)
    for (const [name, make] of [...makers(), ...makers({ weight_decay: 0.1, loss_scale_factor: 3, use_ema: true })]) {
      const fill: Fill = (type, count, index) => {
        const bits = anyBits(type, count, randomFrom(`${seed} ${name} ${index}`));
        return index % 2 === 0 ? bits : bits.map(Math.abs); // roots of what is not negative
      };
      const [there, here] = [
        await stepped(make, dtype, length, fill, device),
        await stepped(make, dtype, length, fill, 'cpu'),
      ];
      here.forEach((expected, i) => assertSame(there[i] ?? [], expected, `${name} ${dtype} seed ${seed}: array ${i}`));
    }
}

/** Every edge beside every other one, as gradient and as each slot. */
async function fromEdges({ device }: Settings): Promise<void> {
  const [a, b] = pairs(edges());
  const fill: Fill = (_, length, index) => (index % 2 === 0 ? a : b).slice(0, length);
  for (const [name, make] of makers()) {
    const [there, here] = [
      await stepped(make, 'float32', a.length, fill, device),
      await stepped(make, 'float32', a.length, fill, 'cpu'),
    ];
    here.forEach((expected, i) => assertSame(there[i] ?? [], expected, `${name}: array ${i}`));
  }
}

/** Only one in a hundred quotients or roots is out of the ordinary: the device may take another way there. */
async function rareEdges({ device, seeds }: Settings): Promise<void> {
  const all = edges();
  const fill: Fill = (dtype, length, index) => {
    const next: Random = randomFrom(`${seeds[0] ?? ''} ${index}`);
    return new classes[dtype](length).map(() =>
      next() < 0.01 ? (all[Math.floor(next() * all.length)] as number) : next() + 0.1,
    );
  };
  for (const [name, make] of makers()) {
    const [there, here] = [
      await stepped(make, 'float32', 5000, fill, device),
      await stepped(make, 'float32', 5000, fill, 'cpu'),
    ];
    here.forEach((expected, i) => assertSame(there[i] ?? [], expected, `${name}: array ${i}`));
  }
}

export const arithmeticChecks = (settings: Settings): Check[] => [
  { name: 'arithmetic: products around 2^-126 are flushed where the CPU flushes them', run: () => products(settings) },
  { name: 'arithmetic: quotients by a scalar, from denormal numbers to infinity', run: () => quotients(settings) },
  { name: 'arithmetic: every rule where formats end, each edge beside each other', run: () => fromEdges(settings) },
  { name: 'arithmetic: a rare edge among ordinary numbers', run: () => rareEdges(settings) },
  ...(['float32', 'float64'] as const).map((dtype) => ({
    name: `arithmetic: every rule from any bits at all, ${dtype}`,
    run: () => fromAnyState(settings, dtype),
  })),
];
