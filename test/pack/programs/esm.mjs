import * as library from 'keras-optimizers';
import { ReduceLROnPlateau } from 'keras-optimizers/callbacks';

import train from './train.cjs';

if (typeof ReduceLROnPlateau !== 'function') throw new Error('no callbacks');
console.log(train(library));
