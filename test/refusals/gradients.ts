// Gradients and variables that apply refuses.
import { runInNewContext } from 'node:vm';

import { Variable } from '../../lib/index.ts';
import { stepped } from './slices.ts';
import { detached, resizable, type Row as RowOf, type Scene } from './scene.ts';

/** A gradient of the bias. */
export const good = new Float64Array([1]);

const shadowed = (property: string, value: unknown): Float32Array =>
  Object.defineProperty(new Float32Array(3), property, { value });
let made: Float32Array | undefined;
const huge = () => (made ??= new Float32Array(2 ** 31 + 8)); // of memory that is never touched
const integerArrays = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array];

export type Arguments = readonly [gradients?: unknown, variables?: unknown];
/** The arguments of apply. */
type Row = RowOf<(scene: Scene) => Arguments>;

const kernelGradient = (name: string, gradient: (scene: Scene) => unknown, code: string, message: RegExp): Row => [
  name,
  (scene) => [[gradient(scene), good]],
  code,
  message,
];
const wrongKind = (name: string, value: unknown, got: RegExp): Row =>
  kernelGradient(
    name,
    () => value,
    'ERR_OPT_ARRAY_TYPE',
    new RegExp(`gradients\\[0\\] \\("kernel"\\) is expected .* float32, .* got ${got.source}`),
  );

export const rows: readonly Row[] = [
  ['too few gradients', () => [[[1, 1]]], 'ERR_OPT_LENGTH', /expects 2 gradients, one for each variable, got 1/],
  ['too many gradients', () => [[[1, 1], [1], [1]]], 'ERR_OPT_LENGTH', /expects 2 gradients, .* got 3/],
  ['a number for the gradients', () => [3], 'ERR_OPT_ARRAY_TYPE', /expects an array of gradients, got 3/],
  ['null for the gradients', () => [null], 'ERR_OPT_ARRAY_TYPE', /got null/],
  ['an object for the gradients', () => [{ length: 2 }], 'ERR_OPT_ARRAY_TYPE', /got an object/],
  ['a typed array for the gradients', () => [new Float32Array(2)], 'ERR_OPT_ARRAY_TYPE', /got a Float32Array/],
  kernelGradient(
    'a short gradient',
    () => new Float32Array(1),
    'ERR_OPT_LENGTH',
    /gradients\[0\] \("kernel"\) has 1 elements, its variable has 2/,
  ),
  kernelGradient('a long gradient', () => new Float32Array(3), 'ERR_OPT_LENGTH', /has 3 elements, its variable has 2/),
  kernelGradient('an empty gradient', () => new Float32Array(0), 'ERR_OPT_LENGTH', /has 0 elements/),
  kernelGradient('an empty list', () => [], 'ERR_OPT_LENGTH', /has 0 elements/),
  kernelGradient('a huge gradient', () => huge(), 'ERR_OPT_LENGTH', /has 2147483656 elements/),
  kernelGradient('a hidden length', () => shadowed('length', 2), 'ERR_OPT_LENGTH', /has 3 elements/),
  kernelGradient(
    'a gradient whose buffer has been transferred',
    detached,
    'ERR_OPT_DETACHED',
    /gradients\[0\] \("kernel"\) expects an array with memory, .* detached/,
  ),
  kernelGradient(
    'a gradient in a resizable buffer',
    () => new Float32Array(resizable(8)),
    'ERR_OPT_RESIZABLE',
    /fixed length/,
  ),
  kernelGradient(
    'the variable as its own gradient',
    ({ kernel }) => kernel.value,
    'ERR_OPT_ALIAS',
    /gradients\[0\] overlaps a variable or its state/,
  ),
  kernelGradient('the variable object as its own gradient', ({ kernel }) => kernel, 'ERR_OPT_ALIAS', /overlaps/),
  kernelGradient('a list with a text', () => ['1', 1], 'ERR_OPT_ARRAY_TYPE', /expects numbers, got "1" at index 0/),
  kernelGradient('a list with null', () => [1, null], 'ERR_OPT_ARRAY_TYPE', /got null at index 1/),
  kernelGradient('a list with a hole', () => [1, , 2].slice(0, 2), 'ERR_OPT_ARRAY_TYPE', /got undefined at index 1/), // eslint-disable-line no-sparse-arrays
  kernelGradient('a list with a bigint', () => [1, 2n], 'ERR_OPT_ARRAY_TYPE', /got 2n at index 1/),
  kernelGradient('a variable of another dtype', ({ bias }) => bias, 'ERR_OPT_ARRAY_TYPE', /float32/),
  ...integerArrays.map((type) => wrongKind(`a ${type.name}`, new type(2), new RegExp(`a ${type.name}`))),
  wrongKind('a Float64Array', new Float64Array(2), /a Float64Array/),
  wrongKind('a BigInt64Array', new BigInt64Array(2), /a BigInt64Array/),
  wrongKind('a BigUint64Array', new BigUint64Array(2), /a BigUint64Array/),
  wrongKind('a DataView', new DataView(new ArrayBuffer(8)), /a DataView/),
  wrongKind('an ArrayBuffer', new ArrayBuffer(8), /an object/),
  wrongKind('a proxy of a typed array', new Proxy(new Float32Array(2), {}), /an object/),
  wrongKind('a proxy of a variable', new Proxy(new Variable([1, 2]), {}), /an object/),
  wrongKind('an object that claims to be a variable', Object.create(Variable.prototype), /an object/),
  wrongKind('an object that claims to be one', Object.create(Float32Array.prototype), /an object/),
  wrongKind('a typed array of another realm and dtype', runInNewContext('new Int32Array(2)'), /a Int32Array/),
  wrongKind('undefined in place of null', undefined, /undefined/),
  wrongKind('a number', 1, /1/),
  wrongKind('a text', '11', /"11"/),
  wrongKind('a function', () => 1, /a function/),
  wrongKind('a symbol', Symbol('g'), /a symbol/),
  wrongKind('a promise', Promise.resolve(1), /an object/),
  ...stepped.map(([name, ...row]) => kernelGradient(`slices with ${name}`, ...row)),
  ['no gradient at all', () => [[null, null]], 'ERR_OPT_NO_GRADIENT', /a gradient for at least one variable, got none/],
  ['an unknown variable', () => [[[1]], [new Variable([1])]], 'ERR_OPT_UNKNOWN_VARIABLE', /built with, got "variable/],
  ['an unknown array', () => [[[1]], [new Float32Array(1)]], 'ERR_OPT_UNKNOWN_VARIABLE', /got a Float32Array/],
  ['a number for a variable', () => [[[1]], [5]], 'ERR_OPT_UNKNOWN_VARIABLE', /got 5/],
  ['null for a variable', () => [[[1]], [null]], 'ERR_OPT_UNKNOWN_VARIABLE', /got null/],
  [
    'the live values in place of the variable',
    ({ kernel }) => [[[1, 1]], [kernel.value]],
    'ERR_OPT_UNKNOWN_VARIABLE',
    /Float32Array/,
  ],
  ['a state variable', ({ optimizer }) => [[[1]], [optimizer.variables[0]]], 'ERR_OPT_UNKNOWN_VARIABLE', /iteration/],
  [
    'a variable twice',
    ({ kernel }) => [
      [
        [1, 1],
        [1, 1],
      ],
      [kernel, kernel],
    ],
    'ERR_OPT_ALIAS',
    /each variable once/,
  ],
  ['a text for the variables', () => [[[1]], 'kernel'], 'ERR_OPT_ARRAY_TYPE', /an array of variables, got "kernel"/],
  ['an object for the variables', () => [[[1]], {}], 'ERR_OPT_ARRAY_TYPE', /got an object/],
];
