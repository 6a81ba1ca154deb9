// The curves of npm run bench:bfloat16: same seed, same batches, and these options of the optimizer.
import type { Nadam } from 'keras-optimizers';
import type { Series } from '../../lib/charts/lines.ts';
import { bfloat16, float16 } from './round.ts';

export interface Variant {
  /** Beside its curve. */
  readonly label: string;
  readonly text: string;
  readonly color: Series['color'];
  readonly options: ConstructorParameters<typeof Nadam>[0];
  /** Gradients as they are handed to the optimizer; absent: as they are. */
  readonly gradient?: (gradient: Float32Array) => Uint16Array;
  /** Moves every weight by one unit in its last place before the first step. */
  readonly nudged?: boolean;
}

const stochastic = { state_dtype: 'bfloat16', state_rounding: 'stochastic', seed: 0 } as const;
const kScale = 1024; // or the smallest gradients would be 0 as float16

export const variants: Readonly<Record<string, Variant>> = {
  float32: { label: 'float32', text: 'float32 states and gradients', color: 'blue', options: {} },
  nudged: {
    label: 'nudged',
    text: 'the same, every weight moved by one unit in its last place: what any change of rounding does',
    color: 'grey',
    options: {},
    nudged: true,
  },
  nearest: {
    label: 'nearest',
    text: 'bfloat16 states, rounded to nearest even',
    color: 'orange',
    options: { state_dtype: 'bfloat16', state_rounding: 'nearest' },
  },
  stochastic: {
    label: 'stochastic',
    text: 'bfloat16 states, rounded stochastically',
    color: 'green',
    options: stochastic,
  },
  'bfloat16-gradients': {
    label: 'bf16 grads',
    text: 'the same, and bfloat16 gradients',
    color: 'purple',
    options: { ...stochastic, gradient_dtype: 'bfloat16' },
    gradient: bfloat16,
  },
  'float16-gradients': {
    label: 'f16 grads',
    text: `bfloat16 states, rounded stochastically, and float16 gradients with loss_scale_factor ${kScale}`,
    color: 'red',
    options: { ...stochastic, gradient_dtype: 'float16', loss_scale_factor: kScale },
    gradient: (gradient) => float16(gradient.map((x) => x * kScale)),
  },
};
