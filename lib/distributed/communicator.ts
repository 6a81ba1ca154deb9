// Over 200 lines: the class, a third of it doc comments.
import { shares } from '../distribution.ts';
import { dtypes } from '../native.ts';
import type { Optimizer } from '../optimizer.ts';
import { describe, rangeError, typeError } from '../errors.ts';
import { Variable } from '../variable.ts';
import { bring, carriedAs, type Brought } from './bring.ts';
import { Collectives, type Place } from './collectives.ts';
import { distribute } from './distribute.ts';
import { located, type Data, type Located } from './data.ts';
import { CommunicatorError } from './errors.ts';
import {
  type About,
  afterwards,
  failureOf,
  isPoisoned,
  kTemporaryFailure,
  mismatchError,
  report,
  timeOut,
} from './failures.ts';
import { Message, mismatchOf, type Mismatch, type Operation, type Request } from './handshake.ts';
import { sharingOf } from './sharing.ts';
import type { Region } from './region.ts';
import { kHandshake, type Kind, type Transport } from './transport.ts';
import { Watch } from './watch.ts';

/** How a communicator behaves. */
export interface CommunicatorOptions {
  /** Milliseconds without progress after which a collective has failed, 1 to 2^31 - 1; default 60,000. */
  readonly timeout?: number;
  /**
   * What a time-out or a lost rank does: `abort` reports it on stderr and ends the job with exit code 75, which supervisors take for
   * a failure that may pass; `throw` only rejects. Default `throw`; of `connect` under a launcher of MPI `abort`.
   */
  readonly onFailure?: 'abort' | 'throw';
}

/** Of any collective. */
export interface CollectiveOptions {
  /** 64 bits that have to be the same on all ranks: a hash of what the numbers are. Default 0n. */
  readonly layout?: bigint;
}

/** Of a sum. */
export interface SumOptions extends CollectiveOptions {
  /**
   * Summands of all ranks together, a multiple of `size`: micro-batches, of which rank r has [r leaves / size, (r + 1) leaves / size).
   * Default: one a rank.
   */
  readonly leaves?: number;
  /** The sums of this rank's subtrees after the first, in order, where it has several (`subtreesOf` in tree.ts). */
  readonly further?: readonly Data[];
}

/** What a collective is about to do. */
interface Prepared {
  readonly data: readonly Located[];
  readonly request: Partial<Request>;
  /** The data as the transport has it, in the same order; `messages`: what came of all ranks, behind their handshakes the payload. */
  readonly run: (watch: Watch, places: readonly Place[], messages: readonly Uint8Array[]) => Promise<void>;
  /** Which of the data are written. */
  readonly written: readonly number[];
  /** Bytes that go with the handshake: those of the data, one behind the other, if there are any. */
  readonly payload?: number;
}

/** Arguments that are none. */
interface Refused {
  readonly error: unknown;
}

const nothing: Prepared = { data: [], request: {}, run: () => Promise.resolve(), written: [] };

/**
 * Ranks that work together: `connect` and `joinGroup` make one. All ranks call the same collectives in the same order; a call need not
 * wait for the one before. What is passed has to be left alone until the promise settles.
 *
 * Before every collective the ranks tell each other what they are about to do. Where they differ, all of them reject with
 * `ERR_COMM_MISMATCH`, and may go on. A rank that does not come for `timeout` ms makes the others reject with `ERR_COMM_TIMEOUT`, one
 * that dies with `ERR_COMM_PEER_LOST`; the communicator is of no use then, and rejects all later calls with `ERR_COMM_ABORTED`.
 * A bad argument rejects with the error that an optimizer would throw for it, and with `ERR_COMM_MISMATCH` on the other ranks.
 *
 * Sums have one order, pairwise by rank, whatever the engine would do: they are the same bits on all ranks and in every run.
 */
export class Communicator {
  /** 0 to size - 1. */
  readonly rank: number;
  /** Number of ranks. */
  readonly size: number;
  /** The backend. */
  readonly kind: Kind;
  readonly #transport: Transport;
  readonly #collectives: Collectives;
  readonly #message: Message;
  readonly #isAlone: boolean; // and nobody else may end it, as the thread that made a local group may
  readonly #timeout: number;
  readonly #onFailure: 'abort' | 'throw';
  #sequence = 0;
  #shared = 0; // calls of distribute
  #last: Promise<unknown> = Promise.resolve();
  #watch: Watch | undefined; // of the collective that runs
  #failure: CommunicatorError | undefined;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(transport: Transport, options: CommunicatorOptions = {}) {
    const { timeout, onFailure } = checkBehaviour('Communicator', options);
    ({ rank: this.rank, size: this.size, kind: this.kind } = transport);
    this.#transport = transport;
    this.#isAlone = this.size === 1 && this.kind !== 'local' && transport.device === undefined;
    this.#collectives = new Collectives(transport);
    this.#message = new Message(transport.payload ?? 0);
    this.#timeout = timeout;
    this.#onFailure = onFailure;
  }

  /**
   * Milliseconds that it waits for the others.
   *
   * @internal
   */
  get timeout(): number {
    return this.#timeout;
  }

  /** Why it is of no use any more; undefined as long as it is. */
  get failure(): CommunicatorError | undefined {
    return this.#failure;
  }

  /**
   * Whether it works, and there is nobody to ask.
   *
   * @internal
   */
  get alone(): boolean {
    return this.#isAlone && this.#failure === undefined && this.#closing === undefined;
  }

  /**
   * The index of the GPU whose memory is moved as it is; undefined where all goes by way of the host.
   *
   * @internal
   */
  get device(): number | undefined {
    return this.#transport.device;
  }

  /**
   * Replaces numbers by their sum over all ranks, the same bits on all of them.
   *
   * @param data float32 or float64; as long on all ranks
   */
  allReduce(data: Data, options: SumOptions = {}): Promise<void> {
    return this.#call('allReduce', options, (who) => {
      const { list, dtype, sharing } = this.#summands(who, data, true, options);
      const payload = this.#collectives.payloadOf(bytesOf(list), sharing);
      return {
        data: list,
        written: [0],
        request: { length: list[0].length, element: dtype, leaves: sharing.leaves },
        payload,
        run: (watch, places, messages) => {
          if (payload > 0) return this.#collectives.sumOf(messages, places[0] as Place, dtype, sharing);
          return this.#collectives.allReduce(watch, places, dtype, sharing);
        },
      };
    });
  }

  /**
   * Writes part r of the sum over all ranks into the shard of rank r; the sums themselves stay where they are.
   *
   * @param full float32 or float64, `size` times as many as the shard; left as it is
   * @param shard of the same dtype; may be the own part of `full`
   */
  reduceScatter(full: Data, shard: Data, options: SumOptions = {}): Promise<void> {
    return this.#call('reduceScatter', options, (who) => {
      const { list, dtype, sharing } = this.#summands(who, full, false, options);
      const part = this.#found(who, shard, true);
      this.#checkParts(who, list[0], part);
      return {
        data: [part, ...list],
        written: [0],
        request: { length: list[0].length, element: dtype, leaves: sharing.leaves },
        run: (watch, [to, ...places]) =>
          this.#collectives.reduceScatter(watch, places, (to as Place).region, dtype, sharing),
      };
    });
  }

  /**
   * Writes the shards of all ranks side by side into `full` of every rank.
   *
   * @param shard of any dtype; may be the own part of `full`
   * @param full `size` times as many elements
   */
  allGather(shard: Data, full: Data, options: CollectiveOptions = {}): Promise<void> {
    return this.#call('allGather', options, (who) => {
      const [part, whole] = [this.#found(who, shard, false), this.#found(who, full, true)];
      this.#checkParts(who, whole, part);
      return {
        data: [part, whole],
        written: [1],
        request: { length: whole.length, element: whole.element },
        run: (watch, [from, to]) => this.#collectives.allGather(watch, from as Place, to as Place),
      };
    });
  }

  /**
   * Writes the data of one rank over that of all others.
   *
   * @param data of any dtype; as long on all ranks
   * @param root whose
   */
  broadcast(data: Data, root = 0, options: CollectiveOptions = {}): Promise<void> {
    return this.#call('broadcast', options, (who) => {
      if (!Number.isInteger(root) || root < 0 || root >= this.size)
        throw rangeError(
          'ERR_OPT_CONFIG_RANGE',
          `${who} expects root to be a rank from 0 to ${this.size - 1}, got ${describe(root)}`,
        );
      const found = this.#found(who, data, true);
      return {
        data: [found],
        written: this.rank === root ? [] : [0],
        request: { length: found.length, element: found.element, root },
        run: (watch, [place]) => this.#collectives.broadcast(watch, place as Place, root),
      };
    });
  }

  /** Resolves when all ranks have called it. */
  barrier(options: CollectiveOptions = {}): Promise<void> {
    return this.#call('barrier', options, () => nothing);
  }

  /**
   * Takes the place of a collective that this rank cannot take part in: the others get `ERR_COMM_MISMATCH` at once instead of
   * waiting. Rejects with `error` when they know.
   */
  async fail(error: unknown): Promise<never> {
    await this.#call('barrier', {}, () => {
      throw error;
    });
    throw error;
  }

  /**
   * Ends it for all ranks: what they wait for, and all later calls, reject. Of MPI it ends the processes of the job.
   *
   * @param exitCode of those
   */
  abort(reason: Error | string, exitCode = 1): void {
    if (this.#failure !== undefined) return;
    const text = typeof reason === 'string' ? reason : reason.message;
    const message = `rank ${this.rank} has aborted: ${text}`;
    this.#failure = new CommunicatorError('ERR_COMM_ABORTED', message, {
      rank: this.rank,
      suspects: [this.rank],
      cause: reason,
    });
    this.#watch?.interrupt(this.#failure);
    this.#transport.abort(exitCode, message);
  }

  /**
   * Ends it when all ranks have called this, behind the collectives called before; await the steps of optimizers first. All later calls
   * reject with `ERR_COMM_CLOSED`. Doing it again does nothing. After a failure it waits for nobody.
   */
  close(): Promise<void> {
    return (this.#closing ??= this.#close());
  }

  async #close(): Promise<void> {
    try {
      if (this.#failure === undefined) await this.#enqueue('close', 0n, () => nothing);
      else await this.#last;
    } catch (error) {
      this.#failure ??= error as CommunicatorError;
      throw error;
    } finally {
      await this.#transport.close(this.#failure !== undefined);
      if (this.#failure === undefined) this.#collectives.release();
    }
  }

  /** @internal */
  [shares](who: string, optimizer: Optimizer, options: unknown): Promise<void> {
    return distribute(who, optimizer, this, options, this.#shared++);
  }

  /** Checks the arguments at once, and tells the other ranks if they are none. */
  async #call(op: Operation, options: CollectiveOptions, prepare: (who: string) => Prepared): Promise<void> {
    if (this.#closing !== undefined)
      throw new CommunicatorError('ERR_COMM_CLOSED', `${op} expects a communicator that has not been closed`, {
        rank: this.rank,
        op,
      });
    const isObject = typeof (options as unknown) === 'object' && (options as unknown) !== null;
    const { layout = 0n } = isObject ? options : {};
    return this.#enqueue(op, typeof layout === 'bigint' ? layout : 0n, () => {
      if (!isObject)
        throw typeError('ERR_OPT_CONFIG_TYPE', `${op} expects an object of options, got ${describe(options)}`);
      if (typeof layout !== 'bigint' || layout < 0n || layout >= 1n << 64n)
        throw rangeError(
          'ERR_OPT_CONFIG_RANGE',
          `${op} expects layout to be a bigint in [0, 2^64), got ${describe(layout)}`,
        );
      return prepare(op);
    });
  }

  #enqueue(op: Operation, layout: bigint, prepare: (who: string) => Prepared): Promise<void> {
    let prepared = nothing;
    let refused: Refused | undefined;
    try {
      prepared = prepare(op);
    } catch (error) {
      refused = { error };
    }
    const variables = prepared.data.flatMap(({ variable }) => variable ?? []);
    for (const variable of variables) Variable.use(variable, 1);
    const run = () => this.#run(op, layout, prepared, refused);
    const done = this.#last.then(run).finally(() => {
      for (const variable of variables) Variable.use(variable, -1);
    });
    this.#last = done.catch(() => {});
    return done;
  }

  async #run(op: Operation, layout: bigint, prepared: Prepared, refused: Refused | undefined): Promise<void> {
    if (this.#failure !== undefined) throw afterwards(op, this.rank, this.#failure);
    if (this.#isAlone) return this.#runAlone(op, prepared, refused);
    const about: About = { rank: this.rank, op, sequence: ++this.#sequence, bytes: bytesOf(prepared.data) };
    let late = refused ?? goneFrom(op, prepared.data);
    let arrived = (): readonly boolean[] => [];
    const watch: Watch = new Watch(this.#timeout, () => timeOut(about, watch.waited, arrived()));
    this.#watch = watch;
    let mismatch: Mismatch | undefined;
    try {
      const { data, payload = 0 } = prepared;
      let brought: readonly Brought[] = [];
      if (late === undefined && payload > 0)
        brought = await this.#bring(watch, data).catch((error: unknown) => ((late = { error }), []));
      const request = { ...neutral, ...prepared.request, op, sequence: about.sequence, layout, failed: failedBy(late) };
      const message = this.#message.write(request, late === undefined ? payload : 0);
      brought.forEach(({ place: { region } }, i) => message.set(bytesIn(region), kHandshake + i * region.byteLength));
      const exchange = this.#transport.exchange(message);
      arrived = () => exchange.arrived();
      const messages = await watch.until(exchange.done);
      mismatch = mismatchOf(messages);
      if (mismatch === undefined) {
        if (payload === 0) brought = await this.#bring(watch, data);
        await this.#move(watch, prepared, brought, messages);
      }
    } catch (error) {
      throw this.#fail(failureOf(error, about, watch.waited, arrived()));
    } finally {
      watch.end();
      this.#watch = undefined;
    }
    if (late !== undefined) throw late.error;
    if (mismatch === undefined) return;
    const error = mismatchError(about, mismatch);
    if (mismatch.closes) this.#failure ??= error; // that rank is gone
    throw error;
  }

  /** A copy, if anything. */
  async #runAlone(op: Operation, { data, written }: Prepared, refused: Refused | undefined): Promise<void> {
    this.#sequence++;
    const late = refused ?? goneFrom(op, data);
    if (late !== undefined) throw late.error;
    const [one, other] = data;
    if (one === undefined || other === undefined) return; // nobody adds anything to it
    const [from, to] = written[0] === 0 ? [other, one] : [one, other];
    const [sent, received] = [await bring(from, this.#transport), await bring(to, this.#transport)];
    received.place.region.copyFrom(sent.place.region);
    await received.putBack();
  }

  async #bring(watch: Watch, data: readonly Located[]): Promise<readonly Brought[]> {
    const brought: Brought[] = [];
    for (const one of data) brought.push(await watch.until(bring(one, this.#transport)));
    return brought;
  }

  async #move(
    watch: Watch,
    { written, run }: Prepared,
    brought: readonly Brought[],
    messages: readonly Uint8Array[],
  ): Promise<void> {
    const places = brought.map(({ place }) => place);
    await run(watch, places, messages);
    for (const i of written) await watch.until((brought[i] as Brought).putBack());
  }

  /** From now on nothing works any more. */
  #fail(error: CommunicatorError): CommunicatorError {
    if (this.#failure !== undefined) return error;
    this.#failure = error;
    const ends = this.#onFailure === 'abort';
    if (ends) report(error);
    if (ends || !this.#transport.endsJob) this.#transport.abort(kTemporaryFailure, error.message);
    return error;
  }

  #found(who: string, data: unknown, written: boolean): Located {
    return carriedAs(located(who, data, written), this.#transport.device);
  }

  #summands(who: string, data: Data, written: boolean, { leaves = this.size, further = [] }: SumOptions) {
    const list: [Located, ...Located[]] = [this.#found(who, data, written)];
    const [{ element, length }] = list;
    const dtype = dtypes.find((name) => name === element);
    if (dtype === undefined)
      throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects float32 or float64 numbers, got ${element}`);
    const sharing = sharingOf(who, leaves, this.size);
    const own = sharing.places.filter(({ rank }) => rank === this.rank).length;
    if (!Array.isArray(further) || further.length !== own - 1)
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${who} expects ${own - 1} further subtrees of rank ${this.rank} for ${leaves} leaves, got ${describe(further)} of ${further.length}`,
      );
    for (const one of further as readonly Data[]) list.push(this.#found(who, one, false));
    const other = list.find((one) => one.element !== element || one.length !== length);
    if (other !== undefined)
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${who} expects further subtrees of ${length} ${element}, got ${other.length} ${other.element}`,
      );
    return { list, dtype, sharing };
  }

  #checkParts(who: string, whole: Located, part: Located): void {
    if (whole.element !== part.element)
      throw typeError(
        'ERR_OPT_ARRAY_TYPE',
        `${who} expects a shard and a whole of one dtype, got ${part.element} and ${whole.element}`,
      );
    if (whole.length !== part.length * this.size)
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${who} expects a whole of ${this.size} times the ${part.length} elements of a shard, got ${whole.length}`,
      );
    if (overlap(whole.bytes, part.bytes) && offsetIn(whole.bytes, part.bytes) !== this.rank * part.bytes.length)
      throw rangeError(
        'ERR_OPT_ALIAS',
        `${who} expects a shard apart from the whole, or the part of rank ${this.rank} of it`,
      );
  }
}

/** Options with their defaults. */
export function checkBehaviour(who: string, options: CommunicatorOptions): Required<CommunicatorOptions> {
  const { timeout = 60_000, onFailure = 'throw' } = options;
  if (typeof timeout !== 'number' || !(timeout >= 1 && timeout < 2 ** 31))
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `${who} expects timeout to be milliseconds in [1, 2^31), got ${describe(timeout)}`,
    );
  if (onFailure !== 'abort' && onFailure !== 'throw')
    throw rangeError(
      'ERR_OPT_CONFIG_RANGE',
      `${who} expects onFailure to be "abort" or "throw", got ${describe(onFailure)}`,
    );
  return { timeout, onFailure };
}

const neutral = { element: 'float32', length: 0, root: 0, leaves: 0 } as const;

const bytesOf = (data: readonly Located[]) => Math.max(0, ...data.map(({ length, size }) => length * size));

const offsetIn = (whole: Uint8Array, part: Uint8Array) => part.byteOffset - whole.byteOffset;

const overlap = (a: Uint8Array, b: Uint8Array) =>
  a.buffer === b.buffer && a.byteOffset < b.byteOffset + b.length && b.byteOffset < a.byteOffset + a.length;

const failedBy = (refused: Refused | undefined): Request['failed'] =>
  refused !== undefined && (isPoisoned(refused.error) ? 'poisoned' : true);

const bytesIn = ({ bytes }: Region) => bytes as Uint8Array; // of the host

/** Why data that was there at the call cannot be moved any more. */
function goneFrom(op: Operation, data: readonly Located[]): Refused | undefined {
  const isGone = ({ device, bytes, length, size }: Located) => device === undefined && bytes.length !== length * size;
  if (!data.some(isGone)) return undefined;
  return {
    error: typeError('ERR_OPT_DETACHED', `${op} expects an array with memory, its ArrayBuffer has been detached`),
  };
}
