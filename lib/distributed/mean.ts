// Divides sums, as a step divides gradients by a loss scale: each number once, by native code.
import { allocated, type Allocated, type FloatArray } from '../arrays.ts';
import { addon, dtypes, newPlan, ruleNamed, type Dtype, type Plan } from '../native.ts';
import { Pass } from '../pass.ts';

/** Divides by a number of summands. */
export class Divider {
  readonly #plans = new Map<string, Plan>(); // by what they divide: buckets have two lengths
  readonly #rooms = new Map<Dtype, Allocated>();
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  /** array <- array / count */
  divide(dtype: Dtype, array: FloatArray): void {
    const key = `${dtype} ${array.length}`;
    const plan = this.#plans.get(key) ?? planOf(dtype, array.length, this.#count);
    this.#plans.set(key, plan);
    const before = this.#roomOf(dtype, array.length);
    before.set(array);
    plan.run([array, before]);
  }

  #roomOf(dtype: Dtype, length: number): FloatArray {
    let room = this.#rooms.get(dtype);
    if (room === undefined || room.array.length < length) {
      room?.memory.release();
      this.#rooms.set(dtype, (room = allocated(dtype, length)));
    }
    return room.array.subarray(0, length);
  }

  release(): void {
    for (const plan of this.#plans.values()) plan.release();
    this.#plans.clear();
    for (const { memory } of this.#rooms.values()) memory.release();
    this.#rooms.clear();
  }
}

function planOf(dtype: Dtype, length: number, count: number): Plan {
  const memory = new addon.Memory(addon.controlSize * Float64Array.BYTES_PER_ELEMENT);
  const pass = new Pass('copy', dtype, []);
  pass.attach(new Float64Array(memory.buffer()));
  pass.configure({ unscale: count });
  pass.set({});
  const tensors = [{ variable: 0, length, decay: false, needs: null, sources: [0, 1] }];
  return newPlan([{ rule: ruleNamed('copy').id, dtype: dtypes.indexOf(dtype), tensors }], 1, memory);
}
