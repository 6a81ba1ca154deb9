import * as library from 'keras-optimizers';

import train from './train.cjs';

test('trains', () => {
  process.stderr.write(`${train(library)}\n`);
});
