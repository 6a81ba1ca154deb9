// Divides sums, as a step divides gradients by a loss scale: each number once, by native code.
import type { FloatArray } from '../arrays.ts';
import { addon, dtypes, newPlan, ruleNamed, type Dtype, type Plan } from '../native.ts';
import { Pass } from '../pass.ts';

/** Divides by a number of summands. */
export class Divider {
  readonly #plans = new Map<string, Plan>(); // by what they divide: buckets have two lengths
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  /** to <- from / count; arrays of one dtype and length, apart in memory. */
  divide(dtype: Dtype, to: FloatArray, from: FloatArray): void {
    const key = `${dtype} ${to.length}`;
    const plan = this.#plans.get(key) ?? planOf(dtype, to.length, this.#count);
    this.#plans.set(key, plan);
    plan.run([to, from]);
  }

  release(): void {
    for (const plan of this.#plans.values()) plan.release();
    this.#plans.clear();
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
