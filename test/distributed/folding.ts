// The order of a sum, written down a second time: level by level, in the arithmetic of an array.
import { subtreesOf, type Node } from '../../lib/distributed/tree.ts';

export type Floats = Float32Array | Float64Array;

/** The sum of arrays, pairwise by index; an odd one out moves up. */
export function folded<T extends Floats>(arrays: readonly T[]): T {
  let level = arrays;
  while (level.length > 1) {
    const pairs = Array.from({ length: Math.ceil(level.length / 2) }, (_, i) => level.slice(2 * i, 2 * i + 2));
    level = pairs.map(([a, b]) => (b === undefined ? (a as T) : ((a as T).map((x, i) => x + (b[i] as number)) as T)));
  }
  return (level[0] as T).slice() as T;
}

/** What a rank sends of its leaves: the sums of its subtrees. */
export function subtreesIn<T extends Floats>(leaves: readonly T[], own: Node): T[] {
  return subtreesOf(leaves.length, own).map(({ begin, end }) => folded(leaves.slice(begin, end)));
}
