// Who steps what, where each process keeps a part of the state: blocks of variables, dealt out in their order so that everybody has
// about as many elements. What is summed over a variable is summed by blocks, so that the bits are those of one process.
import type { Part } from '../distribution.ts';
import { addon } from '../native.ts';

/** A variable as it is dealt out. */
export interface Unit {
  readonly length: number;
  /** Whether it stays in one piece. */
  readonly whole: boolean;
}

/** The place nearest to `at` at which a variable that begins at 0 may be cut. */
function cutIn({ length, whole }: Unit, at: number): number {
  const block = whole ? length : addon.block;
  const below = Math.floor(at / block) * block;
  const above = Math.min(below + block, length);
  return at - below <= above - at ? below : above;
}

/** Where the part of every process begins, and where the last one ends, in elements of all variables one after the other. */
function cutsOf(units: readonly Unit[], size: number): readonly number[] {
  const total = units.reduce((sum, { length }) => sum + length, 0);
  const cuts = [0];
  let begin = 0;
  let unit = 0;
  for (let rank = 1; rank < size; rank++) {
    const at = (rank * total) / size;
    for (; begin + (units[unit]?.length ?? Infinity) < at; unit++) begin += (units[unit] as Unit).length;
    const own = units[unit];
    cuts.push(own === undefined ? total : begin + cutIn(own, at - begin));
  }
  return [...cuts, total];
}

/** The parts of all processes, by rank and then by unit. */
export function partsOf(units: readonly Unit[], size: number): readonly (readonly Part[])[] {
  const cuts = cutsOf(units, size);
  return Array.from({ length: size }, (_, rank) => {
    const [from, to] = [cuts[rank] as number, cuts[rank + 1] as number];
    let begin = 0;
    return units.map(({ length }): Part => {
      const [first, end] = [Math.max(from - begin, 0), Math.min(to - begin, length)];
      begin += length;
      return first < end ? { first, length: end - first } : { first: 0, length: 0 };
    });
  });
}
