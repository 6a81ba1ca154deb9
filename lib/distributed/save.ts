// Saving, together: all ranks have saved, or all of them reject and what was there before counts.
import { join } from 'node:path';

import { PieceHasher, piecesIn } from '../checkpoint/pieces.ts';
import { begin, commit, counts, nameOf } from '../checkpoint/shards.ts';
import { kPiece, system } from '../checkpoint/system.ts';
import { told, type Write } from '../distribution.ts';
import { together } from './alive.ts';
import type { Communicator } from './communicator.ts';

const kHash = 32; // bytes

interface Agreed {
  readonly layout: bigint;
}

/** Rank 0 writes what all have. */
export async function saveWhole(
  communicator: Communicator,
  path: string,
  write: Write,
  { layout }: Agreed,
): Promise<void> {
  await communicator.barrier({ layout }); // all of them are there
  await together(communicator, () => (communicator.rank === 0 ? write(path) : ''), { layout });
}

/** Every rank writes a file into a folder, and rank 0 then the manifest. */
export async function saveParts(
  communicator: Communicator,
  folder: string,
  write: Write,
  { layout, step }: Agreed & { readonly step: number },
): Promise<void> {
  const { rank, size } = communicator;
  const id = rank === 0 ? await told(communicator, () => begin(folder)) : new Uint8Array(8);
  await communicator.broadcast(id, 0, { layout });
  const own = join(folder, nameOf(id, rank, size));
  const hasher = new PieceHasher();
  let commits = false;
  try {
    const sha256 = await together(communicator, () => write(own, hasher), { layout });
    const sizes = new Float64Array(size);
    await communicator.allGather(Float64Array.of(hasher.bytes), sizes, { layout });
    const lists = await gathered(communicator, [sha256, ...hasher.digest()], Math.max(...sizes), layout);
    const files = lists.map(([sha256 = '', ...pieces], i) => {
      const bytes = sizes[i] as number;
      return { name: nameOf(id, i, size), sha256, bytes, pieces: pieces.slice(0, piecesIn(bytes, kPiece)) };
    });
    const manifest = { step, layout: layout.toString(16), piece: kPiece, files };
    commits = true;
    await together(communicator, () => (rank === 0 ? commit(folder, manifest) : undefined), { layout });
  } catch (error) {
    const mayCount = commits && communicator.failure !== undefined; // soon: rank 0 is not heard of any more
    if (!mayCount && !(await counts(folder, id))) await system.unlink(own).catch(() => {}); // no manifest will tell of it
    throw error;
  }
}

/** The hashes of all ranks; the file that has most has `bytes`. */
async function gathered(
  communicator: Communicator,
  own: readonly string[],
  bytes: number,
  layout: bigint,
): Promise<readonly (readonly string[])[]> {
  const length = kHash * (1 + piecesIn(bytes, kPiece));
  const [part, all] = [new Uint8Array(length), new Uint8Array(length * communicator.size)];
  part.set(Buffer.from(own.join(''), 'hex'));
  await communicator.allGather(part, all, { layout });
  const hashAt = (at: number) => Buffer.from(all.subarray(at, at + kHash)).toString('hex');
  return Array.from({ length: communicator.size }, (_, rank) =>
    Array.from({ length: length / kHash }, (_, i) => hashAt(rank * length + i * kHash)),
  );
}
