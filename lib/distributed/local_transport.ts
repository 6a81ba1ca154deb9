// Threads of one process. Every rank has windows of shared memory: it writes what the others are to see into one of them, and they read it
// when they know that it has arrived. The calls take turns with the windows: when all have arrived in a call, all have read what there
// was in the one before. Sums have a third turn, since what comes next is written before all have read what came before.
import { stateError } from '../errors.ts';
import { Rendezvous, rendezvousBytes } from './rendezvous.ts';
import { kHandshake, kPayload, type Bytes, type Exchange, type Transport } from './transport.ts';

/** What the threads of a group share; `postMessage` and `workerData` pass it on. */
export interface LocalHandle {
  /** Ranks. */
  readonly size: number;
  /** Bytes of a window. */
  readonly window: number;
  /** How they wait for each other. */
  readonly rendezvous: SharedArrayBuffer;
  /** What they pass on: three windows of each rank. */
  readonly windows: SharedArrayBuffer;
}

const kTurns = 3;

export function newHandle(size: number, window: number): LocalHandle {
  const rendezvous = new SharedArrayBuffer(rendezvousBytes(size));
  return { size, window, rendezvous, windows: new SharedArrayBuffer(kTurns * size * window) };
}

/** What is summed at a time: bytes of a part. */
interface Piece {
  readonly turn: number;
  readonly at: number;
  readonly count: number;
}

export class LocalTransport implements Transport {
  readonly rank: number;
  readonly size: number;
  readonly kind = 'local';
  readonly copies = true;
  readonly payload: number;
  readonly endsJob = false;
  readonly #rendezvous: Rendezvous;
  readonly #handle: LocalHandle;
  readonly #came: readonly Uint8Array[]; // of an exchange
  #turn = 0;
  #arrivals = 0;
  #last: Promise<unknown> = Promise.resolve();
  readonly #onExit = () => this.#rendezvous.break('ERR_COMM_PEER_LOST', this.rank, `rank ${this.rank} has exited`);

  constructor(handle: LocalHandle, rendezvous: Rendezvous, rank: number) {
    this.#handle = handle;
    this.#rendezvous = rendezvous;
    this.rank = rank;
    this.size = handle.size;
    this.payload = Math.min(kPayload, handle.window - kHandshake);
    this.#came = Array.from({ length: this.size }, () => new Uint8Array(kHandshake + this.payload));
    process.once('exit', this.#onExit); // of this thread
  }

  exchange(send: Uint8Array): Exchange {
    const bytes = send.slice();
    let arrivals: number | undefined;
    const done = this.#next(async () => {
      const turn = this.#takeTurn();
      this.#window(turn, this.rank).set(bytes);
      arrivals = this.#arrivals + 1;
      await this.#meet();
      const room = bytes.length; // those that mean the same send as much
      this.#forRanks((rank) => this.#came[rank]?.set(this.#window(turn, rank).subarray(0, room)));
      return this.#came;
    });
    const hasArrived = (rank: number) => arrivals !== undefined && this.#rendezvous.hasArrived(rank, arrivals);
    return { done, arrived: () => Array.from({ length: this.size }, (_, rank) => hasArrived(rank)) };
  }

  async allToAll(send: Bytes, receive: Bytes, partBytes: number): Promise<void> {
    const most = Math.floor(this.#handle.window / this.size);
    await this.#inPieces(partBytes, most, async (turn, at, count) => {
      const own = this.#window(turn, this.rank);
      this.#forRanks((to) => write(own, to * count, part(send, to * partBytes + at, count)));
      await this.#meet();
      const mine = (from: number) => this.#window(turn, from).subarray(this.rank * count, (this.rank + 1) * count);
      this.#forRanks((from) => write(receive, from * partBytes + at, mine(from)));
    });
  }

  async allGather(send: Bytes, receive: Bytes): Promise<void> {
    const { byteLength } = send;
    await this.#inPieces(byteLength, this.#handle.window, async (turn, at, count) => {
      write(this.#window(turn, this.rank), 0, part(send, at, count));
      await this.#meet();
      this.#forRanks((from) => write(receive, from * byteLength + at, this.#window(turn, from).subarray(0, count)));
    });
  }

  async broadcast(bytes: Bytes, root: number): Promise<void> {
    await this.#inPieces(bytes.byteLength, this.#handle.window, async (turn, at, count) => {
      if (this.rank === root) write(this.#window(turn, root), 0, part(bytes, at, count));
      await this.#meet();
      if (this.rank !== root) write(bytes, at, this.#window(turn, root).subarray(0, count));
    });
  }

  /** The next piece is offered before the sums of one are read: they meet once for both. */
  sum(data: Uint8Array, partBytes: number, add: (parts: readonly Uint8Array[]) => Promise<void>): Promise<void> {
    const most = Math.floor(this.#handle.window / this.size / 64) * 64;
    const mine = ({ at, count }: Piece) => part(data, this.rank * partBytes + at, count);
    return this.#next(async () => {
      let piece = this.#offer(data, partBytes, 0, most);
      if (piece !== undefined) await this.#meet();
      while (piece !== undefined) {
        const now: Piece = piece;
        const { turn, at, count } = now;
        const of = (rank: number, from: number) => this.#window(turn, from).subarray(rank * count, (rank + 1) * count);
        const parts = Array.from({ length: this.size }, (_, from) =>
          from === this.rank ? mine(now) : of(this.rank, from),
        );
        await add(parts);
        const sums = (rank: number) => of(rank, 0); // the first rank's window has them for the others
        if (this.rank === 0) sums(0).set(mine(now));
        else mine(now).set(sums(this.rank));
        piece = this.#offer(data, partBytes, at + count, most);
        await this.#meet();
        this.#forOthers((rank) => write(data, rank * partBytes + at, sums(rank)));
      }
    });
  }

  /** Shows the others their parts of the piece at `at`; undefined if there is none. */
  #offer(data: Uint8Array, partBytes: number, at: number, most: number): Piece | undefined {
    if (at >= partBytes) return undefined;
    const [turn, count] = [this.#takeTurn(), Math.min(most, partBytes - at)];
    const own = this.#window(turn, this.rank);
    this.#forOthers((to) => write(own, to * count, part(data, to * partBytes + at, count)));
    return { turn, at, count };
  }

  abort(_exitCode: number, reason: string): void {
    this.#rendezvous.break('ERR_COMM_ABORTED', this.rank, reason);
  }

  close(): Promise<void> {
    process.off('exit', this.#onExit);
    this.#rendezvous.leave(this.rank);
    return Promise.resolve();
  }

  /** The same number of pieces on all ranks; of no bytes there is none. */
  #inPieces(
    bytes: number,
    most: number,
    move: (turn: number, at: number, count: number) => Promise<void>,
  ): Promise<void> {
    return this.#next(async () => {
      for (let at = 0; at < bytes; at += most) await move(this.#takeTurn(), at, Math.min(most, bytes - at));
    });
  }

  // For what all meet in, and nothing else.
  #takeTurn(): number {
    return this.#turn++ % kTurns;
  }

  /** Starts a call when the one before has ended. */
  #next<T>(call: () => Promise<T>): Promise<T> {
    const done = this.#last.then(call);
    this.#last = done.catch(() => {});
    return done;
  }

  async #meet(): Promise<void> {
    this.#rendezvous.check();
    this.#rendezvous.arrive(this.rank);
    await this.#rendezvous.all(++this.#arrivals);
  }

  #forRanks(visit: (rank: number) => void): void {
    for (let rank = 0; rank < this.size; rank++) visit(rank);
  }

  #forOthers(visit: (rank: number) => void): void {
    this.#forRanks((rank) => {
      if (rank !== this.rank) visit(rank);
    });
  }

  #window(turn: number, rank: number): Uint8Array {
    const { windows, window, size } = this.#handle;
    return new Uint8Array(windows, (turn * size + rank) * window, window);
  }
}

/** Of memory that is still there: a part that is shorter would leave something else in its place. */
function part(bytes: Bytes, begin: number, length: number): Uint8Array {
  const found = (bytes as Uint8Array).subarray(begin, begin + length);
  if (found.length === length) return found;
  throw stateError('ERR_OPT_DETACHED', 'the ArrayBuffer of a collective has been detached before its end');
}

const write = (to: Bytes, begin: number, from: Uint8Array): void => part(to, begin, from.length).set(from);
