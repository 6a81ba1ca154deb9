// The order of every sum: pairwise by index, (0 + 1), (2 + 3), ..., then the results again; an odd one out moves up as it is
// (native/reduce.h has the same for the host's reductions). A node of that tree stands for the leaves [begin, end). Whoever has
// contiguous leaves adds up the whole nodes in them; the bits are the same however many share the leaves.

/** A node: the sum of the leaves [begin, end). */
export interface Node {
  readonly begin: number;
  readonly end: number;
}

/** What a node becomes in the next level up: itself and its sibling; the root stays as it is. */
export function parentOf({ begin, end }: Node, leaves: number): Node {
  const width = 2 * levelOf(begin, end, leaves);
  const first = begin - (begin % width);
  return { begin: first, end: Math.min(first + width, leaves) };
}

/** Leaves that a complete node of its level has: the last node of a level may have fewer. */
function levelOf(begin: number, end: number, leaves: number): number {
  let width = 1;
  while (begin + width < end) width *= 2;
  // an odd one out moves up until it has a sibling on its left
  if (end === leaves) while (begin % (2 * width) === 0 && begin > 0 && begin + width >= leaves) width *= 2;
  return width;
}

/** The fewest nodes of a tree of so many leaves that make up [begin, end), in their order. */
export function subtreesOf(leaves: number, begin: number, end: number): readonly Node[] {
  const nodes: Node[] = [];
  for (let at = begin; at < end; at = (nodes.at(-1) as Node).end) {
    let width = 1;
    while (at % (2 * width) === 0 && width < end - at && (at + 2 * width <= end || end === leaves)) width *= 2;
    nodes.push({ begin: at, end: Math.min(at + width, end) });
  }
  return nodes;
}

/**
 * The additions that make the whole of nodes in their order which together are all the leaves: nodes[to] <- nodes[to] + nodes[from].
 * The last leaves the sum in nodes[0].
 */
export function additionsOf(nodes: readonly Node[]): readonly (readonly [to: number, from: number])[] {
  const leaves = nodes.at(-1)?.end ?? 0;
  const additions: [number, number][] = [];
  // pending nodes in ascending order, as in a binary counter
  let level = nodes.map((node, i) => ({ ...node, i }));
  for (let width = 1; level.length > 1; width *= 2) {
    const next: typeof level = [];
    for (const node of level) {
      const left = next.at(-1);
      const siblings = left !== undefined && left.begin % (2 * width) === 0 && left.end === node.begin;
      const whole =
        node.begin === (left?.begin ?? NaN) + width && (node.end - node.begin === width || node.end === leaves);
      if (siblings && whole && left.end - left.begin === width && node.end - node.begin <= width) {
        additions.push([left.i, node.i]);
        next[next.length - 1] = { ...left, end: node.end };
      } else next.push(node);
    }
    level = next;
  }
  return additions;
}
