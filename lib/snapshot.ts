// The values of variables as they were, to be written back when a step fails or was only tried.
import type { FloatArray } from './arrays.ts';
import type { Storage } from './storage.ts';
import { Variable } from './variable.ts';

export class Snapshot {
  readonly #kept: readonly (readonly [Storage, ArrayLike<number>])[];

  constructor(variables: readonly Variable[]) {
    this.#kept = variables.map((variable) => {
      const storage = Variable.storageOf(variable);
      const scalar = storage.number?.();
      return [storage, scalar === undefined ? (storage.value() as FloatArray).slice() : [scalar]];
    });
  }

  restore(): void {
    for (const [storage, values] of this.#kept) storage.write(values);
  }
}
