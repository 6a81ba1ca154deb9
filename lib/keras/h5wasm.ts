// The HDF5 library of the package h5wasm, loaded when the first file needs it. It is an instance of our own, in a sandbox of its own:
// it sees no file but the one that is given to it, prints nothing, and is thrown away when a damaged file breaks it.
import { createContext, Script } from 'node:vm';

import type * as H5 from 'h5wasm';

import { CheckpointError } from '../checkpoint/errors.ts';
import { bounding, type Bounded } from './h5_memory.ts';
import type { Source } from './source.ts';

export type Hdf5 = Awaited<typeof H5.ready>;
type Package = Pick<typeof H5, 'File' | 'ready'>;

interface Library {
  readonly package: Package;
  readonly hdf5: Hdf5;
  readonly memory: Bounded;
  broken: boolean;
}

/** What is used of the file system in memory, which h5wasm's types leave out. */
interface Node {
  usedBytes: number;
  contents: Uint8Array;
  stream_ops: object;
}
interface FileSystem {
  createFile(parent: string, name: string, properties: object, canRead: boolean, canWrite: boolean): Node;
  getStream(descriptor: number): { stream_ops: object } | undefined;
  unlink(path: string): void;
}
const files = ({ hdf5 }: Library): FileSystem => hdf5.FS as unknown as FileSystem;

let current: Promise<Library> | undefined;
let instances = 0;
let mounts = 0;

/** The library, for `what`. */
export async function library(what: string): Promise<Library> {
  if ((await current)?.broken) current = undefined;
  current ??= load();
  try {
    return await current;
  } catch (cause) {
    current = undefined;
    throw new CheckpointError(
      'ERR_CKPT_PEER',
      `${what} expects the package h5wasm, npm install h5wasm: ${cause as Error}`,
      cause,
    );
  }
}

async function load(): Promise<Library> {
  const { resolve } = import.meta as { readonly resolve?: (name: string) => string }; // what makes CommonJS of this has none
  const url = resolve === undefined ? 'h5wasm' : `${resolve('h5wasm')}?keras-optimizers=${++instances}`;
  const made = await bounding(async () => {
    const loaded = (await import(url)) as Package;
    return { package: loaded, hdf5: await loaded.ready, broken: false };
  });
  const system = files(made);
  const silent = { write: (_: unknown, _bytes: unknown, _offset: number, length: number) => length };
  for (const descriptor of [1, 2]) {
    const stream = system.getStream(descriptor);
    if (stream !== undefined) stream.stream_ops = { ...stream.stream_ops, ...silent };
  }
  for (const device of ['stdin', 'stdout', 'stderr', 'tty', 'tty1'])
    if (made.hdf5.FS.analyzePath(`/dev/${device}`, true).exists) system.unlink(`/dev/${device}`);
  return made;
}

/** An open file: its handle, and what reads and writes by it. */
export interface Opened {
  readonly hdf5: Hdf5;
  readonly id: bigint;
}

/** A file of the file system in memory. */
interface Mounted {
  readonly name: string;
  readonly node: Node;
}

function mount(at: Library, source?: Source): Mounted {
  const name = `${++mounts}.h5`;
  const node = files(at).createFile('/', name, {}, true, true);
  if (source !== undefined) {
    // Read where it lies: a model of many GB takes no memory.
    Object.defineProperty(node, 'usedBytes', { value: source.length });
    const read = (_: unknown, into: Uint8Array, offset: number, length: number, position: number) =>
      source.readNow(into.subarray(offset, offset + length), position);
    node.stream_ops = { ...node.stream_ops, read };
  }
  return { name: `/${name}`, node };
}

/** Runs `use` on a file that is only read. */
export function reading<R>(at: Library, source: Source, use: (file: Opened) => R): R {
  at.memory.most = kMostMemory + source.length;
  try {
    return limited(at, source.length, () => within(at, mount(at, source), 'r', use));
  } finally {
    at.memory.most = Infinity;
  }
}
const kMostMemory = 1 << 27; // bytes, beyond what a file has

/** Runs `use` on a new file, or on `bytes`, which it overwrites; returns the bytes of what it has become. */
export function writing(at: Library, bytes: Uint8Array | undefined, use: (file: Opened) => void): Uint8Array {
  const mounted = mount(at);
  if (bytes !== undefined) {
    mounted.node.contents = bytes;
    mounted.node.usedBytes = bytes.length;
  }
  const result = ({ node }: Mounted) => node.contents.subarray(0, node.usedBytes);
  if (bytes === undefined) return within(at, mounted, 'w', use, result);
  return limited(at, bytes.length, () => within(at, mounted, 'a', use, result));
}

function within<R>(at: Library, mounted: Mounted, mode: 'r' | 'w' | 'a', use: (file: Opened) => R): R;
function within<R>(
  at: Library,
  mounted: Mounted,
  mode: 'r' | 'w' | 'a',
  use: (file: Opened) => void,
  result: (mounted: Mounted) => R,
): R;
function within<R>(
  at: Library,
  mounted: Mounted,
  mode: 'r' | 'w' | 'a',
  use: (file: Opened) => R,
  result?: (mounted: Mounted) => R,
): R {
  let file: H5.File | undefined;
  try {
    file = new at.package.File(mounted.name, mode);
    const used = use({ hdf5: at.hdf5, id: file.file_id });
    const closed = file.close();
    file = undefined;
    if (closed < 0) throw new Error('the file cannot be closed');
    return result === undefined ? used : result(mounted);
  } catch (error) {
    if (error instanceof Error && kBreaking.includes(error.name)) at.broken = true;
    throw error;
  } finally {
    close(at, file);
    files(at).unlink(mounted.name);
  }
}

function close(at: Library, file: H5.File | undefined): void {
  try {
    file?.close();
  } catch {
    at.broken = true;
  }
}

/** Names of the errors after which its memory may be anything: a trap, too deep a recursion. */
const kBreaking = ['RuntimeError', 'RangeError'];

const kMilliseconds = 3000;
const kBytesEach = 4096; // for a millisecond more
const script = new Script('run()');

/** Runs a part for so long as a file of this size may take: there are damaged ones in which the library turns in circles. */
function limited<R>(at: Library, bytes: number, run: () => R): R {
  try {
    return script.runInContext(createContext({ run }), { timeout: kMilliseconds + Math.ceil(bytes / kBytesEach) }) as R;
  } catch (error) {
    if ((error as { code?: unknown }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') at.broken = true;
    throw error;
  }
}
