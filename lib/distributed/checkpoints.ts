// Checkpoints of a run, one folder each, of which the last ones are kept.
import { mkdir, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { whole, flag, readOptions } from '../configurable.ts';
import { systemError } from '../checkpoint/errors.ts';
import { pathOf, type FilePath } from '../checkpoint/save.ts';
import { isFolder, kManifest, readManifest } from '../checkpoint/shards.ts';
import { system } from '../checkpoint/system.ts';
import { told } from '../distribution.ts';
import type { Optimizer } from '../optimizer.ts';
import { together } from './alive.ts';
import type { Communicator } from './communicator.ts';

const fields = {
  variables: flag(false),
  keep: { ...whole(2), expects: 'a whole number >= 1', allows: (x: number) => Number.isSafeInteger(x) && x >= 1 },
};
/** Of `saveCheckpoint`. */
export interface CheckpointOptions {
  /** Whether the values of the variables are saved as well, as in `save`; default false. */
  readonly variables?: boolean | undefined;
  /** How many complete checkpoints stay, 1 or more; default 2. */
  readonly keep?: number | undefined;
}

const kName = /^step-(\d{10,})$/;

/** The complete checkpoints of a run, the one that was written last first, of those at the same time the one of the later step. */
async function completeIn(run: string): Promise<readonly string[]> {
  const names = (await readdir(run).catch(() => [])).filter((name) => kName.test(name));
  const found = await Promise.all(names.map((name) => completedAt(join(run, name))));
  return found
    .flatMap((one) => one ?? [])
    .toSorted((a, b) => Number(b.time - a.time) || stepOf(b.path) - stepOf(a.path))
    .map(({ path }) => path);
}

/** When a checkpoint was completed, in ns: a folder by its manifest. Undefined if it was not, or has gone meanwhile. */
async function completedAt(path: string): Promise<{ readonly path: string; readonly time: bigint } | undefined> {
  try {
    const isShared = await isFolder(path);
    if (isShared) await readManifest(path);
    const { mtimeNs: time } = await stat(isShared ? join(path, kManifest) : path, { bigint: true });
    return { path, time };
  } catch {
    return undefined;
  }
}

const stepOf = (path: string): number => Number(kName.exec(basename(path))?.[1]);

/**
 * Saves an optimizer under a name of its own, `step-0000000100` for iteration 100: a folder, or a file where no state is shared. All ranks
 * call it, and await it before their next step; all have the same outcome. Rank 0 makes the folder of the run where there is none, and
 * removes, when it has been saved, those before the last ones: by the time at which they were written, so that after going back to an
 * earlier step the later ones of before are the old ones.
 *
 * @param run the folder that all checkpoints of a run are in
 * @returns its path
 * @throws (rejects) as `Optimizer.save`; CheckpointError `ERR_CKPT_IO` also where an old one cannot be removed: it has been saved then
 */
export async function saveCheckpoint(
  optimizer: Optimizer,
  communicator: Communicator,
  run: FilePath,
  options: CheckpointOptions = {},
): Promise<string> {
  const isFirst = communicator.rank === 0;
  await optimizer.idle(); // its name is the step that all ranks have come to
  const { own, folder, variables, keep } = await told(communicator, async () => {
    const folder = pathOf('saveCheckpoint', run);
    const own = join(folder, `step-${String(optimizer.iterations).padStart(10, '0')}`);
    const settings = readOptions('saveCheckpoint', fields, [options]);
    if (isFirst) await orError(`making ${folder}`, mkdir(folder, { recursive: true }));
    return { own, folder, ...settings };
  });
  await optimizer.save(own, { variables });
  await together(communicator, () => (isFirst ? removeBefore(own, folder, keep) : undefined));
  return own;
}

/** Keeps a checkpoint and the last ones before it. */
async function removeBefore(own: string, folder: string, keep: number): Promise<void> {
  const others = (await completeIn(folder)).filter((path) => path !== own);
  for (const old of others.slice(keep - 1))
    await orError(`removing ${old}`, system.rm(old, { recursive: true, force: true }));
}

const orError = <R>(doing: string, part: Promise<R>): Promise<R> =>
  part.catch((error: unknown) => {
    throw systemError(doing, error);
  });

/**
 * The complete checkpoint of a run that was written last, for `Optimizer.load`; undefined if there is none. When it was written is what
 * the file system says of it (`mtime`; of a folder, that of its manifest): a copy has to keep that.
 */
export async function latestCheckpoint(run: FilePath): Promise<string | undefined> {
  const [last] = await completeIn(pathOf('latestCheckpoint', run));
  return last;
}
