// One optimizer in several ranks: the bits of one process, whatever is shared.
import {
  Adam,
  AdamW,
  Lamb,
  LossScaleOptimizer,
  MultiOptimizer,
  Nadam,
  OptimizerMap,
  SGD,
  type Optimizer,
} from '../lib/index.ts';
import { makers } from './optimizers.ts';
import { compared, type Settings, type Shapes } from './replicas.ts';

const shapes: Shapes = [[17_000], [2, 3], [40, 30], [0], [1]]; // the first is of two blocks, so that some ranks have nothing
const all = { weight_decay: 0.1, loss_scale_factor: 2, gradient_accumulation_steps: 2, use_ema: true };
const options = [
  { ...all, ema_overwrite_frequency: 2, global_clipnorm: 0.5 },
  { clipnorm: 0.5, state_dtype: 'bfloat16' },
];

const compare = (make: () => Optimizer, size: number, passes: number, settings: Settings = {}, built = false) =>
  compared(make, shapes, size, passes, settings, built);

const multi = () =>
  new MultiOptimizer({
    optimizer_map: new OptimizerMap({
      default_optimizer: new Nadam({ global_clipnorm: 0.5, gradient_accumulation_steps: 2 }),
      optimizer_map: { 'layer[12]/.*': new Lamb({ clipnorm: 0.25 }) },
    }),
  });

describe('distributed optimizers', () => {
  for (const [i, option] of options.entries())
    for (const [k, [name, make]] of [...makers(option).entries()].filter(([k]) => (i + k) % 2 === 0))
      // the grid has all
      it(`step like one process: ${name}`, async () => {
        const size = 2 + ((i + k) % 3);
        await compare(make, size, size === 3 ? 6 : 4, { shard_state: true });
      });
  for (const [name, make] of [
    ['Nadam', () => new Nadam()],
    ['AdamW', () => new AdamW()],
    ['SGD', () => new SGD({ momentum: 0.9 })],
    ['Lamb', () => new Lamb()],
    [
      'LossScaleOptimizer',
      () => new LossScaleOptimizer({ inner_optimizer: new Adam({ clipnorm: 0.5 }), initial_scale: 8 }),
    ],
    ['MultiOptimizer', multi],
    ['LossScaleOptimizer of it', () => new LossScaleOptimizer({ inner_optimizer: multi() })],
  ] as const)
    for (const passes of name.startsWith('Multi') ? [4, 6, 12] : [4])
      for (const shard_state of [false, true])
        it(`give the same bits on any number of ranks: ${name}, ${passes} micro-batches, shard_state ${shard_state}`, async () => {
          for (const size of [1, 2, 3, 4].filter((n) => passes % n === 0))
            await compare(make, size, passes, { shard_state, reduction: size === 2 ? 'mean' : 'sum' }, size % 2 === 1);
        });
});
