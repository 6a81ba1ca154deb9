// The gradients of asynchronous steps, taken at the call: in library memory they are read in place, others are copied there.
import { allocated, checkAttached, dtypeOf, lengthOf, memoryOf, type Allocated, type AnyArray } from './arrays.ts';
import { isSpace, nameOf } from './devices.ts';
import { rangeError, typeError } from './errors.ts';
import { gatherGradients, nothingGathered, type Gathered } from './gradients.ts';
import type { Memory } from './native.ts';
import type { Brought } from './pass.ts';
import type { State, Trainable } from './state.ts';
import { Variable } from './variable.ts';

/** What an asynchronous step has taken with it. */
export interface Staged {
  readonly arrays: readonly (Brought | null)[];
  /** The memories that they lie in. */
  readonly held: readonly Memory[];
  readonly gathered: Gathered;
}

/** Of a step on the variables' own gradients. */
export const nothingStaged: Staged = { arrays: [], held: [], gathered: nothingGathered };

export class Staging {
  // Copies for the step that is taken next, and for the one taken before it; allocated on first use.
  readonly #blocks: [(Block | undefined)[], (Block | undefined)[]] = [[], []];

  /**
   * Takes the gradients of a step. Throws as `apply`, and `ERR_OPT_NOT_ASYNC_SAFE` if a variable is a plain array. `atOnce`: the step
   * begins before anybody can write into them; a GPU takes them with it then.
   */
  take(
    who: string,
    state: State,
    gradients: unknown,
    variables: readonly Trainable[] | undefined,
    places?: readonly number[],
    atOnce = false,
  ): Staged {
    if (isSpace(state.site))
      throw typeError(
        'ERR_OPT_NOT_ASYNC_SAFE',
        `${who}.apply_async expects variables on the cpu or a GPU, they are on ${nameOf(state.site)}: use apply, whose work is done there`,
      );
    if (!state.asyncSafe)
      throw typeError(
        'ERR_OPT_NOT_ASYNC_SAFE',
        `${who}.apply_async expects variables that own their memory, got plain arrays: use Variable, or apply`,
      );
    const given: (Brought | null)[] = state.variables.map(() => null);
    const gathered = gatherGradients(who, state, given, gradients, variables, places);
    if (atOnce && state.site !== undefined) return { arrays: given, held: [], gathered };
    try {
      const placed = given.map((array, i) => (array === null ? undefined : this.#place(array, i, state)));
      const held = placed.flatMap((place) => (place === undefined ? [] : [place.memory]));
      this.#blocks.reverse();
      return { arrays: placed.map((place) => place?.array ?? null), held, gathered };
    } catch (error) {
      state.giveBack(gathered);
      throw error;
    }
  }

  #place(array: Brought, i: number, state: State): Placed {
    if (!ArrayBuffer.isView(array)) return { memory: array, array }; // on a GPU
    checkAttached(`gradients[${i}]`, array); // a getter among the gradients may have taken it away,
    const memory = memoryOf(array);
    if (memory !== undefined) return { memory, array };
    const [blocks] = this.#blocks;
    const { length } = Variable.storageOf(state.targets[i] as Variable);
    const dtype = dtypeOf(array) ?? 'uint16';
    const kept = blocks[i]?.dtype === dtype ? blocks[i] : undefined;
    const block = (blocks[i] = kept ?? { dtype, ...allocated(dtype, length) });
    if (lengthOf(array) !== length)
      // or another thread have made it longer
      throw rangeError('ERR_OPT_LENGTH', `gradients[${i}] has ${lengthOf(array)} elements, its variable has ${length}`);
    block.array.set(array);
    return block;
  }

  /** Gives the copies' memory back. */
  release(): void {
    for (const blocks of this.#blocks) for (const block of blocks.splice(0)) block?.memory.release();
  }
}

interface Placed {
  readonly memory: Memory;
  readonly array: Brought;
}

type Block = Allocated<AnyArray> & { readonly dtype: string };
