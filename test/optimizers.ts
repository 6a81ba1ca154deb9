// The one list of optimizers that the tests go through: each class with the options that choose another rule of its own.
import * as library from '../lib/index.ts';
import type { Fields, Optimizer } from '../lib/index.ts';

/** Options of a class, by the class's name. */
export const variants: Readonly<Record<string, readonly object[]>> = {
  SGD: [{}, { momentum: 0.9 }, { momentum: 0.9, nesterov: true }],
  RMSprop: [{}, { momentum: 0.8 }, { centered: true }, { momentum: 0.8, centered: true }],
  Adagrad: [{}],
  Adadelta: [{}],
  Adam: [{}, { amsgrad: true }],
  AdamW: [{}],
  Adamax: [{}],
  Nadam: [{}],
  Ftrl: [{}, { learning_rate_power: -0.7, l1_regularization_strength: 0.01, beta: 0.5 }],
  Lion: [{}],
  Lamb: [{}],
  Adafactor: [{}, { clip_threshold: 0.5, beta_2_decay: -0.5 }],
  Muon: [{}, { nesterov: false, rms_rate: null }],
  ScheduleFreeAdamW: [{}, { warmup_steps: 3 }],
};

/** The common options, one by one and together. */
export const flags: readonly object[] = [
  {},
  { weight_decay: 0.1 },
  { clipvalue: 0.25 },
  { clipnorm: 0.5 },
  { global_clipnorm: 0.75 },
  { loss_scale_factor: 3 },
  { use_ema: true, ema_overwrite_frequency: 2 },
  { gradient_accumulation_steps: 2 },
  { weight_decay: 0.1, global_clipnorm: 0.5, loss_scale_factor: 3, gradient_accumulation_steps: 2, use_ema: true },
];

export type OptimizerClass = (new (options?: object) => Optimizer) & {
  readonly className: string;
  readonly fields: Fields;
};

export const classes = Object.keys(variants).map(
  (name) => (library as unknown as Readonly<Record<string, OptimizerClass>>)[name] as OptimizerClass,
);

/** Whether the fields of a class allow these values: Adafactor has no bfloat16. */
const allows = ({ fields }: OptimizerClass, options: object): boolean =>
  Object.entries(options).every(([name, value]) => fields[name]?.allows(value) !== false);

/** One optimizer of each class and options that allows `options` on top. */
export const makers = (options: object = {}): readonly (readonly [string, () => Optimizer])[] =>
  classes
    .filter((cls) => allows(cls, options))
    .flatMap((cls) =>
      (variants[cls.className] ?? []).map((variant) => {
        const all = { ...variant, ...options };
        return [`${cls.className} ${JSON.stringify(all)}`, () => new cls(all)] as const;
      }),
    );
