// What the callbacks refuse: with class, code and message, and with everything as it was before.
import { assert } from 'chai';

import { AdamW, ExponentialDecay, SGD, Variable, type Optimizer } from '../lib/index.ts';
import {
  Callback,
  LearningRateScheduler,
  ReduceLROnPlateau,
  SwapEMAWeights,
  type Logs,
} from '../lib/callbacks/index.ts';
import { refused, thrown } from './errors.ts';

type Row = readonly [name: string, action: (scene: Scene) => unknown, code: string, message: RegExp];
const [wrongKind, outOfRange] = ['ERR_OPT_CONFIG_TYPE', 'ERR_OPT_CONFIG_RANGE'];

/** Callbacks in the middle of a run, and what a schedule returns next. */
class Scene {
  readonly variable = new Variable([1, 2]);
  readonly optimizer: Optimizer = new AdamW({ learning_rate: 0.25, use_ema: true });
  next: unknown = 0.125;
  readonly scheduler = new LearningRateScheduler(() => this.next as number);
  readonly plateau = new ReduceLROnPlateau({ patience: 1, cooldown: 1 });
  readonly swap = new SwapEMAWeights({ swap_on_epoch: true });
  readonly fresh = [new LearningRateScheduler(() => 1), new ReduceLROnPlateau(), new SwapEMAWeights()] as const;
  readonly logs: Logs = { val_loss: 1 };

  constructor() {
    for (const step of [1, 2]) this.optimizer.apply([[step, step]], [this.variable]);
    for (const callback of this.callbacks) callback.set_model({ optimizer: this.optimizer });
    for (const epoch of [0, 1]) this.plateau.on_epoch_end(epoch, { ...this.logs });
    this.optimizer.learning_rate = 0.25;
  }

  get callbacks(): readonly Callback[] {
    return [this.scheduler, this.plateau, this.swap];
  }

  state(): unknown {
    const { wait, cooldown_counter, best } = this.plateau;
    const models = [...this.callbacks, ...this.fresh].map(({ model, params }) => [model?.optimizer, params]);
    return {
      wait,
      cooldown_counter,
      best,
      models,
      rate: this.optimizer.learning_rate,
      logged: this.logs.learning_rate,
    };
  }
}
const any = <T>(value: T): never => value as never;

const schedules: readonly [string, unknown, RegExp][] = [
  ['nothing', undefined, /expects schedule to be a function of the epoch and the learning rate, got undefined/],
  ['a number', 0.1, /got 0.1/],
  ['an object of options', { schedule: () => 1 }, /got an object/],
  ['the class of a schedule', ExponentialDecay, /got the class ExponentialDecay: make an instance/],
  ['null', null, /got null/],
];
const options: readonly [string, unknown, string, RegExp][] = [
  ['factor', 1, outOfRange, /ReduceLROnPlateau expects factor to be a number in \[0, 1\), got 1/],
  ['factor', 1.5, outOfRange, /got 1.5/],
  ['factor', -0.1, outOfRange, /got -0.1/],
  ['factor', NaN, outOfRange, /got NaN/],
  ['factor', '0.1', wrongKind, /got "0.1"/],
  ['patience', -1, outOfRange, /patience to be a whole number >= 0, got -1/],
  ['patience', 1.5, outOfRange, /got 1.5/],
  ['patience', null, wrongKind, /got null/],
  ['cooldown', Infinity, outOfRange, /cooldown to be a whole number >= 0, got Infinity/],
  ['cooldown', [1], wrongKind, /got an array/],
  ['min_lr', -1, outOfRange, /min_lr to be a number >= 0, got -1/],
  ['min_lr', 1n, wrongKind, /got 1n/],
  ['min_delta', NaN, outOfRange, /min_delta to be a finite number, got NaN/],
  ['verbose', true, wrongKind, /verbose to be a whole number >= 0, got true/],
  ['mode', 3, wrongKind, /mode to be a string, got 3/],
  ['monitor', 3, wrongKind, /monitor to be a string, got 3/],
  ['monitor', 'val_accuracy', outOfRange, /"min" or "max", whichever is better for "val_accuracy", got "auto"/],
  ['epsilon', 0.1, wrongKind, /only options that it knows \(monitor, factor, .*\), got "epsilon"/],
  ['__proto__', {}, wrongKind, /got "__proto__"/],
];
const models: readonly [string, unknown, RegExp][] = [
  ['nothing', undefined, /expects set_model\(\{ optimizer \}\) with an optimizer of this package, got undefined/],
  ['null', null, /got null/],
  ['a model without an optimizer', {}, /got undefined/],
  ['an optimizer in place of a model', new SGD({ use_ema: true }), /got undefined/],
  ['the name of an optimizer', { optimizer: 'sgd' }, /got "sgd"/],
  ['the class of an optimizer', { optimizer: SGD }, /got the class SGD: make an instance/],
  [
    'a schedule',
    { optimizer: new ExponentialDecay(any({ initial_learning_rate: 1, decay_steps: 1, decay_rate: 1 })) },
    /got a function/,
  ],
  ['something like an optimizer', { optimizer: { learning_rate: 0.1, variables: [], use_ema: true } }, /got an object/],
];
const epochs: readonly [unknown, string][] = [
  [undefined, wrongKind],
  ['1', wrongKind],
  [-1, outOfRange],
  [0.5, outOfRange],
  [NaN, outOfRange],
];
const rates: readonly [unknown, string, RegExp][] = [
  [undefined, wrongKind, /LearningRateScheduler expects schedule\(3, 0.25\) to be a finite number, got undefined/],
  ['0.1', wrongKind, /got "0.1"/],
  [null, wrongKind, /got null/],
  [Promise.resolve(0.1), wrongKind, /got an object/],
  [NaN, outOfRange, /got NaN/],
  [-Infinity, outOfRange, /got -Infinity/],
];
const logs: readonly [string, unknown, RegExp][] = [
  ['a number', 3, /expects logs to be an object, got 3/],
  ['an array', [], /got an array/],
  ['a frozen object', Object.freeze({ val_loss: 1 }), /expects logs that take a learning_rate, got a frozen object/],
];

const rows: readonly Row[] = [
  ...schedules.map(([name, value, message]): Row => [
    `${name} as a schedule`,
    () => new LearningRateScheduler(any(value)),
    wrongKind,
    message,
  ]),
  [
    'verbose outside of an object',
    () => new LearningRateScheduler(() => 1, any(1)),
    wrongKind,
    /expects \(schedule, \{ verbose \}\), got \(a function, 1\)/,
  ],
  [
    'an unknown option of LearningRateScheduler',
    () => new LearningRateScheduler(() => 1, any({ verbos: 1 })),
    wrongKind,
    /\(verbose\), got "verbos"/,
  ],
  ['a negative verbose', () => new LearningRateScheduler(() => 1, { verbose: -1 }), outOfRange, /got -1/],
  ...options.map(([name, value, code, message]): Row => [
    `${name}: ${typeof value === 'bigint' ? '1n' : JSON.stringify(value)}`,
    () => new ReduceLROnPlateau(Object.defineProperty({}, name, { value, enumerable: true })),
    code,
    message,
  ]),
  [
    'a positional ReduceLROnPlateau',
    () => new (ReduceLROnPlateau as unknown as new (...args: unknown[]) => unknown)('loss', 0.1),
    wrongKind,
    /as in new ReduceLROnPlateau\(\{ monitor: \.\.\., \.\.\. \}\), got \("loss", 0.1\)/,
  ],
  [
    'a positional SwapEMAWeights',
    () => new SwapEMAWeights(any(true)),
    wrongKind,
    /as in new SwapEMAWeights\(\{ swap_on_epoch/,
  ],
  [
    'swap_on_epoch that is a number',
    () => new SwapEMAWeights({ swap_on_epoch: any(1) }),
    wrongKind,
    /true or false, got 1/,
  ],
  ...models.flatMap(([name, model, message]) =>
    [0, 1, 2].map((i): Row => [
      `${name} for set_model of callback ${i}`,
      ({ fresh }) => fresh[i]?.set_model(any(model)),
      wrongKind,
      message,
    ]),
  ),
  [
    'params that are a number',
    ({ swap }) => swap.set_params(any(3)),
    wrongKind,
    /SwapEMAWeights expects params to be an object, got 3/,
  ],
  [
    'a hook before set_model',
    ({ fresh }) => fresh[0].on_epoch_begin(0),
    'ERR_OPT_NO_MODEL',
    /expects set_model\(\{ optimizer \}\) before its hooks/,
  ],
  [
    'the end of an epoch before set_model',
    ({ fresh }) => fresh[1].on_epoch_end(0),
    'ERR_OPT_NO_MODEL',
    /ReduceLROnPlateau/,
  ],
  ['an evaluation before set_model', ({ fresh }) => fresh[2].on_test_begin(), 'ERR_OPT_NO_MODEL', /SwapEMAWeights/],
  ...epochs.flatMap(([epoch, code]) => [
    [
      `${String(epoch)} as the epoch that begins`,
      ({ scheduler }: Scene) => scheduler.on_epoch_begin(any(epoch)),
      code,
      /LearningRateScheduler expects epoch to be a whole number >= 0, got/,
    ] as Row,
    [
      `${String(epoch)} as the epoch that ends`,
      ({ plateau, logs }: Scene) => plateau.on_epoch_end(any(epoch), logs),
      code,
      /ReduceLROnPlateau expects epoch/,
    ] as Row,
    [
      `${String(epoch)} as the epoch to swap after`,
      ({ swap }: Scene) => swap.on_epoch_end(any(epoch)),
      code,
      /SwapEMAWeights expects epoch/,
    ] as Row,
  ]),
  ...rates.map(([value, code, message]): Row => [
    `a schedule that says ${String(value)}`,
    (scene) => ((scene.next = value), scene.scheduler.on_epoch_begin(3)),
    code,
    message,
  ]),
  ...logs.flatMap(([name, value, message]) => [
    [
      `${name} as logs of ReduceLROnPlateau`,
      ({ plateau }: Scene) => plateau.on_epoch_end(2, any(value)),
      wrongKind,
      message,
    ] as Row,
    [
      `${name} as logs of LearningRateScheduler`,
      ({ scheduler }: Scene) => scheduler.on_epoch_end(2, any(value)),
      wrongKind,
      message,
    ] as Row,
  ]),
  ...['1', true, [1], 1n].map((value): Row => [
    `a result that is ${typeof value}`,
    (scene) => scene.plateau.on_epoch_end(2, Object.assign(scene.logs, { val_loss: value, untouched: 1 })),
    wrongKind,
    /ReduceLROnPlateau expects logs.val_loss to be a number or null, got/,
  ]),
];

describe('the callbacks refuse, and leave everything as it was:', () => {
  it('a table of at least 25 bad inputs', () => assert.isAtLeast(rows.length, 25));

  for (const [name, action, code, message] of rows)
    it(name, async () => {
      const scene = new Scene();
      const before = scene.state();
      await refused(scene.optimizer, [scene.variable], () => action(scene), code, message);
      assert.deepEqual(scene.state(), before);
    });
});

describe('an optimizer whose learning rate is no number', () => {
  const decay = new ExponentialDecay({ initial_learning_rate: 1, decay_steps: 1, decay_rate: 0.5 });
  const message = (who: string) =>
    new RegExp(
      `^${who} expects the learning rate of SGD "mine" to be a number, which it can replace, got a schedule or a function: ` +
        `give the optimizer a number as learning_rate, or drop ${who}$`,
    );
  const callbacks = [
    ['LearningRateScheduler', () => new LearningRateScheduler(() => 1), 'on_epoch_begin'],
    ['ReduceLROnPlateau', () => new ReduceLROnPlateau(), 'on_epoch_end'],
  ] as const;
  for (const [what, learning_rate] of Object.entries({ schedule: decay, function: () => 0.1 }))
    for (const [who, make, hook] of callbacks)
      it(`is refused by ${who}, told at set_model and at a later hook: a ${what}`, async () => {
        const optimizer = new SGD({ learning_rate, name: 'mine' });
        const callback = make();
        await refused(optimizer, [], () => callback.set_model({ optimizer }), wrongKind, message(who));
        assert.isNull(callback.model);
        const changed = new SGD({ name: 'mine' });
        callback.set_model({ optimizer: changed });
        changed.learning_rate = learning_rate;
        await refused(changed, [], () => callback[hook](0, { val_loss: 1 }), wrongKind, message(who));
      });

  it('is fine for SwapEMAWeights, which refuses one without averages', async () => {
    const swap = new SwapEMAWeights();
    const without = new SGD({ name: 'mine' });
    await refused(
      without,
      [],
      () => swap.set_model({ optimizer: without }),
      outOfRange,
      /SwapEMAWeights expects use_ema of SGD "mine" to be true, got false: make it with use_ema: true, or drop SwapEMAWeights/,
    );
    swap.set_model({ optimizer: new SGD({ learning_rate: decay, use_ema: true }) });
    assert.propertyVal(
      thrown(() => swap.on_test_begin()),
      'code',
      'ERR_OPT_NOT_BUILT',
    );
  });
});
