// Bounds the memory of a WebAssembly library, which never gives back what it has taken: a damaged file says that something has 4 GiB,
// and the library allocates it before it reads it. Its memory is not handed out, so that it is caught when the library is instantiated.

/** The memory of a library. */
export interface Bounded {
  /** Bytes that it may have; what is beyond is refused, as by a system that has no more. */
  most: number;
}

/** What is used of the global WebAssembly, which the types of Node leave out. */
interface Memory {
  readonly buffer: ArrayBufferLike;
  grow(pages: number): number;
}
interface Assembly {
  instantiate: (...args: unknown[]) => Promise<{ readonly instance?: { readonly exports: { memory?: Memory } } }>;
}
const assembly = (globalThis as unknown as { readonly WebAssembly: Assembly }).WebAssembly;

/** Loads a library, and finds its memory: the one with the buffer of `HEAPU8`. */
export async function bounding<T extends { readonly hdf5: { readonly HEAPU8: Uint8Array } }>(
  load: () => Promise<T>,
): Promise<T & { readonly memory: Bounded }> {
  const memories: Memory[] = [];
  const before = assembly.instantiate;
  const noting: Assembly['instantiate'] = async (...args) => {
    const result = await before.apply(assembly, args);
    const memory = result.instance?.exports.memory;
    if (memory !== undefined) memories.push(memory);
    return result;
  };
  assembly.instantiate = noting;
  try {
    const made = await load();
    const memory = memories.find(({ buffer }) => buffer === made.hdf5.HEAPU8.buffer);
    return { ...made, memory: bounded(memory) };
  } finally {
    if (assembly.instantiate === noting) assembly.instantiate = before;
  }
}

const kPage = 1 << 16; // bytes

function bounded(memory: Memory | undefined): Bounded {
  const own: Bounded = { most: Infinity };
  if (memory === undefined) return own; // another version of the package
  const before = memory.grow.bind(memory);
  const grow = (pages: number): number => {
    const bytes = memory.buffer.byteLength + pages * kPage;
    if (bytes > own.most) throw new RangeError(`${bytes} bytes of memory, at most ${own.most} are expected`);
    return before(pages);
  };
  Object.defineProperty(memory, 'grow', { value: grow });
  return own;
}
