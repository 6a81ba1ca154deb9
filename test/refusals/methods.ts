// Calls of other methods that are refused: on every optimizer, after its first step.
import { Variable, type Optimizer } from '../../lib/index.ts';
import { onPairs } from './pairs.ts';
import { any, detached, of, type MethodRow as Row, type Scene } from './scene.ts';

const [wrongKind, outOfRange, wrongArray] = ['ERR_OPT_CONFIG_TYPE', 'ERR_OPT_CONFIG_RANGE', 'ERR_OPT_ARRAY_TYPE'];
const [wrongLength, unknown, missing] = ['ERR_OPT_LENGTH', 'ERR_OPT_UNKNOWN_VARIABLE', 'ERR_OPT_NO_GRADIENT'];
const stranger = new Variable([1, 2], { name: 'stranger' });

const onStep = (what: string, args: (scene: Scene) => unknown[], code: string, message: RegExp): Row => [
  what,
  (scene) => scene.optimizer.update_step(...(args(scene) as Parameters<Optimizer['update_step']>)),
  code,
  message,
];
const updateStep = of('update_step', [
  onStep('a short gradient', ({ kernel }) => [[1], kernel], wrongLength, /has 1 elements, its variable has 2/),
  onStep('no gradient', ({ kernel }) => [null, kernel], missing, /at least one/),
  onStep('a gradient left out', ({ kernel }) => [undefined, kernel], wrongArray, /got undefined/),
  onStep('a text', ({ kernel }) => ['x', kernel], wrongArray, /got "x"/),
  onStep('a gradient without memory', ({ kernel }) => [detached(), kernel], 'ERR_OPT_DETACHED', /detached/),
  onStep('the variable itself', ({ kernel }) => [kernel, kernel], 'ERR_OPT_ALIAS', /overlaps/),
  onStep('another dtype', ({ bias }) => [new Float32Array(1), bias], wrongArray, /dtype float64/),
  onStep('an unknown variable', () => [[1, 1], stranger], unknown, /built with, got "stranger"/),
  onStep('a number for a variable', () => [[1, 1], 3], unknown, /got 3/),
  onStep('no variable', () => [[1, 1]], unknown, /got undefined/),
  onStep('a rate that is a text', ({ kernel }) => [[1, 1], kernel, '0.1'], wrongKind, /learning_rate .* got "0\.1"/),
  onStep('a rate of null', ({ kernel }) => [[1, 1], kernel, null], wrongKind, /learning_rate .* got null/),
  onStep('a rate of NaN', ({ kernel }) => [[1, 1], kernel, NaN], outOfRange, /learning_rate .* got NaN/),
]);

const onStateless = (what: string, args: (scene: Scene) => unknown[], code: string, message: RegExp): Row => [
  what,
  (scene) => scene.optimizer.stateless_apply(...(args(scene) as [[], [], []])),
  code,
  message,
];
const good = [[1, 1], [1]];
const state = ({ optimizer }: Scene) => optimizer.variables;
const first = (scene: Scene, value: unknown) => [value, ...state(scene).slice(1)];
const stateless = of('stateless_apply', [
  onStateless(
    'too little state',
    (s) => [state(s).slice(1), good, [s.kernel, s.bias]],
    wrongLength,
    /expects \d+ arrays/,
  ),
  onStateless('too few variables', (s) => [state(s), good, [s.kernel]], wrongLength, /expects 2 arrays, .* got 1/),
  onStateless(
    'too few gradients',
    (s) => [state(s), [[1, 1]], [s.kernel, s.bias]],
    wrongLength,
    /2 gradients, .* got 1/,
  ),
  onStateless('a short gradient', (s) => [state(s), [[1], [1]], [s.kernel, s.bias]], wrongLength, /has 1 elements/),
  onStateless('a long variable', (s) => [state(s), good, [[1, 2, 3], [1]]], wrongLength, /expects 2 elements, got 3/),
  onStateless(
    'a number for the gradients',
    (s) => [state(s), 3, [s.kernel, s.bias]],
    wrongArray,
    /of gradients, got 3/,
  ),
  onStateless('a number for the state', (s) => [3, good, [s.kernel, s.bias]], wrongArray, /array of weights, got 3/),
  onStateless('a number for the variables', (s) => [state(s), good, 3], wrongArray, /array of weights, got 3/),
  onStateless(
    'a counter below 0',
    (s) => [first(s, -1), good, [s.kernel, s.bias]],
    outOfRange,
    /whole number >= 0, got -1/,
  ),
]);

const setWeights = of('set_weights', [
  ['too few', ({ optimizer }) => optimizer.set_weights([1]), wrongLength, /expects \d+ arrays, .* got 1/],
  ['none', ({ optimizer }) => optimizer.set_weights(any(undefined)), wrongArray, /an array of weights, got undefined/],
  ...(
    [
      ['a counter that is no whole number', 1.5, outOfRange, /a whole number >= 0, got 1\.5/],
      ['a counter of NaN', NaN, outOfRange, /got NaN/],
      ['a counter of 2^53', 2 ** 53, outOfRange, /got 9007199254740992/],
      ['a text', '1', wrongArray, /got "1"/],
      ['null', null, wrongArray, /got null/],
      ['a list of texts', ['1'], wrongArray, /expects numbers, got "1" at index 0/],
      ['an array that is too long', [1, 2], wrongLength, /expects 1 elements, got 2/],
    ] as const
  ).map(([what, weight, ...rest]): Row => [what, (s) => s.optimizer.set_weights(any(first(s, weight))), ...rest]),
]);

const named = ({ kernel, bias }: Scene) => ({ kernel, bias });
const grads = { kernel: [1, 1], bias: [1] };
const onNames = (what: string, args: (scene: Scene) => unknown[], code: string, message: RegExp): Row => [
  what,
  (scene) => scene.optimizer.update(...(args(scene) as [never, never])),
  code,
  message,
];
const update = of('update', [
  onNames(
    'a missing gradient',
    (s) => [named(s), { kernel: [1, 1] }],
    missing,
    /grads for "kernel", "bias", "bias" is missing/,
  ),
  onNames('a gradient too many', (s) => [named(s), { ...grads, more: [1] }], unknown, /grads for .* got "more" too/),
  onNames('a missing variable', ({ kernel }) => [{ kernel }, grads], missing, /params for .* "bias" is missing/),
  onNames('a variable too many', (s) => [{ ...named(s), x: s.kernel }, grads], unknown, /params for .* got "x" too/),
  onNames('another variable', (s) => [{ ...named(s), kernel: stranger }, grads], unknown, /that it was built with/),
  onNames(
    'names exchanged',
    ({ kernel, bias }) => [{ kernel: bias, bias: kernel }, grads],
    wrongLength,
    /has 2 elements/,
  ),
  onNames(
    'a number for the variables',
    () => [3, grads],
    wrongArray,
    /params to be a Map or an object by names, got 3/,
  ),
  onNames('a list of gradients', (s) => [named(s), good], wrongArray, /grads to be a Map or an object .* got an array/),
  onNames('a Map by numbers', (s) => [named(s), new Map([[1, [1]]])], wrongArray, /grads to be a Map/),
  onNames('an instance of a class', (s) => [named(s), new Date()], wrongArray, /got an object/),
  onNames('a short gradient', (s) => [named(s), { ...grads, kernel: [1] }], wrongLength, /\("kernel"\) has 1 elements/),
  onNames(
    'gradients of null',
    (s) => [named(s), { kernel: null, bias: null }],
    missing,
    /at least one variable, got none/,
  ),
]);

const assigned = (['assign', 'assign_add', 'assign_sub'] as const).flatMap((method) => {
  const row = (what: string, to: (scene: Scene) => unknown, value: unknown, code: string, message: RegExp): Row => [
    what,
    (scene) => scene.optimizer[method](any(to(scene)), any(value)),
    code,
    message,
  ];
  const kernel = (scene: Scene) => scene.kernel;
  return of(method, [
    row('too few numbers', kernel, [1], wrongLength, /expects 2 elements, got 1/),
    row('a number', kernel, 3, wrongArray, /got 3/),
    row('a list with a text', kernel, [1, 'x'], wrongArray, /expects numbers, got "x" at index 1/),
    row('an array without memory', kernel, detached(), 'ERR_OPT_DETACHED', /detached/),
    row('a number for a variable', () => 3, [1], wrongArray, new RegExp(`\\.${method} expects a Variable, .* got 3`)),
    row(
      'an unknown array',
      () => new Float32Array(2),
      [1, 2],
      wrongArray,
      /an array that the optimizer was built with/,
    ),
    row('the counter', ({ optimizer }) => optimizer.variables[0], [1], 'ERR_OPT_READ_ONLY', /read-only/),
  ]);
});

const others: readonly Row[] = [
  ...of('finalize_variable_values', [
    ['an unknown variable', ({ optimizer }) => optimizer.finalize_variable_values([stranger]), unknown, /built with/],
    ['no list', ({ optimizer }) => optimizer.finalize_variable_values(any(3)), wrongArray, /of variables, got 3/],
    ['one twice', ({ optimizer, bias }) => optimizer.finalize_variable_values([bias, bias]), 'ERR_OPT_ALIAS', /once/],
  ]),
  ...of('exclude_from_weight_decay', [
    [
      'a number',
      ({ optimizer }) => optimizer.exclude_from_weight_decay(any(3)),
      wrongKind,
      /\{ var_list, var_names \}, got 3/,
    ],
    ['a list', ({ optimizer }) => optimizer.exclude_from_weight_decay(any([])), wrongKind, /got an array/],
    ...(
      [
        { names: ['x'] },
        { var_list: 3 },
        { var_list: [3] },
        { var_names: 'x' },
        { var_names: [3] },
        { var_names: ['('] },
      ] as const
    ).map((options): Row => [
      JSON.stringify(options),
      ({ optimizer }) => optimizer.exclude_from_weight_decay(any(options)),
      wrongKind,
      /expects .* got/,
    ]),
  ]),
  ...of(
    'learning_rate',
    (
      [
        ['NaN', NaN, outOfRange],
        ['a text', '0.1', wrongKind],
        ['null', null, wrongKind],
        ['true', true, wrongKind],
      ] as const
    ).map(([what, rate, code]): Row => [
      what,
      ({ optimizer }) => (optimizer.learning_rate = any(rate)),
      code,
      /expects learning_rate to be a finite number, a schedule or a function of the raw counter, got/,
    ]),
  ),
  ['lr, read', ({ optimizer }) => optimizer.lr, wrongKind, /expects learning_rate to be read, got lr/],
  ['lr, set', ({ optimizer }) => (optimizer.lr = any(1)), wrongKind, /expects learning_rate to be set, got lr/],
];

export const methods: readonly Row[] = [
  ...onPairs,
  ...updateStep,
  ...stateless,
  ...setWeights,
  ...update,
  ...assigned,
  ...others,
];
