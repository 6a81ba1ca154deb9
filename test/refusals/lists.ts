// Lists of variables that build refuses.
import { SGD, Variable } from '../../lib/index.ts';
import { detached, growable, resizable, type Row } from './scene.ts';

export const flat = new Float32Array(8);
export const v = new Variable([1]);
export const lists: readonly Row<() => unknown>[] = [
  [
    'overlapping arrays',
    () => [flat.subarray(0, 4), flat.subarray(3)],
    'ERR_OPT_ALIAS',
    /variables\[0\] and variables\[1\] overlap in memory/,
  ],
  [
    'an array inside another',
    () => [flat.subarray(2, 3), flat],
    'ERR_OPT_ALIAS',
    /variables\[1\] and variables\[0\] overlap/,
  ],
  ['a variable twice', () => [v, v], 'ERR_OPT_ALIAS', /overlap/],
  ['a variable and its values', () => [v, v.value], 'ERR_OPT_ALIAS', /overlap/],
  ['two dtypes on one buffer', () => [flat, new Float64Array(flat.buffer)], 'ERR_OPT_ALIAS', /overlap/],
  [
    'a number',
    () => [v, 3],
    'ERR_OPT_ARRAY_TYPE',
    /expects variables\[1\] to be a Variable, a Float32Array or a Float64Array, got 3/,
  ],
  ['a list of numbers', () => [[1, 2]], 'ERR_OPT_ARRAY_TYPE', /variables\[0\] .* got an array/],
  ['an Int32Array', () => [new Int32Array(2)], 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
  ['a proxy', () => [new Proxy(new Float32Array(2), {})], 'ERR_OPT_ARRAY_TYPE', /got an object/],
  ['state of an optimizer that is a number', () => new SGD().variables, 'ERR_OPT_ARRAY_TYPE', /variables\[0\]/],
  ['no list', () => 7, 'ERR_OPT_ARRAY_TYPE', /an array of variables, got 7/],
  ['null', () => null, 'ERR_OPT_ARRAY_TYPE', /got null/],
  ['a transferred buffer', () => [detached()], 'ERR_OPT_DETACHED', /variables\[0\] expects an array with memory/],
  [
    'a resizable buffer',
    () => [new Float32Array(resizable(8))],
    'ERR_OPT_RESIZABLE',
    /variables\[0\] expects an array of fixed length/,
  ],
  ['a growable shared buffer', () => [new Float32Array(growable())], 'ERR_OPT_RESIZABLE', /fixed length/],
];
