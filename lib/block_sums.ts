// The sums of squares of the gradients' blocks, where each process has those of its parts: room for all of them, and the sum of each
// variable in the order of one process (foldPairwise in native/reduce.h).
import { allocated, type Allocated } from './arrays.ts';
import { addon } from './native.ts';

export class BlockSums {
  /** The place of the first sum of each variable; and their end. */
  readonly first: readonly number[];
  readonly sums: Allocated<Float64Array>;
  readonly squares: Allocated<Float64Array>;

  /** `lengths`: elements of the variables. */
  constructor(lengths: readonly number[]) {
    const first = [0];
    for (const length of lengths) first.push((first.at(-1) as number) + Math.ceil(length / addon.block));
    this.first = first;
    this.sums = allocated('float64', first.at(-1) as number) as Allocated<Float64Array>;
    this.squares = allocated('float64', lengths.length) as Allocated<Float64Array>;
  }

  /** Writes the sum of each variable; returns the L2 norm of all of them. */
  fold(): number {
    const { array } = this.squares;
    let total = 0;
    for (let i = 0; i < array.length; i++) {
      const sum = folded(this.sums.array.subarray(this.first[i], this.first[i + 1]));
      array[i] = sum;
      total += sum;
    }
    return Math.sqrt(total);
  }

  release(): void {
    for (const { memory } of [this.sums, this.squares]) memory.release();
  }
}

/** Pairwise by index, in place; an odd one out moves up as it is. */
function folded(sums: Float64Array): number {
  for (let count = sums.length; count > 1; count = Math.ceil(count / 2)) {
    for (let i = 0; i < count >> 1; i++) sums[i] = (sums[2 * i] as number) + (sums[2 * i + 1] as number);
    if (count % 2 === 1) sums[count >> 1] = sums[count - 1] as number;
  }
  return sums[0] ?? 0;
}
