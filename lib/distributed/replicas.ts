// Steps of an optimizer on the gradients of all processes: summed bucket by bucket, in the order of one binary tree over the backward
// passes of all of them. Over 200 lines: one class, whose steps share what is under way.
import { arrays, checkAttached, memoryOf, type FloatArray } from '../arrays.ts';
import { told, type Distribution, type Part, type Shards, type Write } from '../distribution.ts';
import { stateError } from '../errors.ts';
import type { Gradient } from '../gradients.ts';
import type { Dtype } from '../native.ts';
import type { GradientAndVariable } from '../pairs.ts';
import type { Given } from '../parts.ts';
import type { Averaged, Runner } from '../runner.ts';
import { Variable } from '../variable.ts';
import type { Communicator } from './communicator.ts';
import { CommunicatorError } from './errors.ts';
import { denseGradients } from './dense.ts';
import { digestOf, hashOf } from './fingerprint.ts';
import { isPoisoned, poisonedError } from './failures.ts';
import { Layout, type Load, type Pack } from './layout.ts';
import { Divider } from './mean.ts';
import { DeviceNumbers, put, roomFor, summandOf, type Numbers, type Room } from './numbers.ts';
import { pack, unpack } from './packing.ts';
import { partsOf } from './parts.ts';
import { pipelined } from './pipeline.ts';
import { saveParts, saveWhole } from './save.ts';
import { Adder } from './sums.ts';
import { areSiblings, leavesOf, type Node } from './tree.ts';

/** What `distribute` was asked for. */
export interface Settings {
  readonly reduction: 'sum' | 'mean';
  readonly shard_state: boolean;
  readonly micro_batches: number | null;
  readonly bucket_bytes: number;
}

/** What has to be the same on all ranks: once, and at every step. */
export interface Texts {
  readonly fingerprint: () => string;
  readonly rates: () => string;
}

/** Gradients that have been taken. */
interface Taken {
  readonly given: Given;
  /** Which variables have a gradient. */
  readonly present: readonly boolean[];
  readonly pack: Pack;
  /** Gradients that are not in there yet: they stay where they are until the sums begin. */
  readonly late: readonly (FloatArray | null)[];
  /** What comes from a GPU has come. */
  readonly ready: Promise<void>;
}

/** The sum of the backward passes [begin, end). */
interface Subtree extends Node {
  readonly pack: Pack;
}

const inBucket = ({ p, bucket }: Load, pack: Pack): Numbers =>
  (pack[p] as Room).array.subarray(bucket.begin, bucket.end);

export class Replicas implements Distribution {
  readonly shards: Shards | undefined;
  readonly #who: string;
  readonly #runner: Runner;
  readonly #communicator: Communicator;
  readonly #settings: Settings;
  readonly #fingerprint: () => string;
  readonly #rates: () => string;
  readonly #divider: Divider | undefined;
  readonly #adder = new Adder();
  #layout: Layout | undefined;
  #text = ''; // of the layout
  #agreed: boolean; // the variables are those of rank 0
  #subtrees: Subtree[] = []; // of the backward passes of this process since the last step
  #passes = 0;
  #steps = 0;
  #givenUp: unknown; // why a step was, of which some ranks may have more backward passes to come
  #present = '';
  #summed = false; // apply gets gradients that have been summed
  #broken: unknown; // what has kept some ranks from a step that others have done
  #told: Promise<unknown> | undefined; // the others will hear of that in the place of the next step
  #gathered = false; // the step that runs has no collectives any more

  /** `agreed`: the variables have been broadcast. */
  constructor(
    who: string,
    runner: Runner,
    communicator: Communicator,
    settings: Settings,
    texts: Texts,
    agreed: boolean,
  ) {
    this.#who = who;
    this.#runner = runner;
    this.#communicator = communicator;
    this.#settings = settings;
    this.#fingerprint = texts.fingerprint;
    this.#rates = texts.rates;
    this.#agreed = agreed;
    if (settings.reduction === 'mean') this.#divider = new Divider(this.#leaves);
    if (settings.shard_state) this.shards = shardsOf(communicator);
  }

  /** Backward passes of all processes in a step. */
  get #leaves(): number {
    return this.#settings.micro_batches ?? this.#communicator.size;
  }

  take(given: () => Given): () => Promise<number> {
    const summed = this.#summed;
    try {
      const own = given();
      const undivided = this.#undivided(own, summed);
      if (undivided !== undefined) return this.#runner.taken(undivided);
      const taken = this.#runner.alone(() => this.#take(own, summed || this.#leaves > this.#communicator.size));
      return () => this.#turn(() => (summed ? this.#stepOnSums(taken) : this.#step(taken)));
    } catch (error) {
      return () => this.#turn(() => (summed ? this.#miss(error) : this.#refuse(error)));
    }
  }

  /** What one process alone steps on: its own gradients are the sum; undefined where there is more to do. */
  #undivided(given: Given, summed: boolean): Given | undefined {
    const isSum = summed || this.#leaves === 1;
    const roster = this.#runner.built('apply_async');
    if (!isSum || !this.#communicator.alone || this.#broken !== undefined || roster.site !== undefined)
      return undefined;
    const { arrays } = denseGradients(this.#who, this.#runner, given);
    const { gradients, variables } = given;
    if (gradients === undefined) return given;
    return { variables, gradients: roster.indicesOf(variables).map((i) => arrays[i] as Gradient) };
  }

  /** What all ranks do together, unless it is of no use any more. */
  async #turn<R>(part: () => Promise<R>): Promise<R> {
    if (this.#broken !== undefined) return this.#fail(poisonedError(this.#who, this.#broken));
    try {
      return await part();
    } catch (error) {
      if (!(error instanceof CommunicatorError) || !isPoisoned(error.cause)) throw error;
      this.#broken ??= error;
      throw poisonedError(this.#who, error);
    }
  }

  /** This rank cannot go on: the others are told when they come. */
  async #fail(error: unknown): Promise<never> {
    this.#giveUp(error);
    this.#drop();
    this.#steps++;
    const told = this.#told ?? this.#communicator.fail(error);
    this.#told = undefined;
    await told.catch(() => {});
    throw error;
  }

  /** The same for a step that waits for nobody before it is done. */
  #miss(error: unknown): never {
    this.#steps++;
    this.#gathered = this.shards === undefined;
    this.#poison(error);
    throw error;
  }

  /** This rank has not done a step that others may have done. They hear of it in their next collective. */
  #poison(error: unknown): void {
    this.#broken = error;
    const told = this.#communicator.fail(poisonedError(this.#who, error)).catch(() => {});
    if (this.#gathered) this.#told = told; // they come with the next step
  }

  /** Copies gradients; without `atOnce` those in library memory, which stays, bucket by bucket while others are summed. */
  #take(given: Given, atOnce: boolean): Taken {
    const layout = this.#layoutNow();
    const { arrays: found, giveBack } = denseGradients(this.#who, this.#runner, given);
    const arrays = found.map((array) =>
      array instanceof DeviceNumbers && layout.gpu === undefined ? array.read() : array,
    );
    const isLate = (array: Numbers): array is FloatArray =>
      !atOnce && !(array instanceof DeviceNumbers) && memoryOf(array) !== undefined;
    const taken = layout.take();
    const late: (FloatArray | null)[] = arrays.map(() => null);
    const place = (there: readonly (Numbers | null)[]) => {
      there.forEach((array, i) => {
        if (array !== null && isLate(array)) late[i] = array;
      });
      const now = there.map((array, i) => (late[i] ? null : array));
      for (const { p, bucket } of layout.loads) pack(bucket, now, (taken[p] as Room).array);
    };
    try {
      place(arrays.map((array) => (array instanceof Promise ? null : array)));
    } catch (error) {
      layout.give(taken);
      throw error;
    } finally {
      giveBack();
    }
    const coming = arrays.map((array) => Promise.resolve(array instanceof Promise ? array : null));
    const waits = arrays.some((array) => array instanceof Promise);
    const ready = waits ? Promise.all(coming).then(place) : Promise.resolve();
    ready.catch(() => {}); // whoever waits for it hears of it
    return { given, present: arrays.map((array) => array !== null), pack: taken, late, ready };
  }

  #layoutNow(): Layout {
    const { state } = this.#runner;
    if (this.#layout !== undefined && this.#layout.roster === state) return this.#layout;
    this.#layout?.release();
    const { rank, size, device } = this.#communicator;
    this.#layout = new Layout(this.#runner, rank, size, this.#settings.bucket_bytes, device);
    this.#text = this.#fingerprint();
    return this.#layout;
  }

  /** What all ranks have to agree about in a collective of this step. */
  #hash(present: readonly boolean[], numbers = ''): { readonly layout: bigint } {
    const step = `${this.#steps} ${this.#runner.applied}`;
    return { layout: hashOf(this.#text, this.#rates(), numbers, step, present.map(Number).join('')) };
  }

  async #step(taken: Taken): Promise<number> {
    const count = this.#leaves / this.#communicator.size;
    try {
      await taken.ready;
      this.#checkStep();
      await this.#add(taken);
    } catch (error) {
      if (this.#subtrees.every(({ pack }) => pack !== taken.pack)) this.#layoutNow().give(taken.pack);
      return this.#refuse(error);
    }
    if (++this.#passes % count > 0) return this.#runner.applied;
    const layout = this.#layoutNow();
    const [first, ...further] = this.#subtrees.splice(0).map(({ pack }) => pack) as [Pack, ...Pack[]];
    try {
      return await this.#foreseen(async (numbers) => {
        await this.#agree();
        const hash = this.#hash(taken.present, numbers);
        await this.#reduce(first, further, taken.late, hash, this.shards === undefined);
        return this.#stepOn(layout, first, taken);
      });
    } catch (error) {
      this.#giveUp(error);
      throw error;
    } finally {
      this.#steps++;
      for (const pack of [first, ...further]) layout.give(pack);
    }
  }

  /** Calls the functions of a step before it begins: what they throw on one rank keeps all of them from it. */
  async #foreseen<R>(step: (numbers: string) => Promise<R>): Promise<R> {
    const { numbers, forget } = await told(this.#communicator, () => this.#runner.foresee());
    try {
      return await step(numbers);
    } finally {
      forget();
    }
  }

  /** Of a backward pass: the others hear of it, unless all have given up. */
  async #refuse(error: unknown): Promise<never> {
    if (this.#givenUp !== undefined) throw error;
    return this.#fail(error);
  }

  /**
   * Where a step has several backward passes of this rank, nobody knows after a failure which of those to come are still of that step:
   * what would be summed might not belong together.
   */
  #giveUp(error: unknown): void {
    if (this.#leaves > this.#communicator.size) this.#givenUp ??= error;
  }

  #checkStep(): void {
    if (this.#givenUp === undefined) return;
    const error = stateError(
      'ERR_OPT_DISTRIBUTED',
      `${this.#who} expects distribute to be awaited again on all ranks, got a micro-batch after one that was refused, here or on another rank`,
    );
    throw Object.assign(error, { cause: this.#givenUp });
  }

  /** Adds up all whole subtrees of the backward passes so far. */
  async #add({ pack, present }: Taken): Promise<void> {
    const layout = this.#layoutNow();
    const { rank, size } = this.#communicator;
    const leaves = this.#leaves;
    const begin = leavesOf(leaves, rank, size).begin + (this.#passes % (leaves / size));
    if (this.#subtrees.length === 0) this.#present = present.join();
    if (present.join() !== this.#present)
      throw stateError(
        'ERR_OPT_NO_GRADIENT',
        `${this.#who} expects gradients for the same variables in all micro-batches of a step`,
      );
    this.#subtrees.push({ begin, end: begin + 1, pack });
    for (let [left, right] = this.#subtrees.slice(-2); left && right; [left, right] = this.#subtrees.slice(-2)) {
      if (!areSiblings(left, right, leaves)) break;
      await this.#addPacks(layout, left.pack, right.pack);
      layout.give(right.pack);
      this.#subtrees.splice(-2, 2, { ...left, end: right.end });
    }
  }

  async #addPacks(layout: Layout, to: Pack, from: Pack): Promise<void> {
    for (const [p, { dtype, length }] of layout.packings.entries()) {
      const rooms = [to[p] as Room, from[p] as Room];
      const held = layout.gpu === undefined ? rooms.map(({ memory }) => memory) : [];
      await this.#adder.add(dtype, length, rooms.map(summandOf), [[0, 1]], held);
    }
  }

  /** Gives back what was under way. */
  #drop(): void {
    for (const { pack } of this.#subtrees.splice(0)) this.#layout?.give(pack);
    this.#passes = 0;
  }

  /** Sums all buckets: everything into `first`, or this process's parts into `own`. The late gradients are packed meanwhile. */
  async #reduce(
    first: Pack,
    further: readonly Pack[],
    late: readonly (FloatArray | null)[],
    hash: { layout: bigint },
    all: boolean,
  ): Promise<void> {
    const layout = this.#layoutNow();
    const communicator = this.#communicator;
    const prepare = ({ p, bucket }: Load) => pack(bucket, late, (first[p] as Room).array);
    const run = (load: Load) => {
      const options = { ...hash, leaves: this.#leaves, further: further.map((one) => inBucket(load, one)) };
      const full = inBucket(load, first);
      if (all) return communicator.allReduce(full, options);
      return communicator.reduceScatter(full, this.#partOf(layout, load), options);
    };
    const finish = (load: Load) =>
      this.#divider?.divide(load.dtype, all ? inBucket(load, first) : this.#partOf(layout, load));
    await told(communicator, () => pipelined(layout.loads, { prepare, run, finish }));
  }

  /** What `own` has of a bucket. */
  #partOf({ own }: Layout, { p, bucket: { begin, end } }: Load): Numbers {
    const { size } = this.#communicator;
    return (own[p] as Room).array.subarray(begin / size, end / size);
  }

  /** The part of this process in a bucket. */
  #ownIn(full: Numbers): Numbers {
    const { rank, size } = this.#communicator;
    return full.subarray((rank * full.length) / size, ((rank + 1) * full.length) / size);
  }

  async #stepOn(layout: Layout, pack: Pack, { given, present }: Taken): Promise<number> {
    const views = layout.views(pack);
    const indices = layout.roster.indicesOf(given.variables);
    const gradients = indices.map((i) => (present[i] ? (views[i] as Gradient) : null));
    this.#gathered = this.shards === undefined;
    try {
      return await this.#runner.stepAsync({ gradients, variables: given.variables });
    } catch (error) {
      if (!(error instanceof CommunicatorError)) this.#poison(error); // of those all have heard
      throw error;
    }
  }

  /** A step on gradients that are sums already, the same everywhere. */
  async #stepOnSums(taken: Taken): Promise<number> {
    const layout = this.#layoutNow();
    try {
      await taken.ready;
      await this.#agree();
      if (this.shards !== undefined) this.#copyOwn(layout, taken.pack);
      return await this.#stepOn(layout, taken.pack, taken);
    } finally {
      this.#steps++;
      layout.give(taken.pack);
    }
  }

  /** The parts of this process, out of buckets that have been summed. */
  #copyOwn(layout: Layout, pack: Pack): void {
    for (const load of layout.loads) put(this.#partOf(layout, load), this.#ownIn(inBucket(load, pack)), 0);
  }

  async aggregate(given: () => Given): Promise<readonly GradientAndVariable[]> {
    return this.#turn(async () => {
      const { taken, own } = await told(this.#communicator, () => {
        this.#checkPasses();
        const own = given();
        return { own, taken: this.#runner.alone(() => this.#take(own, false)) };
      });
      const layout = this.#layoutNow();
      try {
        await told(this.#communicator, () => taken.ready);
        await this.#agree();
        await this.#reduce(taken.pack, [], taken.late, this.#hash(taken.present), true);
        return this.#sumsIn(layout, taken, own);
      } finally {
        layout.give(taken.pack);
      }
    });
  }

  #checkPasses(): void {
    if (this.#settings.micro_batches === null) return;
    throw stateError(
      'ERR_OPT_DISTRIBUTED',
      `${this.#who}.aggregate_gradients expects distribute without micro_batches: apply_async sums those`,
    );
  }

  /** Copies of what has been summed, as pairs. */
  #sumsIn(layout: Layout, taken: Taken, { gradients = [], variables = [] }: Given): readonly GradientAndVariable[] {
    const indices = layout.roster.indicesOf(variables);
    const sums = layout.roster.variables.map((variable, i) =>
      taken.present[i] ? newLike(variable, layout.gpu) : null,
    );
    for (const { p, bucket } of layout.loads) unpack(bucket, (taken.pack[p] as Room).array, sums);
    return gradients.map((_, i) => [sums[indices[i] as number] ?? null, variables[i]] as GradientAndVariable);
  }

  /** Whether the variables are those of rank 0; the first time, all ranks find out. */
  async #agree(): Promise<void> {
    if (this.#agreed) return;
    const { size } = this.#communicator;
    const own = digestOf(this.#layoutNow().roster.variables);
    const all = new Uint8Array(size * own.length);
    await this.#communicator.allGather(own, all, { layout: hashOf(this.#text) });
    const digests = Array.from({ length: size }, (_, i) => all.subarray(i * own.length, (i + 1) * own.length).join());
    const other = digests.findIndex((digest) => digest !== digests[0]);
    if (other > 0)
      throw stateError(
        'ERR_OPT_DISTRIBUTED',
        `${this.#who} expects the same variables on all ranks, those of rank ${other} are not those of rank 0: call build, and then await distribute, which brings them there`,
      );
    this.#agreed = true;
  }

  finalize(averaged: () => readonly Averaged[]): Promise<void> {
    return this.#turn(async () => {
      const pairs = await told(this.#communicator, averaged);
      const { variables } = this.#layoutNow().roster;
      const written = new Set(pairs.map(([variable]) => variable));
      const hash = this.#hash(variables.map((variable) => written.has(variable)));
      await using(variables, async () => {
        await this.#communicator.barrier(hash); // until now each of them may refuse
        await this.gather(() => pairs.forEach(copyPart));
      });
    });
  }

  /** `before`: what this process has to do for it, or none of them has all parts. */
  async gather(before = () => {}): Promise<void> {
    if (this.shards === undefined) return;
    if (this.#communicator.alone) {
      before();
      this.#gathered = true;
      return;
    }
    const layout = this.#layoutNow();
    const { variables } = layout.roster;
    try {
      await using(variables, async () => {
        await told(this.#communicator, before);
        await this.#gatherInto(
          layout,
          variables.map(({ value }) => value),
        );
      });
    } catch (error) {
      this.#broken = error; // there are parts of two steps
      throw error;
    } finally {
      this.#gathered = true;
    }
  }

  async #gatherInto(layout: Layout, values: readonly FloatArray[]): Promise<void> {
    const { rank } = this.#communicator;
    const full = layout.take();
    const hash = { layout: hashOf(this.#text, `${this.#steps} parts`) };
    const arrayOf = ({ p }: Load) => (full[p] as Room).array;
    await pipelined(layout.loads, {
      prepare: (load) => pack(load.bucket, values, arrayOf(load), rank),
      run: (load) => {
        const bucket = inBucket(load, full);
        return this.#communicator.allGather(this.#ownIn(bucket), bucket, hash);
      },
      finish: (load) => unpack(load.bucket, arrayOf(load), values, rank),
    });
    layout.give(full);
  }

  save(path: string, write: Write): Promise<void> {
    return this.#turn(async () => {
      const step = this.#runner.applied;
      const layout = await told(this.#communicator, () => hashOf(this.#fingerprint(), `${step}`));
      if (this.shards === undefined) await saveWhole(this.#communicator, path, write, { layout });
      else await saveParts(this.#communicator, path, write, { layout, step });
    });
  }

  refuse(error: unknown): Promise<never> {
    return this.#turn(() =>
      told(this.#communicator, () => {
        throw error;
      }),
    );
  }

  checkAtOnce(method: string): void {
    const isAlone = this.#communicator.size === 1 && this.#settings.micro_batches === null;
    if (this.shards === undefined && (this.#summed || isAlone)) return;
    throw stateError(
      'ERR_OPT_DISTRIBUTED',
      `${this.#who}.${method} expects steps that are not shared with other processes: await apply_async or apply_gradients_async, which wait for them`,
    );
  }

  summed<R>(apply: () => R): R {
    const before = this.#summed;
    this.#summed = true;
    try {
      return apply();
    } finally {
      this.#summed = before;
    }
  }

  release(): void {
    this.#drop();
    this.#layout?.release();
    this.#layout = undefined;
    this.#adder.release();
    this.#divider?.release();
  }
}

function newLike(variable: Variable, gpu: number | undefined): Numbers {
  const { dtype, length } = Variable.storageOf(variable);
  return gpu === undefined ? new arrays[dtype as Dtype](length) : roomFor(dtype as Dtype, length, gpu).array;
}

/** Keeps all others away from variables. */
async function using<R>(variables: readonly Variable[], part: () => Promise<R>): Promise<R> {
  for (const variable of variables) Variable.use(variable, 1);
  try {
    return await part();
  } finally {
    for (const variable of variables) Variable.use(variable, -1);
  }
}

/** Of the average as much as there is here. */
function copyPart([variable, average]: Averaged): void {
  const { part } = Variable.storageOf(average);
  checkAttached(variable.path, variable.value);
  variable.value.set(average.value, part?.first ?? 0);
}

function shardsOf(communicator: Communicator): Shards {
  const { rank, size } = communicator;
  const deal = (lengths: readonly number[], whole: readonly boolean[]): readonly (readonly Part[])[] =>
    partsOf(
      lengths.map((length, i) => ({ length, whole: whole[i] === true })),
      size,
    );
  return { rank, partsOf: deal, sum: (numbers) => communicator.allReduce(numbers) };
}
