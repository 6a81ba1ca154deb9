// Gradients for variables on a GPU, of every kind that may be given, end as on the host.
import { assert } from 'chai';

import {
  IndexedSlices,
  memory,
  Nadam,
  SGD,
  Variable,
  type CudaArray,
  type DeviceArray,
  type FloatArray,
} from '../../lib/index.ts';
import { toBfloat16 } from '../../lib/halves.ts';
import { makers } from '../optimizers.ts';
import { settle } from '../settle.ts';
import { describeOnGpu, ends, few, flat, lengths, same, trained, type Side, type Training } from './gpu.ts';

type Given = NonNullable<Training['gradients']>;

/** What is given on a GPU in the place of an array. */
const instead =
  (on: (array: FloatArray, i: number) => unknown): Given =>
  (arrays, _, side) =>
    arrays.map((array, i) => (array === null || side === 'cpu' ? array : on(array, i)));

const put = (array: FloatArray) => new Variable(array, { device: 'cuda' });

/** Memory of which `before` elements do not belong to the gradient. */
function foreign(array: FloatArray, before: number, more: Partial<CudaArray> = {}): CudaArray {
  const wide = new (array.constructor as Float32ArrayConstructor)(before + array.length);
  wide.set(array, before);
  const owner = put(wide);
  const { ptr, dtype, device } = owner.cuda;
  return { ptr: ptr + BigInt(before * array.BYTES_PER_ELEMENT), shape: [array.length], dtype, device, owner, ...more };
}

/** The upper halves of float32 numbers, packed; what they stand for; and where they are on a GPU. */
const rounded = (array: FloatArray): Uint16Array => Uint16Array.from(array, toBfloat16);
function foreignHalves(array: FloatArray, before: number): CudaArray {
  const halves = new Uint16Array(2 * Math.ceil((array.length + before) / 2));
  halves.set(rounded(array), before);
  const owner = put(new Float32Array(halves.buffer));
  return { ptr: owner.cuda.ptr + BigInt(2 * before), shape: [array.length], dtype: 'bfloat16', device: 'cuda', owner };
}

const kinds: readonly [string, Given][] = [
  ['variables', instead(put)],
  [
    'gradients of other variables',
    instead((array) => {
      const { gradient } = Variable.zeros([array.length], {
        dtype: array instanceof Float64Array ? 'float64' : 'float32',
        device: 'cuda',
      });
      gradient.assign(array);
      return gradient;
    }),
  ],
  ['descriptions of variables', instead((array) => put(array).cuda)],
  ['memory of others', instead((array) => foreign(array, 0, { stream: 0n }))],
  ...[1, 2, 3, 5].map((before): [string, Given] => [
    `memory of others, ${before} elements further`,
    instead((array) => foreign(array, before)),
  ]),
  ['arrays of numbers', (arrays) => arrays.map((array) => array && [...array])],
  ['one kind each', instead((array, i) => [array, put(array), foreign(array, 1), [...array]][i % 4])],
];

describeOnGpu('a gradient on a GPU', () => {
  const shapes = flat(lengths);
  for (const [kind, gradients] of kinds)
    for (const dtype of ['float32', 'float64'] as const)
      for (const asynchronous of [false, true])
        it(`may be ${kind}, ${dtype}${asynchronous ? ', asynchronously' : ''}`, () =>
          ends(() => new Nadam({ global_clipnorm: 0.75 }), { shapes, dtypes: [dtype], gradients, asynchronous }));

  for (const asynchronous of [false, true])
    it(`may be halves of the host or of a GPU${asynchronous ? ', asynchronously' : ''}`, async () => {
      const make = () => new Nadam({ gradient_dtype: 'bfloat16', clipnorm: 0.5 });
      const host: Given = (arrays) => arrays.map((array) => array && rounded(array));
      const expected = await trained(make, 'cpu', { shapes, asynchronous, gradients: host });
      const there = [0, 1, 3].map((before) => instead((array) => foreignHalves(array, before)));
      for (const gradients of [host, ...there])
        same(await trained(make, 'cuda', { shapes, asynchronous, gradients }), expected);
    });

  const table = [[40, 33], [5, 1], [3], [3, 2, 4]];
  const sliced: Given = (arrays, variables) =>
    arrays.map((array, i) => {
      const { shape } = variables[i] as Variable;
      const columns = (array as FloatArray).length / (shape[0] as number);
      if (i === 1) return array;
      return new IndexedSlices(
        (array as FloatArray).slice(0, 3 * columns),
        [2, 0, 2].map((row) => row % (shape[0] as number)),
        shape,
      );
    });
  for (const [name, make] of makers())
    for (const asynchronous of [false, true])
      it(`may be sparse: ${name}${asynchronous ? ', asynchronously' : ''}`, () =>
        ends(make, { shapes: table, gradients: sliced, normal: true, asynchronous }));
  it('may be sparse: Nadam, accumulated and clipped', () =>
    ends(() => new Nadam({ gradient_accumulation_steps: 2, global_clipnorm: 0.1 }), {
      shapes: table,
      gradients: sliced,
      normal: true,
    }));

  it('of another addon keeps its owner until the step has ended, and not much longer', async () => {
    const v = Variable.zeros([3], { device: 'cuda' });
    const optimizer = new SGD();
    let weak: WeakRef<object> | undefined;
    const step = () => {
      const gradient = foreign(Float32Array.of(1, 2, 3), 0);
      weak = new WeakRef(gradient.owner as object);
      optimizer.apply([gradient], [v]);
    };
    step();
    await v.read();
    optimizer.apply([[0, 0, 0]]);
    await v.read();
    await settle();
    assert.isUndefined(weak?.deref());
    same([await v.read()], [Float32Array.of(-0.01, -0.02, -0.03)]);
    optimizer.dispose();
    v.dispose();
  });

  it('takes gradients of some variables', async () => {
    const run = async (side: Side) => {
      const variables = few.map((length) => new Variable(new Float32Array(length).fill(1), { device: side }));
      const optimizer = new Nadam();
      optimizer.build(variables);
      for (const variable of variables.slice(1)) {
        if (side === 'cpu') (variable as Variable).gradient.fill(2);
        else (variable.gradient as DeviceArray).assign(new Float32Array(variable.gradient.length).fill(2));
      }
      await optimizer.apply_async(undefined, variables.slice(1));
      optimizer.apply([variables[2]?.gradient as never], [variables[2] as never]);
      return Promise.all([...variables, ...optimizer.variables].map((variable) => variable.read()));
    };
    same(await run('cuda'), await run('cpu'));
  });

  it('leaves no memory behind', async () => {
    await settle();
    const before = memory()['cuda:0'];
    const [, gradients] = kinds.at(-1) as [string, Given];
    await trained(() => new Nadam({ use_ema: true }), 'cuda', { shapes, gradients });
    await settle();
    assert.equal(memory()['cuda:0'], before);
  });
});
