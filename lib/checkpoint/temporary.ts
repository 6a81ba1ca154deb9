// Names of files that are being written: a process that dies leaves one behind, and the next one that writes there removes it.
import { createHash, randomBytes } from 'node:crypto';
import { basename, dirname, join } from 'node:path';

import { system } from './system.ts';

const kHour = 3_600_000; // ms
const kDay = 24 * kHour;

/** Beside a file, so that it can be renamed: `.run.safetensors.<host>.<process>.<random>.tmp`. */
export function temporaryFor(path: string): string {
  const random = randomBytes(6).toString('hex');
  return join(dirname(path), `${prefixOf(path)}${hostId()}.${process.pid}.${random}.tmp`);
}

const prefixOf = (path: string): string => `.${basename(path).slice(0, 50)}.`; // names of files end at 255 bytes

/** Containers that share a folder have processes of the same number. */
const hostId = (): string => createHash('sha256').update(system.hostname()).digest('hex').slice(0, 8);

/** Removes what dead processes have left of a file. What cannot be removed stays. */
export async function sweep(path: string): Promise<void> {
  const [folder, prefix] = [dirname(path), prefixOf(path)];
  const names = await system.readdir(folder).catch(() => []);
  for (const name of names) {
    const parts = name.startsWith(prefix)
      ? /^([0-9a-f]{8})\.(\d+)\.[0-9a-f]{12}\.tmp$/.exec(name.slice(prefix.length))
      : null;
    if (parts === null) continue;
    const [, host, pid] = parts;
    const file = join(folder, name);
    if (await isStale(file, host === hostId(), Number(pid))) await system.unlink(file).catch(() => {});
  }
}

/** Of this host if its process is dead, or this one or another of the same number may have died before; of others after a day. */
async function isStale(file: string, isHere: boolean, pid: number): Promise<boolean> {
  if (isHere && !isAlive(pid)) return true;
  const status = await system.lstat(file).catch(() => undefined);
  if (status === undefined) return false;
  return Date.now() - status.mtimeMs > (isHere && pid === process.pid ? kHour : kDay);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { readonly code?: unknown }).code !== 'ESRCH'; // it is another user's
  }
}
