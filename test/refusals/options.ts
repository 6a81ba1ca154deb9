// Options that constructors refuse: those of every optimizer, and each class's own.
import { ExponentialDecay } from '../../lib/index.ts';
import type { Row } from './scene.ts';

const [wrongKind, outOfRange] = ['ERR_OPT_CONFIG_TYPE', 'ERR_OPT_CONFIG_RANGE'];
type Options = Readonly<Record<string, unknown>>;
type OptionsRow = Row<Options>;

/** What is no number, text or flag, and how an error calls it. */
const others: readonly (readonly [unknown, string])[] = [
  [[1], 'an array'],
  [{}, 'an object'],
  [1n, '1n'],
  [Symbol('x'), 'a symbol'],
  [new Float32Array(1), 'a Float32Array'],
];
const noNumbers: typeof others = [...others, ['1', '"1"'], [true, 'true']];
const noFlags: typeof others = [...others, ['1', '"1"'], [1, '1'], [null, 'null']];
const notFinite = [NaN, Infinity, -Infinity];

const refusedAs = (name: string, value: unknown, got: string, code: string): OptionsRow => [
  `${name}: ${got}`,
  { [name]: value },
  code,
  new RegExp(`expects ${name} to be .*, got ${got.replace(/[-.]/g, '\\$&')}$`),
];
const kinds = (name: string, values: typeof others) =>
  values.map(([value, got]) => refusedAs(name, value, got, wrongKind));
const ranges = (name: string, values: readonly unknown[]) =>
  values.map((value) => refusedAs(name, value, typeof value === 'string' ? `"${value}"` : String(value), outOfRange));
const number = (name: string, bad: readonly number[] = [], infinite = notFinite) => [
  ...kinds(name, noNumbers),
  ...ranges(name, [...infinite, ...bad]),
];

const schedule = new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 1, decay_rate: 0.5 });
const averaging = { use_ema: true };
/** Of every optimizer. */
export const common: readonly OptionsRow[] = [
  ...['learning_rate', 'weight_decay', 'clipnorm', 'clipvalue', 'global_clipnorm', 'ema_momentum'].flatMap((name) =>
    number(name),
  ),
  ...['loss_scale_factor', 'ema_overwrite_frequency'].flatMap((name) => number(name)),
  ...number('gradient_accumulation_steps', [1, 0.5, -3]),
  ...kinds('use_ema', noFlags),
  ...kinds('name', [...others, [3, '3'], [() => '', 'a function']]),
  ...kinds('learning_rate', [
    [null, 'null'],
    [ExponentialDecay, 'the class ExponentialDecay: make an instance with new ExponentialDecay({ ... })'],
  ]).map(([name, options, code]): OptionsRow => [name, options, code, /learning_rate .* got (null|the class Exp)/]),
  ...['state_dtype', 'state_rounding'].flatMap((name) => [
    ...kinds(name, [...others, [3, '3']]),
    ...ranges(name, ['int8']),
  ]),
  ...kinds('gradient_dtype', others),
  ...ranges('gradient_dtype', ['float32']),
  ...number('seed', [-1, 1.5, 2 ** 53]),
  ['ema_momentum: -0.1 with use_ema', { ...averaging, ema_momentum: -0.1 }, outOfRange, /in \[0, 1\], got -0\.1/],
  ['ema_momentum: 1.1 with use_ema', { ...averaging, ema_momentum: 1.1 }, outOfRange, /in \[0, 1\], got 1\.1/],
  ['averages every -1 steps', { ...averaging, ema_overwrite_frequency: -1 }, outOfRange, />= 1, 0 or null, got -1/],
  [
    'averages every 1.5 steps',
    { ...averaging, ema_overwrite_frequency: 1.5 },
    outOfRange,
    /a whole number .* got 1\.5/,
  ],
  ['two clips', { clipnorm: 1, clipvalue: 1 }, outOfRange, /at most one of .* got clipnorm and clipvalue/],
  ['two norms', { clipnorm: 1, global_clipnorm: 0 }, outOfRange, /got clipnorm and global_clipnorm/],
  ['a norm of all and a clip', { clipvalue: 0, global_clipnorm: 1 }, outOfRange, /got global_clipnorm and clipvalue/],
  ['an unknown option', { momemtum: 0.9 }, wrongKind, /only options that it knows .* got "momemtum"/],
  ['an option of Keras 2', { jit_compile: true }, wrongKind, /got "jit_compile"/],
  ['lr', { lr: 0.1 }, wrongKind, /expects lr to be left out: its name is learning_rate, got 0\.1/],
  [
    'an inherited name',
    Object.defineProperty({}, '__proto__', { value: {}, enumerable: true }),
    wrongKind,
    /"__proto__"/,
  ],
  ['an option in another case', { Learning_rate: 1 }, wrongKind, /got "Learning_rate"/],
];

/** Of the classes with a rate that `decay` lowers. */
export const decaying: readonly OptionsRow[] = [
  ...number('decay', [-0.1]),
  ['decay beside a schedule', { decay: 0.1, learning_rate: schedule }, outOfRange, /beside a number .* got a schedule/],
  ['decay beside a function', { decay: 0.1, learning_rate: () => 1 }, outOfRange, /beside a number .* got a function/],
];

const [outside, negative] = [[-0.1, 1.1], [-0.1]];
const moments = (beta: readonly number[] = outside) => [...number('beta_1', beta), ...number('beta_2', outside)];
const epsilon = number('epsilon', negative);
const flag = (name: string) => kinds(name, noFlags);
const adam = [...moments(), ...epsilon, ...flag('amsgrad')];
const l = ['l1_regularization_strength', 'l2_regularization_strength', 'l2_shrinkage_regularization_strength'];
const left = (name: string, value: unknown, message: RegExp): OptionsRow => [
  name,
  { [name]: value },
  wrongKind,
  message,
];

/** Of one class. */
export const own: Readonly<Record<string, readonly OptionsRow[]>> = {
  SGD: [...number('momentum', outside), ...flag('nesterov')],
  RMSprop: [...number('rho', outside), ...number('momentum', outside), ...epsilon, ...flag('centered')],
  Adagrad: [...number('initial_accumulator_value', negative), ...epsilon],
  Adadelta: [...number('rho', outside), ...epsilon],
  Adam: adam,
  AdamW: [...adam, ...kinds('weight_decay', [[null, 'null']])],
  Adamax: [...moments(), ...epsilon],
  Nadam: [
    ...moments(),
    ...epsilon,
    ...number('momentum_decay', negative, [NaN, -Infinity]),
    left('decay', 0.1, /expects decay to be left out: of the momentum it is momentum_decay, of the learning rate/),
    left('schedule_decay', 0.004, /expects schedule_decay to be left out: its name is momentum_decay, got 0\.004/),
  ],
  Ftrl: [
    ...number('learning_rate_power', [0.1]),
    ...['initial_accumulator_value', ...l].flatMap((name) => number(name, negative)),
    ...number('beta'),
  ],
  Adafactor: [
    ...number('beta_2_decay', [0.1]),
    ...['epsilon_1', 'epsilon_2'].flatMap((name) => number(name, negative)),
    ...number('clip_threshold', [0, ...negative]),
    ...flag('relative_step'),
  ],
  Lamb: [...moments(), ...epsilon],
  Lion: moments([0, ...outside]),
  Muon: [
    ...number('adam_beta_1', outside),
    ...number('adam_beta_2', outside),
    ...epsilon,
    ...['muon_a', 'muon_b', 'muon_c', 'adam_lr_ratio', 'momentum', 'adam_weight_decay', 'rms_rate'].flatMap((name) =>
      number(name),
    ),
    ...number('ns_steps', [-1, 1.5]),
    ...['nesterov', 'exclude_embeddings'].flatMap(flag),
    ['a layer that is no list', { exclude_layers: 'output' }, wrongKind, /regular expressions, .* got "output"/],
    ['a layer that is no string', { exclude_layers: [/output/] }, wrongKind, /regular expressions/],
    ['a layer that is no expression', { exclude_layers: ['('] }, outOfRange, /exclude_layers to be a list of regular/],
  ],
  ScheduleFreeAdamW: [...moments([0, ...outside]), ...epsilon, ...number('warmup_steps', negative)],
};
