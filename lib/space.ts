// A space: where the numbers of variables lie that neither the host nor a GPU of ours can reach, such as the tensors of another
// library, whose operations then do the steps.
import type { Memory, PassSpec, Plan } from './native.ts';
import type { DeviceStorage, Storage } from './storage.ts';
import type { Variable } from './variable.ts';

export interface Space {
  /** What `device` shows. */
  readonly name: 'tfjs';
  /** Zeros. Throws for a dtype that the space does not have. */
  allocate(dtype: string, shape: readonly number[]): DeviceStorage;
  /**
   * What a plan of this space reads as the gradient of a variable; undefined for numbers of the host's. Throws for one that does not
   * fit; `who` names it.
   */
  gradientMemory(who: string, gradient: unknown, variable: Variable): Memory | undefined;
  /** Writes the numbers of one storage of the space into another. */
  copy(to: Storage, from: Storage): void;
  /** As the addon's; it runs at once, on one thread of JavaScript. */
  newPlan(passes: readonly PassSpec[], variables: number, control: Memory): Plan;
}
