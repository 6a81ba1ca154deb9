// An engine of native code (MPI, NCCL) as a transport.
import { allocated, memoryOf } from '../arrays.ts';
import { addon, type Connection, type EngineInfo, type Memory } from '../native.ts';
import { CommunicatorError, type CommunicatorErrorCode } from './errors.ts';
import { kHandshake, kPayload, type Bytes, type Exchange, type Kind, type Transport } from './transport.ts';

type Finish = (result: number, error?: Error) => void;

/** What native code says, as an error between ranks where its code is one of those. */
export function errorOf(given: unknown, rank?: number): Error {
  const error = given as Error & { readonly code?: string };
  const { code, message } = error;
  if (code === undefined || !code.startsWith('ERR_COMM_')) return error;
  return new CommunicatorError(code as CommunicatorErrorCode, message, {
    ...(rank === undefined ? {} : { rank }),
    cause: error,
  });
}

/** Calls something that throws, or says at the end what has become of it. */
const settled = (begin: (finish: Finish) => void, rank?: number) =>
  new Promise<void>((resolve, reject) => {
    const fail = (error: unknown) => reject(errorOf(error, rank));
    try {
      begin((_, error) => (error === undefined ? resolve() : fail(error)));
    } catch (error) {
      fail(error);
    }
  });

/** A connection that has started. Throws what native code says, and ERR_COMM_TIMEOUT after so many milliseconds. */
export async function opened(open: (finish: Finish) => Connection, timeout?: number): Promise<Connection> {
  let connection: Connection | undefined;
  const started = settled((finish) => (connection = open(finish)));
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    if (timeout === undefined) return;
    const expected = `expects all ranks to start within ${timeout} ms: one has not, or cannot be reached`;
    timer = setTimeout(() => {
      connection?.leave();
      reject(new CommunicatorError('ERR_COMM_TIMEOUT', `connect ${expected}`, { op: 'connect', waited: timeout }));
    }, timeout);
  });
  await Promise.race([started, late]).finally(() => clearTimeout(timer));
  return connection as unknown as Connection;
}

const block = (bytes: number) => allocated('uint32', Math.ceil(bytes / Uint32Array.BYTES_PER_ELEMENT));

/** What native code reads and writes: library memory as it is, other memory as a copy. */
interface Place {
  readonly memory: Memory;
  readonly offset: number;
  readonly putBack: () => void;
}

const inPlace = (memory: Memory, offset: number): Place => ({ memory, offset, putBack: () => {} });

function placeOf(bytes: Bytes): Place {
  if (!ArrayBuffer.isView(bytes)) return inPlace(bytes.memory, bytes.offset);
  const known = memoryOf(bytes);
  if (known !== undefined) return inPlace(known, bytes.byteOffset);
  const { memory, array } = block(bytes.byteLength);
  const copy = new Uint8Array(array.buffer, 0, bytes.byteLength);
  copy.set(bytes);
  return { memory, offset: 0, putBack: () => bytes.set(copy) };
}

/** The memory of a handshake, used again and again. */
class Handshakes {
  readonly #idle: {
    readonly send: Place;
    readonly receive: Place;
    readonly sent: Uint8Array;
    readonly came: readonly Uint8Array[];
    readonly arrived: Uint8Array;
  }[] = [];
  readonly #size: number;
  readonly #room: number;

  /** `room`: bytes of a rank at most. */
  constructor(size: number, room: number) {
    this.#size = size;
    this.#room = room;
  }

  take() {
    const kept = this.#idle.pop();
    if (kept !== undefined) return kept;
    const room = this.#room;
    const [send, receive] = [block(room), block(this.#size * (room + 1))];
    const { buffer } = receive.array;
    return {
      send: inPlace(send.memory, 0),
      receive: inPlace(receive.memory, 0),
      sent: new Uint8Array(send.array.buffer),
      came: Array.from({ length: this.#size }, (_, rank) => new Uint8Array(buffer, rank * room, room)),
      arrived: new Uint8Array(buffer, this.#size * room, this.#size),
    };
  }

  give(back: ReturnType<Handshakes['take']>): void {
    this.#idle.push(back);
  }
}

interface Behaviour {
  readonly endsJob?: boolean;
  readonly device?: number;
  /** Carries handshakes, and is ended and closed with it. */
  readonly side?: Transport | undefined;
}

export class ConnectionTransport implements Transport {
  readonly rank: number;
  readonly size: number;
  readonly kind: Kind;
  readonly device: number | undefined;
  readonly endsJob: boolean;
  readonly payload: number;
  readonly #connection: Connection;
  readonly #side: Transport | undefined;
  readonly #handshakes: Handshakes;
  #closed: Promise<void> | undefined;

  constructor(kind: Kind, connection: Connection, { device, side, endsJob = side?.endsJob ?? false }: Behaviour) {
    const { rank, size } = connection.describe();
    this.rank = rank;
    this.size = size;
    this.kind = kind;
    this.device = device;
    this.endsJob = endsJob;
    this.#connection = connection;
    this.#side = side;
    this.payload = device === undefined ? kPayload : 0;
    this.#handshakes = new Handshakes(size, kHandshake + this.payload);
    if (endsJob && side === undefined && size > 1) process.on('exit', this.#leaves);
  }

  // Open MPI takes it for a failure that a rank leaves the others without a word, MPICH only if its exit code says so.
  readonly #leaves = (code: number): void => {
    if (code !== 0) return;
    process.stderr.write(`keras-optimizers: rank ${this.rank} of ${this.size} exits without close\n`);
    process.exitCode = 1;
  };

  /** Rank, size, and which library in which version carries the bytes. */
  describe(): EngineInfo {
    return this.#connection.describe();
  }

  exchange(send: Uint8Array): Exchange {
    if (this.#side !== undefined) return this.#side.exchange(send);
    const used = this.#handshakes.take();
    used.sent.set(send);
    used.arrived.fill(0);
    let all = false; // of them have come: what is used is used again
    const ended = settled((finish) => {
      this.#begin('exchange', used.send, used.receive, send.length, 0, finish, kHandshake + this.payload);
    }, this.rank);
    const done = ended.then(() => {
      this.#handshakes.give(used);
      all = true;
      return used.came;
    });
    return { done, arrived: () => Array.from(used.arrived, (came) => all || came === 1) };
  }

  allToAll(send: Bytes, receive: Bytes, partBytes: number): Promise<void> {
    return this.#run('allToAll', send, receive, partBytes);
  }

  allGather(send: Bytes, receive: Bytes): Promise<void> {
    return this.#run('allGather', send, receive, send.byteLength);
  }

  broadcast(bytes: Bytes, root: number): Promise<void> {
    return this.#run('broadcast', bytes, bytes, bytes.byteLength, root);
  }

  abort(exitCode: number, reason: string): void {
    this.#closed ??= Promise.resolve();
    process.off('exit', this.#leaves);
    this.#connection.abort(exitCode, reason);
    this.#side?.abort(exitCode, reason);
  }

  close(force = false): Promise<void> {
    if (force) this.#connection.leave();
    return (this.#closed ??= this.#close(force));
  }

  async #close(force: boolean): Promise<void> {
    if (!force) {
      await settled((finish) => this.#connection.close(finish), this.rank);
      process.off('exit', this.#leaves);
    }
    await this.#side?.close(force);
  }

  async #run(kind: string, send: Bytes, receive: Bytes, bytes: number, root = 0): Promise<void> {
    const to = placeOf(receive);
    const from = send === receive ? to : placeOf(send);
    await settled((finish) => this.#begin(kind, from, to, bytes, root, finish), this.rank);
    to.putBack();
  }

  #begin(kind: string, from: Place, to: Place, bytes: number, root: number, finish: Finish, room = bytes): void {
    const id = addon.distributed.collectives.indexOf(kind);
    this.#connection.run(id, from.memory, from.offset, to.memory, to.offset, bytes, root, finish, room);
  }
}
