// Saving, together: all ranks have saved, or all of them reject and what was there before counts.
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';

import { begin, commit, nameOf } from '../checkpoint/shards.ts';
import type { Communicator } from './communicator.ts';
import { CommunicatorError } from './errors.ts';

type Write = (path: string) => Promise<string>;
interface Agreed {
  readonly layout: bigint;
}

/** Runs what only this rank does; the others hear of an error in the place of their next collective. */
async function told<R>(communicator: Communicator, part: () => Promise<R>): Promise<R> {
  try {
    return await part();
  } catch (error) {
    if (!(error instanceof CommunicatorError)) await communicator.fail(error).catch(() => {});
    throw error;
  }
}

/** Rank 0 writes what all have. */
export async function saveWhole(
  communicator: Communicator,
  path: string,
  write: Write,
  { layout }: Agreed,
): Promise<void> {
  await communicator.barrier({ layout }); // all of them are there
  if (communicator.rank === 0) await told(communicator, () => write(path));
  await communicator.barrier({ layout });
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
  const sha256 = await told(communicator, () => write(own));
  const hashes = new Uint8Array(size * 32);
  try {
    await communicator.allGather(new Uint8Array(Buffer.from(sha256, 'hex')), hashes, { layout });
  } catch (error) {
    await unlink(own).catch(() => {}); // no manifest will tell of it
    throw error;
  }
  const files = Array.from({ length: size }, (_, i) => ({
    name: nameOf(id, i, size),
    sha256: Buffer.from(hashes.subarray(i * 32, (i + 1) * 32)).toString('hex'),
  }));
  const manifest = { step, layout: layout.toString(16), files };
  if (rank === 0) await told(communicator, () => commit(folder, manifest));
  await communicator.barrier({ layout });
}
