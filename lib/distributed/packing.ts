// How the arrays of many variables lie in flat buckets, which are summed and gathered one by one. A bucket has one part for each
// process. Either the variables stand one after the other, and parts are cut out of them as it comes; or row r of a bucket is the part
// of process r, and has what that steps.
import { checkAttached } from '../arrays.ts';
import type { Part } from '../distribution.ts';
import type { Dtype } from '../native.ts';
import { DeviceNumbers, put, type Numbers } from './numbers.ts';

/** Elements of a variable. */
export interface Segment extends Part {
  readonly variable: number;
}

/** Elements of a variable in a bucket. */
interface Piece extends Segment {
  /** Where they lie in all buckets. */
  readonly at: number;
  readonly row: number;
}

/** Elements [begin, end) of all buckets. */
export interface Bucket {
  readonly begin: number;
  readonly end: number;
  readonly pieces: readonly Piece[];
}

export interface Packing {
  readonly dtype: Dtype;
  /** Elements of all buckets. */
  readonly length: number;
  readonly buckets: readonly Bucket[];
  /** Of each row, where its segments begin, by variable. */
  readonly places: readonly ReadonlyMap<number, Segment & { readonly at: number }>[];
}

const kLine = 16; // elements: arrays begin on cache lines

const upTo = (n: number, multiple: number): number => Math.ceil(n / multiple) * multiple;

/**
 * @param rows what stands in each row: one, or as many as processes
 * @param size processes
 * @param most elements of a bucket, about
 */
export function packed(dtype: Dtype, rows: readonly (readonly Segment[])[], size: number, most: number): Packing {
  const multiple = (kLine * size) / rows.length; // a bucket has `size` parts that are whole lines
  const placed = rows.map((segments) => {
    let at = 0;
    return segments.map((segment) => {
      const place = { ...segment, at };
      at = upTo(at + segment.length, kLine);
      return place;
    });
  });
  const width = upTo(
    Math.max(0, ...placed.map((row) => row.at(-1)).map((last) => (last ? last.at + last.length : 0))),
    multiple,
  );
  const each = Math.max(multiple, Math.floor(most / rows.length / multiple) * multiple);
  const buckets: Bucket[] = [];
  for (let from = 0; from < width; from += each) {
    const to = Math.min(from + each, width);
    const begin = from * rows.length;
    const pieces = placed.flatMap((segments, row) => {
      const base = begin + row * (to - from) - from;
      return segments.flatMap((segment) => pieceOf(segment, row, from, to, base));
    });
    buckets.push({ begin, end: begin + (to - from) * rows.length, pieces });
  }
  const places = placed.map((segments) => new Map(segments.map((segment) => [segment.variable, segment])));
  return { dtype, length: width * rows.length, buckets, places };
}

/** What elements [from, to) of a row have of a segment; element i of the row lies at base + i. */
function pieceOf(
  { variable, first, length, at }: Segment & { readonly at: number },
  row: number,
  from: number,
  to: number,
  base: number,
): Piece[] {
  const [begin, end] = [Math.max(at, from), Math.min(at + length, to)];
  if (begin >= end) return [];
  return [{ variable, first: first + begin - at, length: end - begin, at: base + begin, row }];
}

/**
 * Writes arrays of whole variables into a bucket, or row `only` of it; what is null stays as it is there.
 *
 * @throws TypeError `ERR_OPT_DETACHED` for an array whose memory is gone
 */
export function pack({ pieces }: Bucket, arrays: readonly (Numbers | null)[], into: Numbers, only?: number): void {
  for (const { variable, first, length, at, row } of pieces) {
    const array = arrays[variable];
    if (!array || row !== (only ?? row)) continue;
    if (!(array instanceof DeviceNumbers)) checkAttached(`gradients[${variable}]`, array);
    put(into, array.subarray(first, first + length), at);
  }
}

/** Writes what lies in a bucket into arrays of whole variables, but for row `own`. */
export function unpack(
  { pieces }: Bucket,
  from: Numbers,
  arrays: readonly (Numbers | null | undefined)[],
  own?: number,
): void {
  for (const { variable, first, length, at, row } of pieces) {
    const array = arrays[variable];
    if (array && row !== own) put(array, from.subarray(at, at + length), first);
  }
}
