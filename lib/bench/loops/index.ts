// Every rule as a program without a library has it: the names are those of ../rules.ts.
import { adadelta } from './adadelta.ts';
import { adafactor } from './adafactor.ts';
import { adagrad } from './adagrad.ts';
import { adam } from './adam.ts';
import { adamax } from './adamax.ts';
import { ftrl } from './ftrl.ts';
import { lamb } from './lamb.ts';
import { lion } from './lion.ts';
import type { Steps } from './loop.ts';
import { nadam } from './nadam.ts';
import { rmsprop } from './rmsprop.ts';
import { scheduleFreeAdamW } from './schedule_free_adamw.ts';
import { sgd } from './sgd.ts';

export const loops: Readonly<Record<string, Steps>> = {
  ...sgd,
  ...rmsprop,
  ...adagrad,
  ...adadelta,
  ...adam,
  ...adamax,
  ...nadam,
  ...lion,
  ...lamb,
  ...adafactor,
  ...ftrl,
  ...scheduleFreeAdamW,
};
