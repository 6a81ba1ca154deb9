// The values of variables as they were, to be written back when a step fails or was only tried.
import { arrays, writeTo, type FloatArray } from './arrays.ts';
import { Variable } from './variable.ts';

export class Snapshot {
  readonly #kept = new Map<Variable, FloatArray>();

  /**
   * Takes the values of variables as they are now. The copies of an earlier time are used again, so that a snapshot at every step
   * allocates nothing.
   */
  take(variables: readonly Variable[]): void {
    const before = new Map(this.#kept);
    this.#kept.clear();
    for (const variable of variables) this.add(variable, before.get(variable));
  }

  /** Takes one variable more. */
  add(variable: Variable, copy?: FloatArray): void {
    Variable.checkAttached(variable);
    const storage = Variable.storageOf(variable);
    const kept = copy ?? new arrays[storage.dtype === 'float64' ? 'float64' : 'float32'](storage.length);
    writeTo(kept, storage.value() as FloatArray);
    this.#kept.set(variable, kept);
  }

  /** Writes them back, but into those whose memory is gone. */
  restore(): void {
    for (const [variable, values] of this.#kept)
      if (Variable.isThere(variable)) Variable.storageOf(variable).write(values);
  }
}
