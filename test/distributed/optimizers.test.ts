// The grid that is too slow for npm test: every optimizer with every flag, shared and not, on 1 to 4 ranks, with the bits of one process.
import { flags, makers } from '../optimizers.ts';
import { compared, type Shapes } from '../replicas.ts';

const shapes: Shapes = [[40_000], [2, 3], [130, 130], [0], [1]];

describe('optimizers of several ranks', () => {
  for (const option of flags)
    for (const [name, make] of makers(option))
      it(name, async () => {
        for (const shard_state of [false, true])
          for (const size of [1, 2, 3, 4]) await compared(make, shapes, size, 12, { shard_state }, size % 2 === 1);
      });
});
