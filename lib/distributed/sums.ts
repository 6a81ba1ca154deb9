// Sums in the order of a tree, by native code: on the host with all its threads and instruction sets, or on a GPU. Denormals count as
// zero in float32, as in every step.
import { addon, dtypes, newPlan, ruleNamed, type Dtype, type Memory, type PassSpec, type Plan } from '../native.ts';
import { Pass } from '../pass.ts';
import type { FloatArray } from '../arrays.ts';
import type { Addition } from './tree.ts';

/** A summand: an array of the host's, or memory of a GPU. */
export type Summand = FloatArray | Memory;

const kPlans = 64; // kept, for different lengths
const kAsync = 1 << 16; // elements: below, the event loop would be asked for longer than the sum takes

/** Adds arrays up. */
export class Adder {
  readonly #plans = new Map<string, Plan>();

  /**
   * summands[to] <- summands[to] + summands[from], for one addition after the other. Arrays of one length, apart in memory; those of a
   * long sum lie in the memories `held`, if any: the event loop is free then.
   */
  async add(
    dtype: Dtype,
    length: number,
    summands: readonly Summand[],
    additions: readonly Addition[],
    held: readonly Memory[] = [],
  ): Promise<void> {
    if (length === 0 || additions.length === 0) return;
    const onDevice = summands.some((summand) => !ArrayBuffer.isView(summand));
    const plan = this.#planOf(dtype, length, additions, onDevice ? (summands as readonly Memory[]) : undefined);
    if (onDevice) return void plan.run();
    const arrays = summands as readonly FloatArray[];
    if (held.length === 0 || length * additions.length < kAsync) return void plan.run(arrays);
    await new Promise<void>((resolve, reject) => {
      plan.runAsync(arrays, held, (_, error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  // A plan on a GPU is one over its memory; on the host it takes the arrays of every run.
  #planOf(dtype: Dtype, length: number, additions: readonly Addition[], memories: readonly Memory[] | undefined): Plan {
    const places = memories?.map(({ device, address }) => `${device}:${address}`) ?? [];
    const key = [dtype, length, ...additions, ...places].join(' ');
    const plan = this.#plans.get(key) ?? planOf(dtype, length, additions, memories);
    this.#plans.delete(key);
    this.#plans.set(key, plan); // the last one used is the last to go
    const [oldest] = this.#plans.keys();
    if (this.#plans.size > kPlans && oldest !== undefined) {
      this.#plans.get(oldest)?.release();
      this.#plans.delete(oldest);
    }
    return plan;
  }

  /** Gives the plans' memory back. */
  release(): void {
    for (const plan of this.#plans.values()) plan.release();
    this.#plans.clear();
  }
}

// One pass an addition, p - (-1) g, over the same tensor as far as the plan knows: it does them all for a part that fits the cache.
function planOf(dtype: Dtype, length: number, additions: readonly Addition[], memories?: readonly Memory[]): Plan {
  const { controlSize } = addon;
  const memory = new addon.Memory(additions.length * controlSize * Float64Array.BYTES_PER_ELEMENT);
  const control = new Float64Array(memory.buffer());
  const specs = additions.map((places, i): PassSpec => {
    const pass = new Pass('sgd', dtype, []);
    pass.attach(control.subarray(i * controlSize, (i + 1) * controlSize));
    pass.set({ learning_rate: -1 });
    const sources = places.map((place) => memories?.[place] ?? place);
    const tensor = { variable: 0, length, decay: false, needs: null, sources };
    return { rule: ruleNamed('sgd').id, dtype: dtypes.indexOf(dtype), tensors: [tensor] };
  });
  return newPlan(specs, 1, memory);
}
