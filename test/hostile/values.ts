// The kinds of argument that a hostile caller passes where a gradient, a variable or numbers are expected.
import vm from 'node:vm';

import { allocate, IndexedSlices, Variable } from '../../lib/index.ts';
import { wildNumber } from '../random.ts';
import { detach, type World } from './world.ts';

type Kind = (world: World, length: number, double: boolean) => unknown;
type Floats = Float32ArrayConstructor | Float64ArrayConstructor;

const floats = (double: boolean): Floats => (double ? Float64Array : Float32Array);
const context = vm.createContext({});
const foreign = vm.runInContext('Float32Array', context) as Float32ArrayConstructor;

/** Buffers of a length that may change. Node 20 has them, TypeScript's es2023 does not. */
type Flexible = { resize(bytes: number): void; grow(bytes: number): void };
function flexible(shared: boolean, bytes: number): ArrayBuffer & Flexible {
  const maker = (shared ? SharedArrayBuffer : ArrayBuffer) as unknown as new (
    bytes: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & Flexible;
  return new maker(bytes, { maxByteLength: bytes + 64 });
}

function view(world: World, double: boolean, buffer: ArrayBufferLike, ...place: number[]): unknown {
  return world.remember(new (floats(double))(buffer as ArrayBuffer, ...place));
}

function lying(world: World, array: object, name: string, value: unknown): object {
  const get = (): unknown => world.treacherous(value);
  return Object.defineProperty(array, name, world.chance(0.5) ? { value } : { get });
}

/** A list whose elements, length and methods are code of the caller's. */
export function treacherousList(world: World, list: unknown[]): unknown[] {
  return new Proxy(list, {
    get: (target, key, receiver) => world.treacherous<unknown>(Reflect.get(target, key, receiver)),
  });
}

export const kinds: Readonly<Record<string, Kind>> = {
  good: (world, length, double) => world.remember(world.numbers(length, double)),
  list: (world, length) => Array.from({ length }, () => world.next()),
  variable: (world, length, double) => new Variable(world.numbers(length, double)),
  null: () => null,
  slices: (world, length, double) => {
    const indices = Array.from({ length: world.int(2 * length + 1) }, () => world.int(length));
    const values = world.remember(world.numbers(indices.length, double));
    return new IndexedSlices(values, world.chance(0.5) ? Uint32Array.from(indices) : indices, [length]);
  },
  'bad slices': (world, length, double) => {
    const index = () => world.pick([0, 0, 0, length, -1, 0.5, NaN, 2 ** 32, 2 ** 53]);
    const indices = Array.from({ length: world.int(4) }, index);
    const values = world.numbers(indices.length + (world.chance(0.2) ? 1 : 0), double);
    return new IndexedSlices(values, world.chance(0.5) ? Int32Array.from(indices) : indices, [length + world.int(2)]);
  },
  'slices that change': (world, length, double) => {
    const [values, indices] = [world.remember(world.numbers(2, double)), new Int32Array(new SharedArrayBuffer(8))];
    return new (class extends IndexedSlices {
      override get values(): never {
        return world.treacherous([]) as never;
      }
    })(values, treacherousList(world, [...indices]) as number[], [length]);
  },
  allocated: (world, length, double) => world.remember(allocate(length, double ? 'float64' : 'float32')),
  detached: (world, length, double) => {
    const array = world.numbers(length, double);
    detach(array);
    return array;
  },
  resizable: (world, length, double) => view(world, double, flexible(false, length * 8)),
  shrunk: (world, length, double) => {
    const buffer = flexible(false, length * 8);
    const array = view(world, double, buffer, 0, length);
    buffer.resize(0);
    return array;
  },
  shared: (world, length, double) => view(world, double, new SharedArrayBuffer(length * 8), 0, length),
  growable: (world, length, double) => {
    const buffer = flexible(true, length * 8);
    const array = view(world, double, buffer);
    if (world.chance(0.5)) buffer.grow(length * 8 + 32);
    return array;
  },
  'wrong type': (world, length, double) => world.numbers(length, !double),
  integers: (world, length) => new (world.pick([Int8Array, Uint8ClampedArray, Int32Array, Uint32Array]))(length),
  bigints: (_, length) => new BigInt64Array(length),
  bytes: (world, length) =>
    world.pick<object>([new DataView(new ArrayBuffer(length)), new ArrayBuffer(length), Buffer.alloc(length)]),
  proxy: (world, length, double) => new Proxy(world.numbers(length, double), {}),
  'no array': (_world, _length, double) => Object.create(floats(double).prototype) as object,
  'no variable': (world) => {
    const variable = world.pick(world.variables);
    return world.chance(0.5) ? new Proxy(variable, {}) : (Object.create(Variable.prototype) as object);
  },
  'shadowed length': (world, length, double) =>
    lying(world, world.remember(world.numbers(length, double)), 'length', world.pick([0, 1, length + 9, 1e9, -1, '7'])),
  'shadowed buffer': (world, length, double) =>
    lying(world, world.numbers(length, double), world.pick(['buffer', 'byteOffset', 'byteLength']), new ArrayBuffer(8)),
  'shadowed iterator': (world, length, double) =>
    lying(world, world.numbers(length, double), world.pick<string>(['constructor', 'set', 'fill', 'map']), () => [1]),
  'own iterator': (world, length, double) =>
    Object.defineProperty(world.numbers(length, double), Symbol.iterator, {
      value: function* () {
        yield world.treacherous(1);
        yield 'two';
      },
    }),
  aliased: (world) => world.pick(world.variables).value,
  overlapping: (world) => {
    const { value } = world.pick(world.variables);
    return value.subarray(value.length > 0 ? 1 : 0);
  },
  state: (world) => world.pick(world.pick(world.optimizers).variables).value,
  offset: (world, length, double) =>
    view(world, double, new ArrayBuffer(length * 8 + 64), (double ? 8 : 4) * (1 + world.int(7)), length),
  'bad length': (world, length, double) => world.numbers(Math.max(0, length + world.pick([-1, 1, 8])), double),
  'bad numbers': (world, length, double) => world.numbers(length, double).map(() => wildNumber(world.next)),
  'no numbers': (world, length) =>
    Array.from({ length }, () => world.pick([1, '1', null, 1n, Symbol('s'), {}, undefined])),
  holes: (_, length) => new Array<number>(length),
  'treacherous list': (world, length) => treacherousList(world, new Array(length).fill(0.5)),
  getters: (world, length) =>
    Object.defineProperty(new Array<number>(length).fill(1), 0, { get: () => world.treacherous(1) }),
  disposed: (world, length, double) => {
    const variable = new Variable(world.numbers(length, double));
    variable.dispose();
    return variable;
  },
  foreign: (world, length) => world.remember(new foreign(length)),
  nothing: (world) => world.pick([undefined, 0, NaN, -1, 1n, 'x', Symbol('x'), () => 1, {}, true]),
};
const names = Object.keys(kinds);

/** Any kind of argument, more often a good one. Counts the kinds, so that the report shows that all have come. */
export function value(world: World, length: number, double: boolean, seen: Map<string, number>): unknown {
  const name = world.chance(0.5) ? 'good' : world.pick(names);
  seen.set(name, (seen.get(name) ?? 0) + 1);
  return (kinds[name] as Kind)(world, length, double);
}
