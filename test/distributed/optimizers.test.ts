// The grid that is too slow for npm test: every optimizer with every flag, sharing its state or not, on 2 to 4 ranks, with the bits of one process.
import { flags, makers } from '../optimizers.ts';
import { compared, type Shapes } from '../replicas.ts';

const shapes: Shapes = [[40_000], [2, 3], [130, 130], [0], [1]];

const grid = [
  [2, false],
  [4, false],
  [3, true],
  [4, true],
] as const;

describe('optimizers of several ranks', () => {
  for (const option of flags)
    for (const [name, make] of makers(option))
      it(name, async () => {
        for (const [size, shard_state] of grid) await compared(make, shapes, size, 12, { shard_state }, size % 2 === 1);
      });
});
