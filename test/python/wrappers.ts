// LossScaleOptimizer and MultiOptimizer through Python's Keras and back: configs, steps, states. Keras forgets the product of a Nadam
// inside a LossScaleOptimizer: there its state is compared without that, and none is handed over.
import { deserialize, serialize, type Serialized } from '../../lib/index.ts';
import type { Configuration } from '../promise.ts';
import * as checks from './checks.ts';
import type { Keras } from './keras.ts';
import { Tally } from './tally.ts';

const form = (class_name: string, config: object) =>
  serialize(deserialize({ class_name, config: { name: class_name.toLowerCase(), ...config } }));

const inner: readonly Serialized[] = [
  form('SGD', { learning_rate: 0.5, momentum: 0.5 }),
  form('Adam', { weight_decay: 0.1, use_ema: true }),
  form('AdamW', { gradient_accumulation_steps: 2 }),
  form('RMSprop', { clipvalue: 0.001 }),
];
const scaled = (inner_optimizer: Serialized, options: object = {}): Configuration => ({
  class: 'LossScaleOptimizer',
  args: { name: 'optimizer', inner_optimizer, initial_scale: 8, dynamic_growth_steps: 2, ...options },
});
const several = (optimizer_map: Readonly<Record<string, Serialized>>, options: object = {}): Configuration => ({
  class: 'MultiOptimizer',
  args: {
    optimizer_map: { class_name: 'OptimizerMap', config: { default_optimizer: inner[0], optimizer_map } },
    name: 'optimizer',
    ...options,
  },
});
const maps: readonly Readonly<Record<string, Serialized>>[] = [
  {},
  { 'dense/.*': form('Nadam', {}) },
  { 'dense/bias': form('Adam', {}), 'norm/.*': form('Lion', {}) },
];

export const wrapped: Readonly<Record<string, readonly Configuration[]>> = {
  LossScaleOptimizer: [
    ...inner.map((one) => scaled(one)),
    scaled(inner[0] as Serialized, { initial_scale: 2 ** 15, dynamic_growth_steps: 2000 }),
    scaled(serialize(deserialize({ class_name: 'MultiOptimizer', config: several(maps[2] ?? {}).args }))),
  ],
  MultiOptimizer: [...maps.map((map) => several(map)), several(maps[1] ?? {}, { loss_scale_factor: 1024 })],
};

export async function checkWrapper(keras: Keras, name: string): Promise<Tally> {
  const tally = new Tally(name);
  for (const c of wrapped[name] ?? []) {
    await tally.check('configs', c, () => checks.checkRoundTrip(keras, 'optimizers', checks.configurable(c)));
    const both = await tally.check('runs to the bit', c, () => checks.checkSteps(keras, c));
    if (both === undefined) continue;
    await tally.check('states for Keras', c, () => checks.checkStateForKeras(keras, c, both));
    await tally.check('states of Keras', c, () => checks.checkStateOfKeras(c, both));
  }
  return tally;
}
