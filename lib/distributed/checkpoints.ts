// Checkpoints of a run, one folder each, of which the last ones are kept.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { whole, flag, readOptions } from '../configurable.ts';
import { isFolder, readManifest } from '../checkpoint/shards.ts';
import { pathOf, type FilePath } from '../checkpoint/save.ts';
import type { Optimizer } from '../optimizer.ts';
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

/** The complete checkpoints of a run, the last one first. */
async function completeIn(run: string): Promise<readonly string[]> {
  const names = (await readdir(run).catch(() => [])).filter((name) => kName.test(name));
  const paths = names.toSorted((a, b) => stepOf(b) - stepOf(a)).map((name) => join(run, name));
  const complete = await Promise.all(paths.map(isComplete));
  return paths.filter((_, i) => complete[i]);
}

/** A file is; a folder if it has a manifest. */
async function isComplete(path: string): Promise<boolean> {
  if (!(await isFolder(path))) return true;
  return readManifest(path).then(
    () => true,
    () => false,
  );
}

const stepOf = (name: string): number => Number(kName.exec(name)?.[1]);

/**
 * Saves an optimizer under a name of its own, `step-0000000100` for iteration 100: a folder, or a file where no state is shared. All ranks
 * call it. Then rank 0 removes those before the last ones.
 *
 * @param run the folder that all checkpoints of a run are in
 * @returns its path
 * @throws (rejects) as `Optimizer.save`
 */
export async function saveCheckpoint(
  optimizer: Optimizer,
  communicator: Communicator,
  run: FilePath,
  options: CheckpointOptions = {},
): Promise<string> {
  const folder = pathOf('saveCheckpoint', run);
  const { variables, keep } = readOptions('saveCheckpoint', fields, [options]);
  const own = join(folder, `step-${String(optimizer.iterations).padStart(10, '0')}`);
  await optimizer.save(own, { variables });
  if (communicator.rank !== 0) return own;
  for (const old of (await completeIn(folder)).slice(keep)) await rm(old, { recursive: true, force: true });
  return own;
}

/** The last complete checkpoint of a run, for `Optimizer.load`; undefined if there is none. */
export async function latestCheckpoint(run: FilePath): Promise<string | undefined> {
  const [last] = await completeIn(pathOf('latestCheckpoint', run));
  return last;
}
