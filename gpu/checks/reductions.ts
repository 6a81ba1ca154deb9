// Norms: one order of addition at every length, a factor that stays on the device, and the decision of a loss scale.
import assert from 'node:assert/strict';

import {
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  SGD,
  Adam,
  type DeviceName,
  type Optimizer,
  type Variable,
} from '../../lib/index.ts';
import type { Check, Settings } from './check.ts';
import { assertSame, filled, kinds, randomFrom, type Floats } from './numbers.ts';
import { assertSameTraining, taskOf } from './training.ts';
import { variableOn } from './variables.ts';

const kBlock = 16_384;

function hostileLengths(small: boolean): number[] {
  const powers = Array.from({ length: small ? 10 : 18 }, (_, k) => 2 ** k).flatMap((n) => [n - 1, n, n + 1]);
  const blocks = [1, 2, 3, ...(small ? [] : [7, 8, 9, 64, 65])].flatMap((n) => [
    n * kBlock - 1,
    n * kBlock,
    n * kBlock + 1,
  ]);
  return [...powers, ...blocks];
}

async function everyLength({ device, seeds, small }: Settings): Promise<void> {
  const shapes = hostileLengths(small).map((length) => [length]);
  for (const make of [() => new Nadam({ global_clipnorm: 0.5 }), () => new SGD({ clipnorm: 0.5 })])
    for (const kind of ['ordinary', 'small'] as const) {
      const task = taskOf(shapes, 'float32', 3, kinds[kind], randomFrom(`${seeds[0] ?? ''} ${kind}`));
      await assertSameTraining({ ...task, make }, device, `hostile lengths, ${kind}`);
    }
}

/** Each alone: the length of a list is that of one variable. */
async function oneByOne({ device, seeds, small }: Settings): Promise<void> {
  const lengths = small ? [1, 127, 4097, kBlock + 1] : [...hostileLengths(false).slice(0, 54), 3_000_017];
  for (const length of lengths) {
    const task = taskOf([[length]], 'float32', 3, kinds.ordinary, randomFrom(`${seeds[0] ?? ''} ${length}`));
    await assertSameTraining({ ...task, make: () => new Adam({ global_clipnorm: 0.5 }) }, device, `${length} elements`);
  }
}

/** More tensors than a kernel's arguments would hold. */
async function manyTensors({ device, seeds, small }: Settings): Promise<void> {
  const next = randomFrom(seeds[0] ?? '');
  for (const [options, count] of [
    [{}, 300],
    [{ clipnorm: 0.01 }, 300],
    [{ global_clipnorm: 0.5 }, small ? 300 : 10_000],
  ] as const) {
    const shapes = Array.from({ length: count }, (_, i) => [1 + ((37 * i) % 97)]);
    const task = taskOf(shapes, 'float32', 3, kinds.ordinary, next);
    await assertSameTraining(
      { ...task, make: () => new Nadam(options) },
      device,
      `${shapes.length} tensors ${JSON.stringify(options)}`,
    );
  }
}

async function gradientNorm({ device, seeds, small }: Settings): Promise<void> {
  const next = randomFrom(`norm ${seeds[0] ?? ''}`);
  const lengths = [3, 1000, small ? kBlock + 5 : 2_000_003];
  const gradients = lengths.map((length) => filled('float32', length, () => next() - 0.5));
  const normOf = async (where: DeviceName, when: 'at once' | 'after reading') => {
    const variables = lengths.map((length) => variableOn(where, new Float32Array(length)));
    const optimizer = new Nadam({ global_clipnorm: 1 });
    optimizer.apply(gradients, variables);
    if (when === 'after reading') await (variables[0] as Variable).read();
    const norm = optimizer.gradient_norm;
    optimizer.dispose();
    for (const variable of variables) variable.dispose();
    return norm;
  };
  const expected = await normOf('cpu', 'at once');
  assert.ok(expected !== null && expected > 0, "the CPU's norm");
  assert.equal(await normOf(device, 'at once'), expected);
  assert.equal(await normOf(device, 'after reading'), expected);
}

/** Steps with gradients that overflow are left out; the scale is halved, and doubled again. */
async function lossScale({ device, seeds }: Settings): Promise<void> {
  const next = randomFrom(`scale ${seeds[0] ?? ''}`);
  const gradients = Array.from({ length: 12 }, (_, step) => {
    const gradient = filled('float32', 5000, () => 100 * (next() - 0.5));
    if (step % 5 === 3) gradient[step * 300] = step % 2 === 0 ? Infinity : NaN;
    return gradient;
  });
  const run = async (where: DeviceName) => {
    const variable = variableOn(where, new Float32Array(5000).fill(1));
    const inner_optimizer = new Nadam({ global_clipnorm: 1, use_ema: true });
    const optimizer = new LossScaleOptimizer({ inner_optimizer, dynamic_growth_steps: 2, initial_scale: 64 });
    const scales: number[] = [];
    for (const [step, gradient] of gradients.entries()) {
      if (step % 4 === 2) await optimizer.apply_async([gradient], [variable]);
      else optimizer.apply([gradient], [variable]);
      scales.push(optimizer.dynamic_scale);
    }
    const values = await Promise.all([variable, ...optimizer.variables].map((one) => one.read()));
    optimizer.dispose();
    variable.dispose();
    return [scales, ...values];
  };
  const [there, here] = [await run(device), await run('cpu')];
  here.forEach((expected, i) => assertSame(there[i] as Floats, expected, `loss scale: array ${i}`));
}

async function several({ device, seeds }: Settings): Promise<void> {
  const shapes = [[100], [7, 5], [3000], [9]];
  const task = taskOf(shapes, 'float32', 6, kinds.ordinary, randomFrom(`multi ${seeds[0] ?? ''}`));
  const make = (): Optimizer => {
    const [nadam, sgd] = [new Nadam({ global_clipnorm: 0.5 }), new SGD({ momentum: 0.9 })];
    return new MultiOptimizer({ optimizer_map: ({ name }) => (name < 'v2' ? nadam : sgd) });
  };
  await assertSameTraining({ ...task, make }, device, 'MultiOptimizer');
}

export const reductionChecks = (settings: Settings): Check[] => [
  { name: 'norms: lengths around every power of 2 and every block, in one list', run: () => everyLength(settings) },
  { name: 'norms: the same lengths, each alone', run: () => oneByOne(settings) },
  { name: 'norms: thousands of small tensors', run: () => manyTensors(settings) },
  { name: 'norms: gradient_norm is the number of the CPU', run: () => gradientNorm(settings) },
  { name: 'norms: a dynamic loss scale leaves the same steps out', run: () => lossScale(settings) },
  { name: 'norms: several optimizers in one step', run: () => several(settings) },
];
