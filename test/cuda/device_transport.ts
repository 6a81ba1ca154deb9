// A transport that takes memory of the first GPU, as NCCL's does, over one that takes memory of the host: for ranks of one thread.
import { allocated } from '../../lib/arrays.ts';
import type { Bytes, DeviceBytes, Transport } from '../../lib/distributed/transport.ts';
import { addon } from '../../lib/native.ts';

/** Ranks of one thread whose transports take memory of the first GPU, as NCCL's does. */
export class DeviceTransport implements Transport {
  readonly kind = 'nccl';
  readonly device = 0;
  readonly endsJob = false;
  readonly rank: number;
  readonly size: number;
  readonly #inner: Transport;

  constructor(inner: Transport) {
    this.#inner = inner;
    ({ rank: this.rank, size: this.size } = inner);
  }

  exchange(send: Uint8Array) {
    return this.#inner.exchange(send);
  }

  allToAll(send: Bytes, receive: Bytes, partBytes: number): Promise<void> {
    return moved(receive, (to) => this.#inner.allToAll(copied(send), to, partBytes));
  }

  allGather(send: Bytes, receive: Bytes): Promise<void> {
    return moved(receive, (to) => this.#inner.allGather(copied(send), to));
  }

  broadcast(bytes: Bytes, root: number): Promise<void> {
    return moved(bytes, (to) => this.#inner.broadcast(to, root));
  }

  abort(exitCode: number, reason: string): void {
    this.#inner.abort(exitCode, reason);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

const borrowed = ({ memory, offset, byteLength }: DeviceBytes) =>
  addon.cuda.borrow(0, memory.address + BigInt(offset), byteLength);

/** What lies on the GPU, or on the host. */
function copied(bytes: Bytes): Uint8Array {
  if (bytes instanceof Uint8Array) return bytes;
  const { memory, array } = allocated('uint16', bytes.byteLength / 2);
  addon.cuda.readNow(borrowed(bytes), memory);
  return new Uint8Array(array.buffer, 0, bytes.byteLength);
}

async function moved(to: Bytes, move: (host: Uint8Array) => Promise<void>): Promise<void> {
  const host = copied(to);
  await move(host);
  if (!(to instanceof Uint8Array)) addon.cuda.write(borrowed(to), new Uint16Array(host.buffer, 0, host.length / 2));
}
