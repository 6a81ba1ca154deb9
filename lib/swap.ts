// Exchanges the values of variables, byte by byte: every bit arrives, whatever the dtype.
import { bufferOf, spanOf, type FloatArray } from './arrays.ts';
import { isSpace, type GpuIndex } from './devices.ts';
import type { Space } from './space.ts';
import { addon, type Memory } from './native.ts';
import { sizes } from './storage.ts';
import { Variable } from './variable.ts';

const scratch = new Uint8Array(65_536); // small enough to stay in the cache

/** Exchanges the values of each `a[i]` with those of `b[i]`, of the same dtype and length, after all have been found there. */
export function swapValues(a: readonly Variable[], b: readonly Variable[]): void {
  const site = a[0] && Variable.storageOf(a[0]).site;
  if (isSpace(site)) return swapInSpace(a, b, site);
  if (site !== undefined) return swapOnGpu(a, b, site);
  const [left, right] = [a.map(bytesOf), b.map(bytesOf)];
  left.forEach((bytes, i) => swapBytes(bytes, right[i] as Uint8Array));
}

function swapInSpace(a: readonly Variable[], b: readonly Variable[], space: Space): void {
  a.forEach((variable, i) => {
    const [one, other] = [Variable.storageOf(variable), Variable.storageOf(b[i] as Variable)];
    const kept = space.allocate(one.dtype, variable.shape);
    try {
      space.copy(kept, one);
      space.copy(one, other);
      space.copy(other, kept);
    } finally {
      kept.release();
    }
  });
}

/** By copies through one memory for each size that occurs. */
function swapOnGpu(a: readonly Variable[], b: readonly Variable[], gpu: GpuIndex): void {
  const between = new Map<number, Memory>(); // by bytes
  const memoryOf = (variable: Variable) => Variable.storageOf(variable).memory as Memory; // what lies on a GPU has memory
  const pairs = a
    .map((variable, i) => [variable, b[i] as Variable, sizeOn(variable)] as const)
    .filter(([, , bytes]) => bytes > 0)
    .map(([one, other, bytes]) => [memoryOf(one), memoryOf(other), bytes] as const);
  try {
    for (const bytes of new Set(pairs.map(([, , bytes]) => bytes))) between.set(bytes, new addon.Memory(bytes, 0, gpu));
    for (const [one, other, bytes] of pairs) {
      const kept = between.get(bytes) as Memory;
      addon.cuda.copy(kept, one);
      addon.cuda.copy(one, other);
      addon.cuda.copy(other, kept);
    }
  } finally {
    for (const memory of between.values()) memory.release();
  }
}

const sizeOn = (variable: Variable): number => {
  const { length, dtype } = Variable.storageOf(variable);
  return length * sizes[dtype as keyof typeof sizes];
};

function bytesOf(variable: Variable): Uint8Array {
  Variable.checkAttached(variable);
  const array = Variable.storageOf(variable).value() as FloatArray;
  const { begin, end } = spanOf(array);
  return new Uint8Array(bufferOf(array), begin, end - begin);
}

function swapBytes(a: Uint8Array, b: Uint8Array): void {
  for (let begin = 0; begin < a.length; begin += scratch.length) {
    const [x, y] = [a, b].map((bytes) => bytes.subarray(begin, begin + scratch.length)) as [Uint8Array, Uint8Array];
    scratch.set(x);
    x.set(y);
    y.set(scratch.subarray(0, y.length));
  }
}
