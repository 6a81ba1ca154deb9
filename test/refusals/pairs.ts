// Pairs of gradients and variables, and tapes, that are refused.
import { any, of, type MethodRow as Row } from './scene.ts';

const [wrongKind, wrongArray, wrongLength] = ['ERR_OPT_CONFIG_TYPE', 'ERR_OPT_ARRAY_TYPE', 'ERR_OPT_LENGTH'];

type Given = readonly [what: string, given: unknown, code: string, message: RegExp];
const pairs: readonly Given[] = [
  ['a number', 3, wrongArray, /expects an array of \[gradient, variable\], got 3/],
  ['null', null, wrongArray, /got null/],
  ['pairs of one', [[1]], wrongArray, /got an array/],
  ['pairs of three', [[1, 2, 3]], wrongArray, /got an array/],
  ['a list of numbers', [1], wrongArray, /got an array/],
  ['no pairs', [], wrongLength, /a non-empty array, got none/],
];
const listed = (['aggregate_gradients', 'apply_gradients'] as const).flatMap((method) =>
  of(
    method,
    pairs.map(([what, given, ...rest]): Row => [what, ({ optimizer }) => optimizer[method](any(given)), ...rest]),
  ),
);

const gives = (gradients: unknown) => ({ gradient: () => gradients });
const tapes: readonly Given[] = [
  [
    'no tape',
    undefined,
    wrongKind,
    /tape to be an object with a method gradient.* got undefined; .* not differentiate: pass/,
  ],
  ['a tape of null', null, wrongKind, /got null/],
  ['a tape that is a number', 3, wrongKind, /got 3/],
  ['a tape without gradient', {}, wrongKind, /got an object/],
  ['a tape whose gradient is no function', { gradient: 3 }, wrongKind, /expects tape/],
  ['a tape that gives a number', gives(3), wrongArray, /tape.gradient to return an array of gradients, got 3/],
  ['a tape that gives a promise', gives(Promise.resolve([])), wrongArray, /got an object/],
  ['a tape that gives nothing', gives(undefined), wrongArray, /got undefined/],
  ['a tape that gives too few', gives([]), wrongLength, /to return 1 gradients, one for each variable, got 0/],
  ['a tape that gives too many', gives([1, 2]), wrongLength, /got 2/],
];
const onTapes = (['compute_gradients', 'minimize'] as const).flatMap((method) =>
  of(method, [
    ...tapes.map(([what, tape, ...rest]): Row => [
      what,
      ({ optimizer, kernel }) => optimizer[method](0, [kernel], any(tape)),
      ...rest,
    ]),
    [
      'no list',
      ({ optimizer }) => optimizer[method](0, any(3), any(gives([]))),
      wrongArray,
      /variables to be an array/,
    ],
  ]),
);

const skips = of(
  'apply_gradients',
  ([{ skip_gradients_aggregation: 1 }, { skip: true }, 3, null] as const).map((options, i): Row => [
    ['a flag that is a number', 'an unknown option', 'a number as options', 'null as options'][i] as string,
    ({ optimizer, kernel }) => optimizer.apply_gradients([[[1, 1], kernel]], any(options)),
    wrongKind,
    /\.apply_gradients expects .* got/,
  ]),
);

export const onPairs: readonly Row[] = [...listed, ...onTapes, ...skips];
