// A transport of several ranks in one thread, for tests: what is sent arrives as a task of its own, late or never where a test says so.
import { CommunicatorError } from '../../lib/distributed/errors.ts';
import { kPayload, type Bytes, type Exchange, type Transport } from '../../lib/distributed/transport.ts';

/** What happens to a message from one rank to another; milliseconds, or null where it is lost. */
export type Faults = (from: number, to: number, call: number) => number | null;

/** The ranks of one job, which see each other's messages by the number of the call. */
export class MemoryGroup {
  readonly size: number;
  readonly faults: Faults;
  readonly #boxes = new Map<
    string,
    { readonly promise: Promise<Uint8Array>; readonly deliver: (bytes: Uint8Array) => void }
  >();
  #ended: CommunicatorError | undefined;
  readonly #ends: ((error: Error) => void)[] = [];

  constructor(size: number, faults: Faults = () => 0) {
    this.size = size;
    this.faults = faults;
  }

  transports(): Transport[] {
    return Array.from({ length: this.size }, (_, rank) => new MemoryTransport(this, rank));
  }

  send(from: number, to: number, call: number, bytes: Uint8Array): void {
    const delay = this.faults(from, to, call);
    if (delay === null) return;
    const { deliver } = this.#box(from, to, call);
    const copy = bytes.slice();
    if (delay === 0) setImmediate(() => deliver(copy));
    else setTimeout(() => deliver(copy), delay);
  }

  async receive(from: number, to: number, call: number): Promise<Uint8Array> {
    const bytes = await Promise.race([this.#box(from, to, call).promise, this.#end()]);
    this.#boxes.delete(`${from} ${to} ${call}`);
    return bytes;
  }

  end(error: CommunicatorError): void {
    this.#ended ??= error;
    for (const reject of this.#ends.splice(0)) reject(error);
  }

  /** Messages that nobody has fetched. */
  get pending(): number {
    return this.#boxes.size;
  }

  #end(): Promise<never> {
    return new Promise((_, reject) => (this.#ended === undefined ? this.#ends.push(reject) : reject(this.#ended)));
  }

  #box(from: number, to: number, call: number) {
    const key = `${from} ${to} ${call}`;
    const { promise, resolve } = withResolvers<Uint8Array>();
    const box = this.#boxes.get(key) ?? { promise, deliver: resolve };
    this.#boxes.set(key, box);
    return box;
  }
}

function withResolvers<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

class MemoryTransport implements Transport {
  readonly rank: number;
  readonly kind = 'local';
  readonly endsJob = false;
  readonly payload = kPayload;
  readonly #group: MemoryGroup;
  #calls = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(group: MemoryGroup, rank: number) {
    this.#group = group;
    this.rank = rank;
  }

  get size(): number {
    return this.#group.size;
  }

  exchange(send: Uint8Array): Exchange {
    const arrived = Array.from({ length: this.size }, () => false);
    const bytes = send.slice();
    const done = this.#move(() => bytes, arrived);
    return { done, arrived: () => arrived };
  }

  async allToAll(send: Bytes, receive: Bytes, partBytes: number): Promise<void> {
    const part = (bytes: Bytes, i: number) => (bytes as Uint8Array).subarray(i * partBytes, (i + 1) * partBytes);
    const parts = await this.#move((to) => part(send, to));
    parts.forEach((bytes, from) => part(receive, from).set(bytes));
  }

  async allGather(send: Bytes, receive: Bytes): Promise<void> {
    const length = send.byteLength;
    const parts = await this.#move(() => send as Uint8Array);
    parts.forEach((bytes, from) => (receive as Uint8Array).subarray(from * length, (from + 1) * length).set(bytes));
  }

  async broadcast(bytes: Bytes, root: number): Promise<void> {
    const parts = await this.#move(() => bytes as Uint8Array);
    (bytes as Uint8Array).set(parts[root] as Uint8Array);
  }

  abort(_exitCode: number, reason: string): void {
    this.#group.end(new CommunicatorError('ERR_COMM_ABORTED', reason, { suspects: [this.rank] }));
  }

  async close(): Promise<void> {}

  /** Sends a part to every rank when the call before is over, and resolves with what they sent. */
  #move(part: (to: number) => Uint8Array, arrived: boolean[] = []): Promise<Uint8Array[]> {
    const call = this.#calls++;
    const ranks = Array.from({ length: this.size }, (_, i) => i);
    const moved = this.#last.then(() => {
      for (const to of ranks) this.#group.send(this.rank, to, call, part(to));
      const from = async (one: number) => {
        const bytes = await this.#group.receive(one, this.rank, call);
        arrived[one] = true;
        return bytes;
      };
      return Promise.all(ranks.map(from));
    });
    this.#last = moved.catch(() => {});
    return moved;
  }
}
