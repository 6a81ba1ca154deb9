// Variables of its own that an optimizer refuses.
import { Variable, type Optimizer } from '../../lib/index.ts';
import { any, type MethodRow as Row, type Scene } from './scene.ts';

const [wrongKind, outOfRange, wrongArray] = ['ERR_OPT_CONFIG_TYPE', 'ERR_OPT_CONFIG_RANGE', 'ERR_OPT_ARRAY_TYPE'];

type Given = readonly [what: string, options: unknown, code: string, message: RegExp];
/** Of all methods that add variables. */
const settings: readonly Given[] = [
  ['a shape that is a number', { shape: 3 }, wrongKind, /expects shape to be an array of whole numbers >= 0.*, got 3/],
  ['a negative shape', { shape: [-1] }, outOfRange, /expects shape/],
  ['half an element', { shape: [1.5] }, outOfRange, /expects shape/],
  ['a shape of texts', { shape: ['1'] }, outOfRange, /expects shape/],
  ['a shape of 2^60', { shape: [2 ** 30, 2 ** 30] }, outOfRange, /expects shape/],
  ['an unknown initializer', { initializer: 'random' }, outOfRange, /"zeros", "ones" or a function .* got "random"/],
  ['an initializer that is a number', { initializer: 3 }, wrongKind, /got 3/],
  ['an initializer of too few', { shape: [2], initializer: () => [1] }, 'ERR_OPT_LENGTH', /expects 2 elements, got 1/],
  ['an initializer of texts', { shape: [1], initializer: () => ['x'] }, wrongArray, /expects numbers, got "x"/],
  ['an initializer of nothing', { shape: [1], initializer: () => {} }, wrongArray, /got undefined/],
  ['a name that is a number', { name: 3 }, wrongKind, /name to be a string, got 3/],
  ['an unknown option', { size: 3 }, wrongKind, /only options that it knows \(.*\), got "size"/],
  ['a text as options', 'x', wrongKind, /one object of options, as in \w+\.add_variable\w*\(\{/],
  ['null as options', null, wrongKind, /got \(null\)/],
];
const added: readonly Row[] = [
  ...settings,
  ['an unknown dtype', { dtype: 'int8' }, outOfRange, /dtype .* got "int8"/] as const,
  ['a dtype that is a number', { dtype: 32 }, wrongKind, /dtype .* got 32/] as const,
].map(([what, options, ...rest]): Row => [
  `add_variable: ${what}`,
  ({ optimizer }) => optimizer.add_variable(any(options)),
  ...rest,
]);

const of = (
  what: string,
  action: (optimizer: Optimizer, scene: Scene) => unknown,
  code: string,
  message: RegExp,
): Row => [`add_variable_from_reference: ${what}`, (scene) => action(scene.optimizer, scene), code, message];
const values: readonly Given[] = [
  ['too few values', { initial_value: [1] }, 'ERR_OPT_LENGTH', /expects 2 elements, got 1/],
  ['a value that is a number', { initial_value: 3 }, wrongKind, /numbers, a variable or null, got 3/],
  ['a value that is an object', { initial_value: {} }, wrongArray, /got an object/],
  ['two values', { initial_value: [1, 2], initializer: 'ones' }, outOfRange, /an initial_value, got both/],
];
const referenced: readonly Row[] = [
  ...settings.map(([what, options, ...rest]) =>
    of(what, (optimizer, { kernel }) => optimizer.add_variable_from_reference(kernel, any(options)), ...rest),
  ),
  of(
    'a dtype',
    (o, { kernel }) => o.add_variable_from_reference(kernel, any({ dtype: 'float64' })),
    wrongKind,
    /"dtype"/,
  ),
  of('a number', (o) => o.add_variable_from_reference(any(3)), wrongArray, /a Variable, or an array .* got 3/),
  of('an unknown array', (o) => o.add_variable_from_reference(new Float32Array(1)), wrongArray, /got a Float32Array/),
  of(
    'no variable',
    (o) => o.add_variable_from_reference(Object.create(Variable.prototype) as Variable),
    wrongArray,
    /object/,
  ),
  of(
    'the counter',
    (o) => o.add_variable_from_reference(any(o.variables[0])),
    wrongArray,
    /float32 or float64 .* int64/,
  ),
  ...values.map(([what, options, ...rest]) =>
    of(what, (o, { kernel }) => o.add_variable_from_reference(kernel, any(options)), ...rest),
  ),
];

const list = (what: string, args: (scene: Scene) => unknown[], code: string, message: RegExp): Row => [
  `add_optimizer_variables: ${what}`,
  (scene) => {
    const [variables, name, options] = args(scene);
    return scene.optimizer.add_optimizer_variables(any(variables), any(name), any(options));
  },
  code,
  message,
];
const both = ['a', 'b'];
const lists: readonly Row[] = [
  list('a name that is a number', ({ kernel }) => [[kernel], 3], wrongKind, /name to be a string or strings, got 3/),
  list('no name', ({ kernel }) => [[kernel], []], wrongKind, /got an array/),
  list('names of which one is none', ({ kernel }) => [[kernel], ['a', 1]], wrongKind, /got an array/),
  list(
    'too few initializers',
    ({ kernel }) => [[kernel], both, { initializer: ['ones'] }],
    'ERR_OPT_LENGTH',
    /2 initializers, .* got 1/,
  ),
  list(
    'a bad initializer',
    ({ kernel }) => [[kernel], both, { initializer: ['ones', 'twos'] }],
    outOfRange,
    /got "twos"/,
  ),
  list(
    'an initializer of 3',
    ({ kernel }) => [[kernel], both, { initializer: 3 }],
    wrongKind,
    /an array of these, got 3/,
  ),
  list('an unknown option', ({ kernel }) => [[kernel], both, { initialiser: 'ones' }], wrongKind, /got "initialiser"/),
  list('null as options', ({ kernel }) => [[kernel], both, null], wrongKind, /as in \w+\.add_.* got \(null\)/),
  list('a number among the variables', ({ kernel }) => [[kernel, 3], both], wrongArray, /got 3/),
  list('no list', () => [3, 'a'], wrongArray, /expects variables to be an array/),
];

export const additions: readonly Row[] = [...added, ...referenced, ...lists];
