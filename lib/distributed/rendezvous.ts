// Where the ranks of a local group meet: counters in shared memory. Each rank counts its arrivals, and waits for those of the others
// without blocking its event loop.
import { CommunicatorError, type CommunicatorErrorCode } from './errors.ts';

const kLine = 16; // 32-bit words of a cache line
const kBroken = 0; // 0, or 1 while it is being said why, or 2
const kCode = 1;
const kSuspect = 2;
const kTextLength = 3; // bytes
const kText = 2 * kLine * Int32Array.BYTES_PER_ELEMENT; // where the reason begins, in bytes
const kTextBytes = 1024;
const kRanks = kText / Int32Array.BYTES_PER_ELEMENT + kTextBytes / Int32Array.BYTES_PER_ELEMENT; // where the lines of ranks begin

// of a rank's line
const kArrivals = 0;
const kState = 1;
const states = { absent: 0, joined: 1, left: 2 } as const;

const codes = ['ERR_COMM_PEER_LOST', 'ERR_COMM_ABORTED'] as const satisfies readonly CommunicatorErrorCode[];

const kSpins = 2000; // a few microseconds
const kSleep = 100; // ms: a wake-up that is missed costs no more

type WaitAsync = (
  array: Int32Array,
  index: number,
  value: number,
  timeout: number,
) => { readonly async: boolean; readonly value: unknown };
const waitAsync = (Atomics as unknown as { readonly waitAsync: WaitAsync }).waitAsync.bind(Atomics);

/** Bytes that a rendezvous of so many ranks needs. */
export const rendezvousBytes = (size: number): number => (kRanks + size * kLine) * Int32Array.BYTES_PER_ELEMENT;

export class Rendezvous {
  readonly size: number;
  readonly #words: Int32Array;
  readonly #text: Uint8Array;

  constructor(buffer: SharedArrayBuffer, size: number) {
    this.size = size;
    this.#words = new Int32Array(buffer);
    this.#text = new Uint8Array(buffer, kText, kTextBytes);
  }

  /** Whether the rank has been free. */
  join(rank: number): boolean {
    return Atomics.compareExchange(this.#words, this.#at(rank, kState), states.absent, states.joined) === states.absent;
  }

  leave(rank: number): void {
    Atomics.store(this.#words, this.#at(rank, kState), states.left);
  }

  hasLeft(rank: number): boolean {
    return Atomics.load(this.#words, this.#at(rank, kState)) === states.left;
  }

  /** What the rank has written until now, the others see who have waited for this arrival. */
  arrive(rank: number): void {
    const at = this.#at(rank, kArrivals);
    Atomics.add(this.#words, at, 1);
    Atomics.notify(this.#words, at);
  }

  hasArrived(rank: number, arrivals: number): boolean {
    return ((Atomics.load(this.#words, this.#at(rank, kArrivals)) - arrivals) | 0) >= 0; // the counter wraps around
  }

  /** Resolves when all ranks have arrived so often; rejects when the group breaks. */
  async all(arrivals: number): Promise<void> {
    for (let rank = 0; rank < this.size; rank++) if (!this.#spin(rank, arrivals)) await this.#sleep(rank, arrivals); // who left after that has arrived
  }

  #spin(rank: number, arrivals: number): boolean {
    for (let i = 0; i < kSpins; i++) if (this.hasArrived(rank, arrivals)) return true;
    return false;
  }

  async #sleep(rank: number, arrivals: number): Promise<void> {
    const at = this.#at(rank, kArrivals);
    for (;;) {
      const seen = Atomics.load(this.#words, at);
      if (this.hasArrived(rank, arrivals)) return;
      this.check();
      const waiting = waitAsync(this.#words, at, seen, kSleep);
      if (waiting.async) await waiting.value;
    }
  }

  /** Ends it for all ranks; the first reason counts. */
  break(code: (typeof codes)[number], suspect: number, reason: string): void {
    const words = this.#words;
    if (Atomics.compareExchange(words, kBroken, 0, 1) !== 0) return;
    const { written } = new TextEncoder().encodeInto(reason, new Uint8Array(kTextBytes));
    this.#text.set(new TextEncoder().encode(reason).subarray(0, written));
    words[kCode] = codes.indexOf(code);
    words[kSuspect] = suspect;
    words[kTextLength] = written;
    Atomics.store(words, kBroken, 2);
    for (let rank = 0; rank < this.size; rank++) Atomics.notify(words, this.#at(rank, kArrivals));
  }

  /** Throws if it is broken. */
  check(): void {
    const words = this.#words;
    if (Atomics.load(words, kBroken) !== 2) return;
    const reason = new TextDecoder().decode(this.#text.slice(0, words[kTextLength]));
    throw new CommunicatorError(codes[words[kCode] as number] ?? 'ERR_COMM_ABORTED', reason, {
      suspects: [words[kSuspect] as number],
    });
  }

  #at(rank: number, word: number): number {
    return kRanks + rank * kLine + word;
  }
}
