// Where the rows of a sparse gradient lie in their tensor (native/host_plan.cpp).
import { kBlock } from './scratch.ts';

/** The gradients of the elements begin .. begin + length are from .. from + length of those that the rows have. */
export interface Span {
  readonly begin: number;
  readonly from: number;
  readonly length: number;
}

/** Neighbouring rows in one; no span crosses a block of the tensor. */
export function* spansOf(rows: Uint32Array, columns: number): Generator<Span, void> {
  const end = rows.length * columns;
  for (let from = 0; from < end;) {
    let row = Math.floor(from / columns);
    const begin = (rows[row] as number) * columns + (from % columns);
    const most = kBlock - (begin % kBlock);
    do row++;
    while (rows[row] === (rows[row - 1] as number) + 1 && row * columns - from < most);
    const length = Math.min(row * columns - from, most);
    yield { begin, from, length };
    from += length;
  }
}

/** The elements of all other rows. */
export function* gapsOf(rows: Uint32Array, columns: number, length: number): Generator<Span, void> {
  let begin = 0;
  for (const row of [...rows, length / columns]) {
    for (const end = row * columns; begin < end;) {
      const some = Math.min(end - begin, kBlock - (begin % kBlock));
      yield { begin, from: 0, length: some };
      begin += some;
    }
    begin += columns;
  }
}
