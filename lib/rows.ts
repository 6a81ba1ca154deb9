// The rows of sparse gradients, taken when a step is called: each once, in library memory, whatever happens to what was given.
import {
  allocated,
  arrays,
  bufferOf,
  checkMemory,
  dtypeOf,
  lengthOf,
  sizeOf,
  type Allocated,
  type FloatArray,
} from './arrays.ts';
import { describe, rangeError, typeError } from './errors.ts';
import { isList, type Slices } from './indexed_slices.ts';
import { isSpace, nameOf, type Site } from './devices.ts';
import { addon, dtypes, type Dtype, type Memory } from './native.ts';
import type { Brought, Program } from './pass.ts';
import { places, sizes } from './storage.ts';
import { Variable } from './variable.ts';

/** The rows of one variable that have a gradient. */
export interface Rows {
  /** Of the variable. */
  readonly index: number;
  /** Elements of a row. */
  readonly columns: number;
  /** Elements of the variable. */
  readonly length: number;
  /** In ascending order, each once. */
  readonly rows: Uint32Array;
  /** The gradients of these rows, one after the other. */
  readonly values: FloatArray;
  readonly block: Block;
}

/** Room for the rows of a gradient and for a key of each slice. */
interface Block {
  readonly values: Allocated;
  readonly rows: Allocated<Uint32Array>;
  readonly keys: Allocated;
}

/** A dense gradient of zeros, but during a native call. */
interface Dense {
  readonly memory: Memory;
  readonly array: Brought;
  /** Writes rows, or zeros into them for null. */
  put(rows: Uint32Array, columns: number, values: FloatArray | null): void;
}

export class SparseGradients {
  readonly #free = new Map<number, Block[]>(); // by variable; a step that is over gives its block back
  readonly #dense = new Map<number, Dense>();
  readonly #site: Site | undefined;

  /** `site`: where the variables lie. Rows are merged on the host, and on a GPU become dense gradients; a space takes none. */
  constructor(site: Site | undefined) {
    this.#site = site;
  }

  /** Merges what a sparse gradient has for each row. Throws an error that names the gradient; `i` is its place among those given. */
  take(slices: Slices, i: number, index: number, variable: Variable): Rows {
    const who = `gradients[${i}] ("${variable.path}")`;
    if (isSpace(this.#site))
      throw typeError(
        'ERR_OPT_DEVICE',
        `${who} is sparse and its variable on ${nameOf(this.#site)}: give a dense gradient`,
      );
    const { values, indices } = checkedParts(who, slices, variable);
    const { columns } = slices;
    const rows = slices.shape[0] as number;
    const block = this.#block(index, variable.dtype as Dtype, lengthOf(values), lengthOf(indices));
    const { values: sums, rows: merged, keys } = block;
    const count = addon.mergeRows(values, indices, rows, columns, sums.array, merged.array, keys.array as Float64Array);
    if (count < 0) {
      this.#giveBlock(index, block);
      throw rangeError(
        'ERR_OPT_INDEX',
        `${who}: indices[${-1 - count}] is ${describe(indices[-1 - count])}, its variable has ${rows} rows`,
      );
    }
    return {
      index,
      columns,
      length: rows * columns,
      rows: new Uint32Array(bufferOf(merged.array), 0, count),
      values: new arrays[variable.dtype as Dtype](bufferOf(sums.array) as ArrayBuffer, 0, count * columns),
      block,
    };
  }

  /** Gives back what was taken, when the step is over. */
  give(taken: readonly Rows[]): void {
    for (const { index, block } of taken) this.#giveBlock(index, block);
  }

  /** Runs a native call, with the rows of sparse gradients where a program takes them, and dense gradients elsewhere. */
  during<R>(taken: readonly Rows[], program: Program, run: () => R): R {
    if (taken.length === 0) return run();
    this.#place(taken, program);
    try {
      return run();
    } finally {
      this.#clear(taken, program);
    }
  }

  /** The same for a call that is over later; it gets the memories that the gradients lie in. */
  async duringAsync<R>(
    taken: readonly Rows[],
    program: Program,
    run: (held: readonly Memory[]) => Promise<R>,
  ): Promise<R> {
    const held = this.#place(taken, program);
    try {
      return await run(held);
    } finally {
      this.#clear(taken, program);
    }
  }

  #place(taken: readonly Rows[], program: Program): Memory[] {
    const places = taken.map((rows) => (program.takesRows(rows.index) ? null : this.#denseFor(rows)));
    const place = ({ index, columns, rows, values, block }: Rows, k: number): Memory => {
      const dense = places[k] ?? null; // all allocated before the first is written
      if (dense === null) {
        program.bring(index, rows, values);
        return block.rows.memory;
      }
      dense.put(rows, columns, values);
      program.arrays[index] = dense.array;
      return dense.memory;
    };
    try {
      return taken.map(place);
    } catch (error) {
      for (const { index } of taken) this.#forget(index); // a GPU has failed: some are not zeros any more
      throw error;
    }
  }

  /** Makes dense gradients zeros again, which costs what the rows are, and not what the variable is. */
  #clear(taken: readonly Rows[], program: Program): void {
    for (const { index, columns, rows } of taken) {
      if (program.takesRows(index)) continue;
      try {
        this.#dense.get(index)?.put(rows, columns, null);
      } catch {
        this.#forget(index); // a GPU has failed, after a step that has happened: the next one gets new zeros
      }
    }
  }

  #forget(index: number): void {
    this.#dense.get(index)?.memory.release();
    this.#dense.delete(index);
  }

  /** Gives all memory back. */
  release(): void {
    for (const block of [...this.#free.values()].flat()) releaseBlock(block);
    for (const { memory } of this.#dense.values()) memory.release();
    this.#free.clear();
    this.#dense.clear();
  }

  /** A free block that is large enough; the numbers of slices differ from step to step, so that a new one has room to spare. */
  #block(index: number, dtype: Dtype, numbers: number, slices: number): Block {
    const block = this.#free.get(index)?.pop();
    if (block !== undefined && lengthOf(block.values.array) >= numbers && lengthOf(block.rows.array) >= slices)
      return block;
    if (block !== undefined) releaseBlock(block);
    const room = (n: number) => n + Math.ceil(n / 2);
    return {
      values: allocated(dtype, room(numbers)),
      rows: allocated('uint32', room(slices)),
      keys: allocated('float64', room(slices)),
    };
  }

  #giveBlock(index: number, block: Block): void {
    const free = this.#free.get(index) ?? [];
    free.push(block);
    this.#free.set(index, free);
  }

  #denseFor({ index, values, length }: Rows): Dense {
    const dense = this.#dense.get(index) ?? newDense(dtypeOf(values) as Dtype, length, this.#site);
    this.#dense.set(index, dense);
    return dense;
  }
}

function newDense(dtype: Dtype, length: number, site: Site | undefined): Dense {
  if (typeof site !== 'number') {
    const { memory, array } = allocated(dtype, length, places.gradient);
    return { memory, array, put: (rows, columns, values) => addon.putRows(array, rows, columns, values) };
  }
  const memory = new addon.Memory(length * sizes[dtype], 0, site);
  const place = dtypes.indexOf(dtype);
  const put: Dense['put'] = (rows, columns, values) => addon.cuda.putRows(memory, place, rows, columns, values);
  return { memory, array: memory, put };
}

const releaseBlock = ({ values, rows, keys }: Block): void => {
  for (const { memory } of [values, rows, keys]) memory.release();
};

interface Parts {
  readonly values: FloatArray;
  readonly indices: Int32Array | Uint32Array | Float64Array;
}

/** The numbers of a sparse gradient, in arrays that fit its variable and each other. */
function checkedParts(who: string, { values, indices, shape, columns }: Slices, variable: Variable): Parts {
  const { dtype } = variable;
  checkShapeOf(who, shape, variable);
  if (!isList(values) && dtypeOf(values) !== dtype)
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} is expected to have its variable's dtype ${dtype}, its values are ${describe(values)}`,
    );
  const parts = {
    values: isList(values) ? arrays[dtype as Dtype].from(values) : values,
    indices: isList(indices) ? Float64Array.from(indices) : indices,
  };
  for (const [name, part] of Object.entries(parts) as [string, FloatArray][])
    checkMemory(`${who}: ${name}`, part, false);
  const [found, slices] = [lengthOf(parts.values), lengthOf(parts.indices)];
  if (found !== slices * columns)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects ${slices * columns} values, ${columns} for each of ${slices} indices, got ${found}`,
    );
  return parts;
}

/** A plain array has no shape but its length. */
function checkShapeOf(who: string, shape: readonly number[], variable: Variable): void {
  const { length, array } = Variable.storageOf(variable);
  const fits = array === undefined ? String(shape) === String(variable.shape) : sizeOf(shape) === length;
  if (fits) return;
  const expected = array === undefined ? `shape [${variable.shape.join()}]` : `${length} elements`;
  throw rangeError('ERR_OPT_LENGTH', `${who} has the dense_shape [${shape.join()}], its variable has ${expected}`);
}
