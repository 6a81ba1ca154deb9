// Where the gradients of an optimizer's variables lie in buckets, and which of them come back to this process.
import { arrays } from '../arrays.ts';
import type { GpuIndex } from '../devices.ts';
import { dtypes, type Dtype } from '../native.ts';
import type { Roster } from '../roster.ts';
import type { Runner } from '../runner.ts';
import { sizes } from '../storage.ts';
import { Variable } from '../variable.ts';
import { statesIn } from '../wrapping.ts';
import { releaseRoom, roomFor, type Numbers, type Room } from './numbers.ts';
import { packed, type Bucket, type Packing, type Segment } from './packing.ts';

/** Room for the arrays of all variables, one for each packing. */
export type Pack = readonly Room[];

/** A bucket, and where its packing is. */
export interface Load {
  readonly p: number;
  readonly dtype: Dtype;
  readonly bucket: Bucket;
}

export class Layout {
  readonly roster: Roster;
  readonly packings: readonly Packing[];
  /** All buckets. */
  readonly loads: readonly Load[];
  /** The GPU that they lie on; undefined for the host. */
  readonly gpu: GpuIndex | undefined;
  readonly #rank: number;
  readonly #size: number;
  readonly #sharded: boolean;
  readonly #free: Pack[] = [];
  #own: Pack | undefined;

  /** `bytes`: of a bucket, about; `gpu`: whose memory is moved as it is, if there is one. */
  constructor(runner: Runner, rank: number, size: number, bytes: number, gpu?: GpuIndex) {
    this.roster = runner.built('apply_async');
    this.gpu = this.roster.site === gpu ? gpu : undefined;
    this.#rank = rank;
    this.#size = size;
    this.#sharded = runner.shards !== undefined;
    const rows = this.#sharded ? partsIn(runner, this.roster, size) : [this.roster.variables.map(whole)];
    this.packings = dtypes.flatMap((dtype) => {
      const own = rows.map((row) => row.filter(({ variable }) => this.roster.variables[variable]?.dtype === dtype));
      return own.flat().length === 0 ? [] : [packed(dtype, own, size, Math.floor(bytes / sizes[dtype]))];
    });
    this.loads = this.packings.flatMap(({ dtype, buckets }, p) => buckets.map((bucket) => ({ p, dtype, bucket })));
  }

  /** Room for the gradients of one backward pass. */
  take(): Pack {
    return this.#free.pop() ?? this.packings.map(({ dtype, length }) => roomFor(dtype, length, this.gpu));
  }

  give(pack: Pack): void {
    this.#free.push(pack);
  }

  /** Room for this process's parts of all buckets. */
  get own(): Pack {
    return (this.#own ??= this.packings.map(({ dtype, length }) => roomFor(dtype, length / this.#size, this.gpu)));
  }

  /** What is stepped here, by variable: all of it as it lies in `pack`, or the part in `own`. */
  views(pack: Pack): readonly Numbers[] {
    const views = this.roster.variables.map(({ dtype }): Numbers => new arrays[dtype as Dtype](0));
    this.packings.forEach(({ places }, p) => {
      const { array } = (this.#sharded ? this.own : pack)[p] as Room;
      const row = places[this.#sharded ? this.#rank : 0];
      this.roster.variables.forEach(({ dtype }, i) => {
        if (dtype !== this.packings[p]?.dtype) return;
        const { at, length } = row?.get(i) ?? { at: 0, length: 0 };
        views[i] = array.subarray(at, at + length);
      });
    });
    return views;
  }

  release(): void {
    for (const pack of [...this.#free.splice(0), this.#own ?? []]) for (const room of pack) releaseRoom(room);
    this.#own = undefined;
  }
}

const whole = (variable: Variable, i: number): Segment => ({
  variable: i,
  first: 0,
  length: Variable.storageOf(variable).length,
});

/** What every process steps, by rank. */
function partsIn(runner: Runner, roster: Roster, size: number): readonly (readonly Segment[])[] {
  const places = new Map(roster.variables.map((variable, i) => [variable, i]));
  const states = statesIn(runner);
  return Array.from({ length: size }, (_, rank) =>
    states.flatMap(({ variables, parts }) =>
      variables.flatMap((variable, i) => {
        const part = parts?.[rank]?.[i];
        return part === undefined || part.length === 0 ? [] : [{ ...part, variable: places.get(variable) as number }];
      }),
    ),
  );
}
