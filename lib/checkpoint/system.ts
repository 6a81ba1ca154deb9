// What files are written and read with, one table: tests put faults in their place.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { hostname } from 'node:os';
import { lstat, open, readdir, readlink, realpath, rename, rm, stat, unlink } from 'node:fs/promises';

export const system = {
  lstat,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  unlink,
  hostname,
  closeSync,
  fstatSync,
  openSync,
  readSync,
};

/** Bytes that are hashed, written or read at once: well below 5 ms. */
export const kPiece = 2 ** 20;

/** The code of an error of the system: `ENOENT`. */
export const codeOf = (error: unknown): unknown => (error as { readonly code?: unknown } | undefined)?.code;
