// What an optimizer may be built with, checked.
import { bufferOf, checkMemory, dtypeOf, lengthOf, spanOf, type AnyArray, type FloatArray } from './arrays.ts';
import { describe, rangeError, typeError } from './errors.ts';
import type { Memory } from './native.ts';
import { isVariable, Variable, type DeviceArray } from './variable.ts';

/** A variable, or an array of the caller's that is trained in place. */
export type Trainable = Variable | Variable<DeviceArray> | FloatArray;

export function checkList(who: string, list: unknown): asserts list is readonly unknown[] {
  if (Array.isArray(list)) return;
  throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects variables to be an array of variables, got ${describe(list)}`);
}

/** Variables and arrays, each once, none overlapping another, all on one device. */
export function checkTrainables(who: string, list: unknown): Trainable[] {
  checkList(who, list);
  const trainables = Array.from(list, (value, i) => {
    const trainable = isVariable(value) ? isTrained(value) : dtypeOf(value) !== undefined;
    if (trainable && !isVariable(value)) checkMemory(`variables[${i}]`, value as FloatArray, true);
    if (trainable) return value as Trainable;
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects variables[${i}] to be a Variable, a Float32Array or a Float64Array, got ${describe(value)}`,
    );
  });
  checkTogether(who, trainables);
  checkApart(trainables);
  return trainables;
}

const siteOf = (trainable: Trainable | undefined) =>
  isVariable(trainable) ? Variable.storageOf(trainable).site : undefined;

function checkTogether(who: string, trainables: readonly Trainable[]): void {
  const [first] = trainables;
  const device = siteOf(first);
  const i = trainables.findIndex((trainable) => siteOf(trainable) !== device);
  const other = trainables[i];
  if (other === undefined) return;
  const told = (trainable: unknown, i: number) =>
    isVariable(trainable) ? `"${trainable.path}" is on ${trainable.device}` : `variables[${i}] is an array on the cpu`;
  throw typeError('ERR_OPT_DEVICE', `${who} expects all variables on one device, ${told(first, 0)}, ${told(other, i)}`);
}

/** Memory of the library, or an array of the caller's that another optimizer made a variable of. */
const isTrained = (variable: Variable): boolean =>
  Variable.isTrainable(variable) || Variable.storageOf(variable).array !== undefined;

interface Place {
  readonly i: number;
  readonly begin: number;
  readonly end: number;
}
export type Places = Map<ArrayBufferLike, Place[]>;

/** Where arrays lie, by buffer. */
export function placesOf(list: readonly (AnyArray | Uint8Array)[]): Places {
  const places: Places = new Map();
  list.forEach((array, i) => {
    const group = places.get(bufferOf(array)) ?? [];
    if (lengthOf(array) > 0) group.push({ i, ...spanOf(array) });
    places.set(bufferOf(array), group);
  });
  return places;
}

const empty = new Uint8Array(0);

function checkApart(trainables: readonly Trainable[]): void {
  checkOnce(trainables);
  const arrays = trainables.map((trainable) => {
    if (!isVariable(trainable)) return trainable as FloatArray;
    return trainable.device === 'cpu' ? trainable.value : empty;
  });
  const places = placesOf(arrays);
  for (const group of places.values()) {
    group.sort((a, b) => a.begin - b.begin);
    group.forEach((place, k) => {
      const before = group[k - 1];
      if (before !== undefined && before.end > place.begin) throw overlap(before.i, place.i);
    });
  }
}

/** On a GPU every variable has memory of its own. */
function checkOnce(trainables: readonly Trainable[]): void {
  if (siteOf(trainables[0]) === undefined) return;
  const seen = new Map<Trainable, number>();
  trainables.forEach((trainable, i) => {
    const before = seen.get(trainable);
    if (before !== undefined) throw overlap(before, i);
    seen.set(trainable, i);
  });
}

const overlap = (i: number, j: number): RangeError =>
  rangeError('ERR_OPT_ALIAS', `variables[${i}] and variables[${j}] overlap in memory, every variable is expected once`);

/** Memories of a GPU that a step writes, in ascending order. */
export class Ranges {
  readonly #begins: number[] = []; // an address of 64 bits in which 53 are used
  readonly #ends: number[] = [];

  constructor(memories: readonly (readonly [memory: Memory, bytes: number])[]) {
    const ranges = memories.map(([{ address }, bytes]) => [Number(address), bytes] as const);
    for (const [begin, bytes] of ranges.filter(([, bytes]) => bytes > 0).sort(([a], [b]) => a - b)) {
      this.#begins.push(begin);
      this.#ends.push(begin + bytes);
    }
  }

  /** Whether one of them shares a byte with this one. */
  overlap(address: bigint, bytes: number): boolean {
    const begin = Number(address);
    let [low, high] = [0, this.#ends.length]; // the first that ends behind the beginning
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ends[middle] as number) > begin) high = middle;
      else low = middle + 1;
    }
    return bytes > 0 && (this.#begins[low] ?? Infinity) < begin + bytes;
  }
}
