// A step on a GPU gives the words of the step on the host: every optimizer, with every option.
import { Adam, Nadam } from '../../lib/index.ts';
import { flags, makers } from '../optimizers.ts';
import { describeOnGpu, ends, few, flat, lengths, own, type Training } from './gpu.ts';

const matrices = [[5, 8], [1, 7], [3, 4, 5], [40, 33], []];
const shapes = [...flat(few), ...matrices];

describeOnGpu('a step on a GPU ends as on the host', () => {
  for (const [name, make] of makers()) {
    it(`${name}, at every length`, () => ends(make, { shapes: flat(lengths), gradients: own }));
    it(`${name}, on the own gradients, asynchronously`, () =>
      ends(make, { shapes, gradients: own, asynchronous: true }));
  }
  for (const options of flags) for (const [name, make] of makers(options)) it(name, () => ends(make, { shapes }));
  for (const options of [
    { state_dtype: 'bfloat16' },
    { state_dtype: 'bfloat16', state_rounding: 'stochastic', seed: 7 },
  ])
    for (const [name, make] of makers(options)) it(name, () => ends(make, { shapes }));
  for (const [name, make] of makers({ clipnorm: 0.5, weight_decay: 0.1 })) {
    it(`${name}, float64`, () => ends(make, { shapes, dtypes: ['float64'] }));
    it(`${name}, both dtypes, asynchronously`, () =>
      ends(make, { shapes, dtypes: ['float32', 'float64'], asynchronous: true }));
  }
  const further: readonly [string, Training][] = [
    ['with a gradient missing', { shapes, missing: (step) => step % 3 }],
    ['with a gradient missing, asynchronously', { shapes, missing: (step) => step % 3, asynchronous: true }],
    ['on nothing but empty variables', { shapes: [[0], [0, 3]] }],
    ['on one variable', { shapes: [[3]] }],
    ['on many', { shapes: flat(Array.from({ length: 300 }, (_, i) => i)), gradients: own }],
    ['over many steps', { shapes: [[7], [2, 3]], steps: 40, gradients: own }],
  ];
  const options = { global_clipnorm: 0.75, use_ema: true, ema_overwrite_frequency: 3 };
  for (const [how, training] of further)
    for (const extra of [{}, { gradient_accumulation_steps: 2 }])
      it(`Nadam ${JSON.stringify({ ...options, ...extra })} ${how}`, () =>
        ends(() => new Nadam({ ...options, ...extra }), training));
  it('Adam, excluded from weight decay', () =>
    ends(
      () => {
        const optimizer = new Adam({ weight_decay: 0.1 });
        optimizer.exclude_from_weight_decay({ var_names: ['v1'] });
        return optimizer;
      },
      { shapes },
    ));
});
