import { finite } from '../configurable.ts';
import { Adam } from './adam.ts';

/**
 * Adam with decoupled weight decay, arxiv.org/abs/1711.05101: `Adam` whose `weight_decay` is 0.004 unless given, and never
 * null. Source: keras/src/optimizers/adamw.py.
 *
 * @example new AdamW({ learning_rate: 0.001, weight_decay: 0.004 })
 */
export class AdamW extends Adam {
  static override readonly fields = {
    ...Adam.fields,
    /** Decoupled: `p - p * weight_decay * learning_rate` before the step; a number. */
    weight_decay: finite(0.004),
  };
  static override readonly className = 'AdamW';
}
