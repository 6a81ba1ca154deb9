// Sparse gradients that their constructor, or apply, refuses.
import { IndexedSlices, type RowIndices } from '../../lib/index.ts';
import { any, detached, resizable, type Scene } from './scene.ts';

/** Arguments of the constructor. */
type Parts = readonly [values: unknown, indices: unknown, dense_shape: unknown];
const ones = new Float32Array(2).fill(1);
const made = (...[values, indices, shape]: Parts): IndexedSlices =>
  new IndexedSlices(values as Float32Array, indices as RowIndices, shape as number[]);

function detachedIndices(): Int32Array {
  const indices = new Int32Array(2);
  structuredClone(indices.buffer, { transfer: [indices.buffer] });
  return indices;
}

/** What the constructor refuses. */
export const constructed: readonly (readonly [string, Parts, code: string, message: RegExp])[] = [
  ['no values', [undefined, [0], [2]], 'ERR_OPT_ARRAY_TYPE', /values to be a Float32Array.*, got undefined/],
  ['integers as values', [new Int32Array(2), [0, 1], [2]], 'ERR_OPT_ARRAY_TYPE', /got a Int32Array/],
  ['16-bit values', [new Uint16Array(2), [0, 1], [2]], 'ERR_OPT_ARRAY_TYPE', /got a Uint16Array/],
  [
    'a text among the values',
    [[1, '1'], [0, 1], [2]],
    'ERR_OPT_ARRAY_TYPE',
    /values expects numbers, got "1" at index 1/,
  ],
  ['a proxy of values', [new Proxy(ones, {}), [0, 1], [2]], 'ERR_OPT_ARRAY_TYPE', /got an object/],
  ['values without memory', [detached(), [], [2]], 'ERR_OPT_DETACHED', /IndexedSlices: values .* detached/],
  ['values in a resizable buffer', [new Float32Array(resizable(8)), [0, 1], [2]], 'ERR_OPT_RESIZABLE', /values/],
  ['no indices', [ones, undefined, [2]], 'ERR_OPT_ARRAY_TYPE', /indices to be an Int32Array.*, got undefined/],
  ['numbers as indices', [ones, new Float32Array(2), [2]], 'ERR_OPT_ARRAY_TYPE', /got a Float32Array/],
  ['bigints as indices', [ones, new BigInt64Array(2), [2]], 'ERR_OPT_ARRAY_TYPE', /got a BigInt64Array/],
  [
    'null among the indices',
    [ones, [0, null], [2]],
    'ERR_OPT_ARRAY_TYPE',
    /indices expects numbers, got null at index 1/,
  ],
  ['indices without memory', [[], detachedIndices(), [2]], 'ERR_OPT_DETACHED', /IndexedSlices: indices .* detached/],
  ['indices in a resizable buffer', [ones, new Int32Array(resizable(8)), [2]], 'ERR_OPT_RESIZABLE', /indices/],
  ['no shape', [ones, [0, 1], undefined], 'ERR_OPT_LENGTH', /dense_shape to be .*, got undefined/],
  ['an empty shape', [ones, [0, 1], []], 'ERR_OPT_LENGTH', /got \[\]/],
  ['a negative shape', [ones, [0, 1], [-2]], 'ERR_OPT_LENGTH', /got \[-2\]/],
  ['a broken shape', [ones, [0, 1], [2, 0.5]], 'ERR_OPT_LENGTH', /got \[2,0\.5\]/],
  ['a number as shape', [ones, [0, 1], 2], 'ERR_OPT_LENGTH', /got 2/],
  ['too many rows', [ones, [0, 1], [2 ** 32 + 1]], 'ERR_OPT_TOO_LARGE', /2\^32 rows, got 4294967297/],
  ['too few values', [ones, [0, 1, 1], [2]], 'ERR_OPT_LENGTH', /expects 3 values, 1 for each of 3 indices, got 2/],
  ['too many values', [ones, [0], [2]], 'ERR_OPT_LENGTH', /expects 1 values/],
  ['values of other rows', [ones, [0], [2, 3]], 'ERR_OPT_LENGTH', /expects 3 values, 3 for each of 1 indices, got 2/],
];

const outOfRange = (index: number) => () => made(ones, [0, index], [2]);
const because = (index: string) =>
  new RegExp(`^gradients\\[0\\] \\("kernel"\\): indices\\[1\\] is ${index}, its variable has 2 rows$`);

/** Takes the memory of an array of slices away. */
function robbed(which: 'values' | 'indices'): IndexedSlices {
  const slices = made(new Float32Array(2), new Int32Array(2), [2]);
  const { buffer } = slices[which] as Int32Array;
  structuredClone(buffer, { transfer: [any(buffer)] });
  return slices;
}

/** What a step refuses, of the kernel with its two elements. */
export const stepped: readonly (readonly [string, (scene: Scene) => unknown, code: string, message: RegExp])[] = [
  ['an index that is too large', outOfRange(2), 'ERR_OPT_INDEX', because('2')],
  ['a negative index', outOfRange(-1), 'ERR_OPT_INDEX', because('-1')],
  ['an index between two', outOfRange(0.5), 'ERR_OPT_INDEX', because('0.5')],
  ['no number as index', outOfRange(NaN), 'ERR_OPT_INDEX', because('NaN')],
  ['an infinite index', outOfRange(Infinity), 'ERR_OPT_INDEX', because('Infinity')],
  ['an index beyond 32 bits', outOfRange(2 ** 32), 'ERR_OPT_INDEX', because('4294967296')],
  ['a negative Int32', () => made(ones, Int32Array.of(0, -1), [2]), 'ERR_OPT_INDEX', because('-1')],
  ['a large Uint32', () => made(ones, Uint32Array.of(0, 2 ** 32 - 1), [2]), 'ERR_OPT_INDEX', because('4294967295')],
  [
    'the shape of another variable',
    () => made(ones, [0, 1], [3]),
    'ERR_OPT_LENGTH',
    /dense_shape \[3\], .* shape \[2\]/,
  ],
  [
    'the elements in another shape',
    () => made(ones, [0], [1, 2]),
    'ERR_OPT_LENGTH',
    /dense_shape \[1,2\], .* shape \[2\]/,
  ],
  [
    'values of another dtype',
    () => made(new Float64Array(2), [0, 1], [2]),
    'ERR_OPT_ARRAY_TYPE',
    /dtype float32, its values are a Float64Array/,
  ],
  [
    'values that have been taken away',
    () => robbed('values'),
    'ERR_OPT_DETACHED',
    /"kernel"\): values expects an array with memory/,
  ],
  ['indices that have been taken away', () => robbed('indices'), 'ERR_OPT_DETACHED', /"kernel"\): indices expects/],
  [
    'the variable as values',
    ({ kernel }) => made(kernel.value, [0, 1], [2]),
    'ERR_OPT_ALIAS',
    /gradients\[0\] overlaps a variable/,
  ],
  ['a proxy of slices', () => new Proxy(made(ones, [0, 1], [2]), {}), 'ERR_OPT_ARRAY_TYPE', /got an object/],
  [
    'an object that claims to be slices',
    () => Object.create(IndexedSlices.prototype) as object,
    'ERR_OPT_ARRAY_TYPE',
    /got an object/,
  ],
];
