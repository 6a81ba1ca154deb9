// The order of every sum: pairwise by index, (0 + 1), (2 + 3), ..., then the results again; an odd one out moves up as it is
// (foldPairwise in native/reduce.h has the same). A node of that tree is the sum of the leaves [begin, end). Whoever has contiguous
// leaves adds up the whole nodes in them: the bits are the same however many share the leaves.

/** A node: the sum of the leaves [begin, end). */
export interface Node {
  readonly begin: number;
  readonly end: number;
}

/** What a rank has when `size` of them share the leaves evenly. */
export const leavesOf = (leaves: number, rank: number, size: number): Node => ({
  begin: (rank * leaves) / size,
  end: ((rank + 1) * leaves) / size,
});

/** Whether two nodes, whole and side by side, are added next in a tree of so many leaves. */
export function areSiblings(left: Node, right: Node, leaves: number): boolean {
  const width = right.begin - left.begin;
  const isPower = Number.isInteger(Math.log2(width));
  return isPower && left.begin % (2 * width) === 0 && right.end === Math.min(right.begin + width, leaves);
}

/** The fewest nodes of a tree of so many leaves that make up [begin, end), in their order. */
export function subtreesOf(leaves: number, { begin, end }: Node): readonly Node[] {
  const nodes: Node[] = [];
  for (let at = begin; at < end; at = (nodes.at(-1) as Node).end) {
    let width = 1;
    while (width < leaves && at % (2 * width) === 0 && Math.min(at + 2 * width, leaves) <= end) width *= 2;
    nodes.push({ begin: at, end: Math.min(at + width, leaves) });
  }
  return nodes;
}

/** nodes[to] <- nodes[to] + nodes[from] */
export type Addition = readonly [to: number, from: number];

/** The additions, in their order, that leave the sum of all leaves in nodes[0]; the nodes side by side are all of the leaves. */
export function additionsOf(nodes: readonly Node[], leaves: number): readonly Addition[] {
  const additions: Addition[] = [];
  const pending: (Node & { readonly i: number })[] = [];
  nodes.forEach((node, i) => {
    pending.push({ ...node, i });
    for (let [left, right] = pending.slice(-2); left && right; [left, right] = pending.slice(-2)) {
      if (!areSiblings(left, right, leaves)) break;
      additions.push([left.i, right.i]);
      pending.splice(-2, 2, { ...left, end: right.end });
    }
  });
  return additions;
}
