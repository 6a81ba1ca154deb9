// Heaps of texts in an HDF5 file that the library would not come to an end with: an object that takes no bytes is followed by itself.
// They are found beforehand, and shown to it as something else, which it refuses if it needs them.
import { allOf, bytesSource, piecesOf, type Source } from './source.ts';

const kSignature = Buffer.from('GCOL\x01', 'latin1'); // with its version
const kHeader = 16; // bytes: of a heap, and of an object in it
const kVersionAt = 4;

/** What the library reads: with `numbers` the bytes of arrays, which may look like a heap, as they are. */
export interface Guarded extends Source {
  numbers: boolean;
  /** Whether the library has read such a heap. */
  refused: boolean;
}

/** A source without such heaps. */
export async function guarded(source: Source): Promise<Guarded> {
  const bad = await endlessIn(source);
  const readNow = (into: Uint8Array, position: number): number => {
    const count = source.readNow(into, position);
    for (const heap of own.numbers ? [] : bad) {
      const at = heap + kVersionAt - position;
      if (at < 0 || at >= count) continue;
      into[at] = 0xff;
      own.refused = true;
    }
    return count;
  };
  const own: Guarded = { ...source, readNow, numbers: false, refused: false };
  return own;
}

/** Where heaps begin that are not whole. */
async function endlessIn(source: Source): Promise<number[]> {
  const bad: number[] = [];
  let [before, begin, looked] = [Buffer.alloc(0), 0, 0];
  for await (const piece of piecesOf(source)) {
    const bytes = Buffer.concat([before, piece]);
    for (let at = -1; (at = bytes.indexOf(kSignature, at + 1)) >= 0;) {
      const length = lengthOf(source, begin + at);
      looked += length;
      const isWhole = length > 0 && looked <= source.length; // heaps in one another would take for ever
      if (!isWhole || !(await ends(source, begin + at, length))) bad.push(begin + at);
    }
    before = Buffer.from(bytes.subarray(Math.max(0, bytes.length - kSignature.length + 1)));
    begin += bytes.length - before.length;
  }
  return bad;
}

/** The bytes of a heap; 0 if there are not as many. */
function lengthOf(source: Source, begin: number): number {
  const header = Buffer.alloc(kHeader);
  if (source.readNow(header, begin) < kHeader) return 0;
  const length = header.readBigUInt64LE(8);
  return length <= BigInt(source.length - begin) ? Number(length) : 0;
}

/** Whether its objects lead to its end. */
async function ends(source: Source, begin: number, length: number): Promise<boolean> {
  const heap = Buffer.from(await allOf(partOf(source, begin, length)));
  let at = kHeader;
  while (length - at >= kHeader) {
    const [index, size] = [heap.readUInt16LE(at), heap.readBigUInt64LE(at + 8)];
    if (size > BigInt(length - at)) return false;
    const bytes = index === 0 ? Number(size) : kHeader + 8 * Math.ceil(Number(size) / 8);
    if (bytes === 0) return false;
    at += bytes;
  }
  return true;
}

function partOf(source: Source, begin: number, length: number): Source {
  const bytes = new Uint8Array(length);
  return bytesSource(bytes.subarray(0, source.readNow(bytes, begin)));
}
