// A step in parts, which a wrapper runs for several optimizers at once, so that it happens in all of them or in none.
import type { Gradient } from './gradients.ts';
import type { Trainable } from './trainables.ts';

/** What `apply` was given, or a wrapper gives of it. */
export interface Given {
  readonly gradients: readonly Gradient[] | undefined;
  readonly variables: readonly Trainable[] | undefined;
  /** The places of the gradients in the list of the caller's, where that is another. */
  readonly places?: readonly number[];
}

/** A step whose gradients have been found: in this order, and `end` in any case. */
export interface Parts {
  /** Whether every gradient, as it was given, is finite. */
  finite(): boolean;
  finiteAsync(): Promise<boolean>;
  /** Computes the numbers of the step, by functions of the caller's. The gradients are divided by `unscale`. */
  prepare(unscale: number | undefined): void;
  /** The whole update of a class that steps in TypeScript. */
  custom(): void;
  customAsync(): Promise<void>;
  /** Of parts of variables: the norms of all processes' gradients, by which they are clipped. */
  normsAsync(): Promise<void>;
  /** Throws if `run` could not run now. Until it does, nothing of the caller's may be called. */
  check(): void;
  run(): void;
  runAsync(): Promise<void>;
  /** Takes `custom` and `normsAsync` back. */
  undo(): void;
  /** The step has happened. */
  count(): void;
  constrain(): void;
  end(): void;
}

/** A step whose gradients have been taken, and whose turn has not come yet. One of both is called, once. */
export interface Waiting {
  begin(): Parts;
  /** Gives back what it has taken, and leaves the step that runs alone. */
  cancel(): void;
}

async function settled<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises); // nothing goes on when this ends
  return Promise.all(promises);
}

/** The steps of several optimizers as one. */
export function together(all: readonly Parts[]): Parts {
  const each = (part: (parts: Parts) => void) => (): void => all.forEach(part);
  return {
    finite: () => all.every((parts) => parts.finite()),
    finiteAsync: async () => (await settled(all.map((parts) => parts.finiteAsync()))).every(Boolean),
    prepare: (unscale) => all.forEach((parts) => parts.prepare(unscale)),
    custom: each((parts) => parts.custom()),
    customAsync: async () => {
      for (const parts of all) await parts.customAsync();
    },
    normsAsync: async () => {
      for (const parts of all) await parts.normsAsync(); // in the same order everywhere
    },
    check: each((parts) => parts.check()),
    run: each((parts) => parts.run()),
    runAsync: async () => void (await settled(all.map((parts) => parts.runAsync()))),
    undo: each((parts) => parts.undo()),
    count: each((parts) => parts.count()),
    constrain: each((parts) => parts.constrain()),
    end: each((parts) => parts.end()),
  };
}
