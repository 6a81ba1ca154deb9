// What stands between an optimizer and the other processes that train with it (lib/distributed). In one process there is none of it.
import type { PieceHasher } from './checkpoint/pieces.ts';
import type { Optimizer } from './optimizer.ts';
import type { GradientAndVariable } from './pairs.ts';
import type { Given } from './parts.ts';
import type { Averaged } from './runner.ts';

/** Names the method of a communicator that shares the steps of an optimizer: in one process nothing of that is loaded. */
export const shares = Symbol.for('keras-optimizers.shares');

/** What has it. */
export interface Sharing {
  [shares](who: string, optimizer: Optimizer, options: unknown): Promise<void>;
}

export const isSharing = (value: unknown): value is Sharing =>
  typeof (value as Partial<Sharing> | null | undefined)?.[shares] === 'function';

/** Runs what only this process does; the others hear of an error in the place of their next collective. */
export async function told<R>(
  communicator: { fail(error: unknown): Promise<never> },
  part: () => R | Promise<R>,
): Promise<R> {
  try {
    return await part();
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (!String(code).startsWith('ERR_COMM_')) await communicator.fail(error).catch(() => {}); // of those all have heard
    throw error;
  }
}

/** What `part` gives now, or throws now, at a time to come. */
export function later<R>(part: () => R): () => R {
  try {
    const given = part();
    return () => given;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

/** Elements of a variable that one process steps: [first, first + length). */
export interface Part {
  readonly first: number;
  readonly length: number;
}

/** The gradients of a step, summed over processes. */
export interface Distribution {
  /** Where each process steps a part of every variable. */
  readonly shards: Shards | undefined;
  /**
   * Takes the gradients that `given` gives now; returns what steps on their sum when it is its turn, and resolves to the calls of apply
   * so far. Throws nothing: an error waits for its turn as well, since the other processes have to be told.
   */
  take(given: () => Given): () => Promise<number>;
  /** The sums of gradients over processes, as pairs. */
  aggregate(given: () => Given): Promise<readonly GradientAndVariable[]>;
  /**
   * Saves the optimizer at `path`, together with the other processes: `write` writes what this one has into a file, and gives its hash.
   */
  save(path: string, write: Write): Promise<void>;
  /** Rejects with why this process cannot do what all do together now, and tells the others. */
  refuse(error: unknown): Promise<never>;
  /** All processes have stepped: brings the parts together. */
  gather(): Promise<void>;
  /** Writes averages into their variables, of which each process has its part, and brings those together. */
  finalize(averaged: () => readonly Averaged[]): Promise<void>;
  /** Throws for a method that steps, and cannot wait for other processes. */
  checkAtOnce(method: string): void;
  /** Runs `apply` on gradients that have been summed. */
  summed<R>(apply: () => R): R;
  /** Gives all memory back. */
  release(): void;
}

/** Writes a file; `pieces` hashes those as well. */
export type Write = (path: string, pieces?: PieceHasher) => Promise<string>;

/** Of a state of which each process keeps its part. */
export interface Shards {
  /** Of this process, among all. */
  readonly rank: number;
  /** The parts of variables of so many elements, by process and variable; those of which all is looked at are in one piece. */
  partsOf(lengths: readonly number[], whole: readonly boolean[]): readonly (readonly Part[])[];
  /** Adds numbers of all processes, in place. */
  sum(numbers: Float64Array): Promise<void>;
}
