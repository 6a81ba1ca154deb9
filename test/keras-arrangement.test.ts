// Which array of a file of Keras is what, by the shapes alone: all orders that its versions have written.
import { assert } from 'chai';

import { Adafactor, Adam, Nadam, Optimizer, SGD } from '../lib/index.ts';
import { arranged, withPlaceholders, type Kept } from '../lib/keras/arrangement.ts';
import type { Stored } from '../lib/keras/h5.ts';
import { spanOf } from '../lib/keras/json_text.ts';
import { fromHalf, toHalf } from '../lib/keras/halves.ts';

type Shape = readonly number[];
const stored = (shapes: readonly Shape[], dtype = 'float32'): Stored[] =>
  shapes.map((shape, i) => ({
    path: `optimizer/vars/${i + 2}`,
    shape,
    dtype,
    value: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  }));

const keptBy = (optimizer: Optimizer, wrapped = false): Kept => ({
  who: 'optimizer',
  layout: Optimizer.layoutOf(optimizer),
  running: Optimizer.runnerOf(optimizer).running !== undefined,
  wrapped,
});

/** The places in the file, in the order of today's Keras. */
function order(
  optimizer: Optimizer,
  shapes: readonly Shape[],
  version?: string,
  wrapped = false,
): (number | undefined)[] {
  const arrays = stored(shapes);
  const found = arranged({ path: 'file', version }, keptBy(optimizer, wrapped), arrays);
  return found.arrays.map((array) => (array === undefined ? undefined : arrays.indexOf(array)));
}
const inOrder = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

const [a, b, scalar]: readonly [Shape, Shape, Shape] = [[3, 4], [4], []];
const both = { use_ema: true, gradient_accumulation_steps: 2 };

describe("the order in Keras's files", () => {
  it("of today: Nadam's product last", () => assert.deepEqual(order(new Nadam(), [a, a, b, b, scalar]), inOrder(5)));
  it('up to 3.9: its product before the moments', () =>
    assert.deepEqual(order(new Nadam(), [scalar, a, a, b, b]), [1, 2, 3, 4, 0]));
  it('with averages, its product after them', () =>
    assert.deepEqual(order(new Nadam({ use_ema: true }), [a, b, scalar, a, a, b, b]), [0, 1, 3, 4, 5, 6, 2]));
  it('with averages and accumulators side by side', () =>
    assert.deepEqual(order(new Nadam(both), [a, a, b, b, scalar, a, a, b, b]), [0, 2, 1, 3, 5, 6, 7, 8, 4]));
  it('with averages and accumulators, one after the other', () =>
    assert.deepEqual(order(new Nadam(both), [a, b, a, b, a, a, b, b, scalar]), inOrder(9)));
  it('of a scalar variable at either end', () => {
    assert.deepEqual(order(new Nadam(), [scalar, scalar, a, a, scalar]), inOrder(5));
    assert.deepEqual(order(new Nadam(), [scalar, scalar, scalar, a, a]), [1, 2, 3, 4, 0]);
    assert.deepEqual(order(new Nadam(), [a, a, scalar, scalar, scalar]), inOrder(5));
    assert.deepEqual(order(new Nadam(), [scalar, a, a, scalar, scalar]), [1, 2, 3, 4, 0]);
  });
  it('by the version where the shapes fit both, and not without', () => {
    const alike = [b, b, b, b, b, b, b, b];
    const adam = new Adam(both);
    for (const version of ['3.10.0', '3.15.1', '4.0']) assert.deepEqual(order(adam, alike, version), inOrder(8));
    for (const version of ['3.0.5', '3.9.2']) assert.deepEqual(order(adam, alike, version), [0, 2, 1, 3, 4, 5, 6, 7]);
    assert.throws(() => order(adam, alike), /keras_version/);
    assert.deepEqual(order(new Nadam(), [scalar, scalar, scalar], '3.9'), [1, 2, 0]);
    assert.throws(() => order(new Nadam(), [scalar, scalar, scalar]), /keras_version/);
  });
  it('whatever the version says, where only one fits', () => {
    assert.deepEqual(order(new Nadam(), [a, a, scalar], '3.9.2'), inOrder(3));
    assert.deepEqual(order(new Nadam(), [scalar, a, a], '3.15.1'), [1, 2, 0]);
  });
  it('of one variable, where both are the same', () => assert.deepEqual(order(new SGD(both), [b, b]), inOrder(2)));
  it('without the product, in a wrapper', () =>
    assert.deepEqual(order(new Nadam(), [a, a, b, b], undefined, true), [0, 1, 2, 3, undefined]));
  it('of Adam with amsgrad, block by block', () =>
    assert.deepEqual(order(new Adam({ amsgrad: true }), [a, a, b, b, a, b]), inOrder(6)));

  it('names the first array that does not fit', () => {
    for (const [optimizer, shapes, message] of [
      [
        new Nadam(),
        [a, a, b, a, scalar],
        /"optimizer\/vars\/5", the velocity of variable 1, to have shape \[3, 4\]|vars\/4.*momentum of variable 1/,
      ],
      [new Nadam(), [a, a, b, b], /2 arrays for each variable and one number/],
      [new Adam(), [a, a, b], /2 arrays for each variable/],
      [new SGD(), [a], /0 arrays for each variable/],
      [
        new Adam({ use_ema: true }),
        [a, b, a, a, a, a],
        /vars\/3", the average of variable 1, to have shape \[3, 4\], got \[4\]/,
      ],
      [new Adafactor(), [[3], [3], a], /vars\/3", the c of variable 0, to have shape \[4\], got \[3\]/],
    ] as const)
      assert.throws(() => order(optimizer, shapes), message);
  });

  it("finds Adafactor's variables where places are left out", () => {
    const shapes: Shape[] = [[3], [4], a, b, [4], [1], [4, 1], [1], scalar, [2, 3], [2, 4], [2, 3, 4]];
    const arrays = stored(shapes);
    const kept = keptBy(new Adafactor(), true);
    const full = withPlaceholders({ path: 'file', version: undefined }, kept, arrays);
    assert.deepEqual(
      full.map(({ dtype, shape }) => (dtype === 'int32' ? 'empty' : shape)),
      [
        [3],
        [4],
        a,
        'empty',
        'empty',
        b,
        [4],
        [1],
        [4, 1],
        'empty',
        'empty',
        [1],
        'empty',
        'empty',
        scalar,
        [2, 3],
        [2, 4],
        [2, 3, 4],
      ],
    );
    assert.lengthOf(arranged({ path: 'file', version: undefined }, kept, full).shapes, 6);
    assert.throws(() => withPlaceholders({ path: 'file', version: undefined }, kept, stored([[4], a])), /one or three/);
  });
});

describe("the text of Keras's config.json", () => {
  it('is cut where a value is', () => {
    const text =
      ' {"a\\"": "}]", "b": [1, {"c": "\\\\"}], "c": { "optimizer" : {"x": 1.0, "y": "{"} , "z": null}, "d":1.0}';
    const at = (...keys: string[]): string | undefined => {
      const span = spanOf(text, keys);
      return span && text.slice(...span);
    };
    assert.equal(at('a"'), '"}]"');
    assert.equal(at('b'), '[1, {"c": "\\\\"}]');
    assert.equal(at('c', 'optimizer'), '{"x": 1.0, "y": "{"}');
    assert.equal(at('c', 'optimizer', 'x'), '1.0');
    assert.equal(at('c', 'z'), 'null');
    assert.equal(at('d'), '1.0');
    assert.isUndefined(at('e'));
    assert.isUndefined(at('d', 'x'));
    assert.equal(at(), text.slice(1));
  });
});

describe("Keras's float16", () => {
  it('comes back from every number that it has', () => {
    const all = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i);
    const back = toHalf(fromHalf(all, 'float16'), 'float16');
    const wrong = [...all].filter((bits) => back[bits] !== bits && ((bits & 0x7c00) !== 0x7c00 || (bits & 1023) === 0));
    assert.isEmpty(wrong);
    assert.isNaN(fromHalf(Uint16Array.of(0x7e01), 'float16')[0]);
  });
  it('is the nearest, to even where two are', () => {
    const cases: readonly (readonly [number, number])[] = [
      [65519.99, 0x7bff],
      [65520, 0x7c00],
      [2 ** -25, 0],
      [2 ** -25 * 1.01, 1],
      [-0, 0x8000],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [2 - 2 ** -12, 0x4000],
    ];
    for (const [x, bits] of cases) assert.equal(toHalf([x], 'float16')[0], bits, String(x));
  });
});
