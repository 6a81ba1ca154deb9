// Divides sums, as a step divides gradients by a loss scale: each number once, by native code.
import { allocated, type Allocated, type FloatArray } from '../arrays.ts';
import { addon, dtypes, newPlan, ruleNamed, type Dtype, type Memory, type Plan, type Source } from '../native.ts';
import { Pass } from '../pass.ts';
import { DeviceNumbers, releaseRoom, roomFor, type Room } from './numbers.ts';

/** Divides by a number of summands. */
export class Divider {
  readonly #plans = new Map<string, Plan>(); // by what they divide: buckets have two lengths
  readonly #rooms = new Map<Dtype, Allocated>();
  readonly #onGpu = new Map<string, OnGpu>();
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  /** numbers <- numbers / count */
  divide(dtype: Dtype, numbers: FloatArray | DeviceNumbers): void {
    const key = `${dtype} ${numbers.length}`;
    if (numbers instanceof DeviceNumbers) return this.#divideOnGpu(key, dtype, numbers);
    const plan = this.#plans.get(key) ?? planOf('copy', dtype, numbers.length, this.#count, [0, 1]);
    this.#plans.set(key, plan);
    const before = this.#roomOf(dtype, numbers.length);
    before.set(numbers);
    plan.run([numbers, before]);
  }

  #divideOnGpu(key: string, dtype: Dtype, numbers: DeviceNumbers): void {
    const found = this.#onGpu.get(key) ?? onGpu(dtype, numbers, this.#count);
    this.#onGpu.set(key, found);
    divideThere(found, numbers);
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
    for (const { plan, zeros, result } of this.#onGpu.values()) {
      plan.release();
      releaseRoom(zeros);
      releaseRoom(result);
    }
    this.#onGpu.clear();
  }
}

/** Plans for a GPU only update: -0 - (-1) x / count is what a copy of x / count would be, zeros of both signs included. */
interface OnGpu {
  readonly plan: Plan;
  readonly zeros: Room;
  readonly result: Room;
}

function onGpu(dtype: Dtype, { length, memory }: DeviceNumbers, count: number): OnGpu {
  const [zeros, result] = [roomFor(dtype, length, memory.device), roomFor(dtype, length, memory.device)];
  (zeros.array as DeviceNumbers).assign(new Float64Array(length).fill(-0));
  return { plan: planOf('sgd', dtype, length, count, [result.memory, 0]), zeros, result };
}

function divideThere({ plan, zeros, result }: OnGpu, { memory }: DeviceNumbers): void {
  addon.cuda.copy(result.memory, zeros.memory);
  plan.run([memory]);
  addon.cuda.copy(memory, result.memory);
}

function planOf(rule: 'copy' | 'sgd', dtype: Dtype, length: number, count: number, sources: readonly Source[]): Plan {
  const memory: Memory = new addon.Memory(addon.controlSize * Float64Array.BYTES_PER_ELEMENT);
  const pass = new Pass(rule, dtype, []);
  pass.attach(new Float64Array(memory.buffer()));
  pass.configure({ unscale: count });
  pass.set(rule === 'sgd' ? { learning_rate: -1 } : {});
  const tensors = [{ variable: 0, length, decay: false, needs: null, sources }];
  return newPlan([{ rule: ruleNamed(rule).id, dtype: dtypes.indexOf(dtype), tensors }], 1, memory);
}
