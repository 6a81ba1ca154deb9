// Who has which summands of a sum over ranks, and in which order they are added.
import { rangeError } from '../errors.ts';
import { additionsOf, leavesOf, subtreesOf, type Addition } from './tree.ts';

export interface Sharing {
  /** Summands of all ranks together. */
  readonly leaves: number;
  /** Subtrees of the rank that has most; every rank sends as many, whatever it has. */
  readonly subtrees: number;
  /** Where the summands are, in the order of their leaves. */
  readonly places: readonly { readonly rank: number; readonly subtree: number }[];
  readonly additions: readonly Addition[];
}

const known = new Map<string, Sharing>();

/** Throws unless the leaves can be shared evenly. */
export function sharingOf(who: string, leaves: number, size: number): Sharing {
  if (!Number.isInteger(leaves) || leaves < 1 || leaves % size !== 0 || leaves >= 2 ** 32)
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `${who} expects leaves to be a multiple of the ${size} ranks, got ${leaves}`,
    );
  const key = `${leaves} ${size}`;
  const sharing = known.get(key) ?? shared(leaves, size);
  known.set(key, sharing);
  return sharing;
}

function shared(leaves: number, size: number): Sharing {
  const ofRanks = Array.from({ length: size }, (_, rank) => subtreesOf(leaves, leavesOf(leaves, rank, size)));
  return {
    leaves,
    subtrees: Math.max(...ofRanks.map((nodes) => nodes.length)),
    places: ofRanks.flatMap((nodes, rank) => nodes.map((_, subtree) => ({ rank, subtree }))),
    additions: additionsOf(ofRanks.flat(), leaves),
  };
}
