// How collectives are made of what a transport can do. Sums are all-to-all of shards, added in the order of the tree, whatever the
// engine would do; all piece by piece, so that a rank needs little memory besides, and adds up one piece while the next one is moved.
import type { FloatArray } from '../arrays.ts';
import type { Dtype } from '../native.ts';
import { numbersOf, Scratch, type Lease, type Region } from './region.ts';
import type { Sharing } from './sharing.ts';
import { sizes } from '../storage.ts';
import { Adder } from './sums.ts';
import { kHandshake, type Transport } from './transport.ts';
import type { Watch } from './watch.ts';

const kPiece = 4 << 20; // bytes of what is moved at a time, or
const kPart = 256 << 10; // those of a rank's part
const kSmall = 8 << 10; // bytes: below, one message to all is faster than two of shards
const kInPlace = 64 << 20; // bytes of what a transport adds up at a time, in pieces of its own
const kAligned = 64; // bytes: shards within a piece are whole cache lines

/**
 * Bytes of what is moved at a time. Of a part of p bytes latencies take 3 alpha / (2 p beta) of the time of its bytes: a handshake and
 * two parts go to every other rank. On the networks of bench/distributed/model.ts that is a fifth for `kPart`, however many ranks.
 */
export const pieceOf = (size: number): number => Math.max(kPiece, size * kPart);

/** Memory of the caller's; it has to be copied unless it `stays` where it is. */
export interface Place {
  readonly region: Region;
  readonly stays: boolean;
}

/** A piece on its way to be added: the summands that are received. */
interface Scattered {
  readonly moved: readonly Promise<void>[];
  readonly received: readonly Region[];
  /** Bytes of a summand. */
  readonly part: number;
}

export class Collectives {
  readonly #transport: Transport;
  readonly #piece: number;
  readonly #adder = new Adder();
  readonly #scratch = new Scratch();

  constructor(transport: Transport) {
    this.#transport = transport;
    this.#piece = pieceOf(transport.size);
  }

  /** Bytes that a rank sends at most of such a sum if they go with the handshake; 0 if they do not. */
  payloadOf(bytes: number, { subtrees, additions }: Sharing): number {
    const all = additions.length === 0 ? 0 : bytes * subtrees;
    return all <= (this.#transport.payload ?? 0) ? all : 0;
  }

  /** `allReduce` of what came with the handshakes. */
  async sumOf(messages: readonly Uint8Array[], { region }: Place, dtype: Dtype, sharing: Sharing): Promise<void> {
    const { byteLength } = region;
    const parts = sharing.places.map(({ rank, subtree }) => {
      const begin = kHandshake + subtree * byteLength;
      return numbersOf((messages[rank] as Uint8Array).subarray(begin, begin + byteLength), dtype);
    });
    const [sum] = parts as [FloatArray];
    await this.#adder.add(dtype, sum.length, parts, sharing.additions);
    (numbersOf(region.bytes as Uint8Array, dtype) as Float64Array).set(sum);
  }

  /** The sum of all ranks' subtrees in the place of the first; nothing to do for the sum of one summand. */
  async allReduce(watch: Watch, subtrees: readonly Place[], dtype: Dtype, sharing: Sharing): Promise<void> {
    const [{ region: whole }] = subtrees as readonly [Place];
    if (sharing.additions.length === 0) return;
    let finish = async () => {};
    for (let at = 0, count; at < whole.byteLength; at += count) {
      const rest = whole.byteLength - at;
      const inPlace = sharing.subtrees === 1 && this.#transport.sum !== undefined;
      const part = rest <= kSmall ? 0 : this.#partOf(Math.min(rest, inPlace ? kInPlace : this.#piece));
      count = part === 0 ? rest : part * this.#transport.size;
      const pieces = subtrees.map(({ region, stays }) => ({ region: region.part(at, count), stays }));
      if (part > 0 && inPlace) {
        await watch.until(this.#sumInPlace(pieces[0] as Place, part, dtype, sharing));
        continue;
      }
      const lease = this.#scratch.lease();
      const scattered = this.#scatter(lease, pieces, part, sharing);
      await finish();
      finish = async () => {
        const sum = await this.#sum(watch, scattered, dtype, sharing);
        await this.#spread(watch, lease, sum, pieces[0] as Place, part);
        lease.end();
      };
    }
    await finish();
  }

  /** The own part of the sum of all ranks' subtrees. */
  async reduceScatter(
    watch: Watch,
    subtrees: readonly Place[],
    shard: Region,
    dtype: Dtype,
    sharing: Sharing,
  ): Promise<void> {
    let finish = async () => {};
    for (let at = 0, count; at < shard.byteLength; at += count) {
      count = Math.min(shard.byteLength - at, this.#partOf(this.#piece));
      const [to, begin, lease] = [shard.part(at, count), at, this.#scratch.lease()];
      const pieces = subtrees.map((place) => this.#slices(lease, place, shard.byteLength, begin, to.byteLength));
      const scattered = this.#scatter(lease, pieces, count, sharing);
      await finish();
      finish = async () => {
        to.copyFrom(await this.#sum(watch, scattered, dtype, sharing));
        lease.end();
      };
    }
    await finish();
  }

  /** All ranks' shards, in their order. */
  async allGather(watch: Watch, shard: Place, full: Place): Promise<void> {
    const { size } = this.#transport;
    const { byteLength } = shard.region;
    if (shard.stays && full.stays) return watch.until(this.#transport.allGather(shard.region.bytes, full.region.bytes));
    for (let at = 0, count; at < byteLength; at += count) {
      count = Math.min(byteLength - at, this.#partOf(this.#piece));
      const lease = this.#scratch.lease();
      const [sent, received] = [lease.take(shard.region, count), lease.take(full.region, count * size)];
      sent.copyFrom(shard.region.part(at, count));
      await watch.until(this.#transport.allGather(sent.bytes, received.bytes));
      for (let rank = 0; rank < size; rank++)
        full.region.part(rank * byteLength + at, count).copyFrom(received.part(rank * count, count));
      lease.end();
    }
  }

  async broadcast(watch: Watch, { region, stays }: Place, root: number): Promise<void> {
    if (stays) return watch.until(this.#transport.broadcast(region.bytes, root));
    for (let at = 0, count; at < region.byteLength; at += count) {
      count = Math.min(region.byteLength - at, this.#piece);
      const lease = this.#scratch.lease();
      const staged = lease.take(region, count);
      staged.copyFrom(region.part(at, count));
      await watch.until(this.#transport.broadcast(staged.bytes, root));
      region.part(at, count).copyFrom(staged);
      lease.end();
    }
  }

  /** Gives all memory back. */
  release(): void {
    this.#adder.release();
    this.#scratch.release();
  }

  /** Bytes of a shard of so many; 0 if they are too few. */
  #partOf(bytes: number): number {
    const line = kAligned * this.#transport.size;
    return kAligned * Math.floor(bytes / line);
  }

  async #sumInPlace({ region }: Place, part: number, dtype: Dtype, { additions }: Sharing): Promise<void> {
    const add = (parts: readonly Uint8Array[]) => {
      const summands = parts.map((bytes) => numbersOf(bytes, dtype));
      return this.#adder.add(dtype, (parts[0]?.length ?? 0) / sizes[dtype], summands, additions);
    };
    await this.#transport.sum?.(region.bytes as Uint8Array, part, add);
  }

  /** Sends the shards of a piece to their ranks; all of it to all ranks if `part` is 0. */
  #scatter(lease: Lease, pieces: readonly Place[], part: number, { subtrees }: Sharing): Scattered {
    const { size } = this.#transport;
    const sent = pieces.map(({ region, stays }) => (stays ? region : copyOf(region, lease)));
    const received: Region[] = [];
    const moved = Array.from({ length: subtrees }, (_, i) => {
      const from = (sent[i] ?? sent[0]) as Region;
      const to = lease.take(from, part === 0 ? from.byteLength * size : from.byteLength);
      received.push(to);
      if (part === 0) return this.#transport.allGather(from.bytes, to.bytes);
      return this.#transport.allToAll(from.bytes, to.bytes, part);
    });
    for (const promise of moved) promise.catch(() => {}); // whoever waits for it hears of it
    return { moved, received, part: part === 0 ? (pieces[0] as Place).region.byteLength : part };
  }

  /** Adds up what has been received; the sum lies in the place of the first summand. */
  async #sum(watch: Watch, { moved, received, part }: Scattered, dtype: Dtype, sharing: Sharing): Promise<Region> {
    for (const promise of moved) await watch.until(promise);
    const parts = sharing.places.map(({ rank, subtree }) => (received[subtree] as Region).part(rank * part, part));
    const held = received.flatMap(({ memory }) => memory ?? []);
    const summands = parts.map((one) => one.summand(dtype));
    await watch.until(this.#adder.add(dtype, part / sizes[dtype], summands, sharing.additions, held));
    return parts[0] as Region;
  }

  /** Every rank's sum of its shard to all ranks; without shards it is the sum of all. */
  async #spread(watch: Watch, lease: Lease, sum: Region, { region, stays }: Place, part: number): Promise<void> {
    if (part === 0) return region.copyFrom(sum);
    const all = stays ? region : lease.take(region, region.byteLength);
    await watch.until(this.#transport.allGather(sum.bytes, all.bytes));
    if (!stays) region.copyFrom(all);
  }

  /** The same stretch of every rank's part, side by side: where it is, if that is all of it, or copied. */
  #slices(lease: Lease, place: Place, partBytes: number, begin: number, length: number): Place {
    if (length === partBytes) return place;
    const { size } = this.#transport;
    const copy = lease.take(place.region, length * size);
    for (let rank = 0; rank < size; rank++)
      copy.part(rank * length, length).copyFrom(place.region.part(rank * partBytes + begin, length));
    return { region: copy, stays: true };
  }
}

function copyOf(region: Region, lease: Lease): Region {
  const copy = lease.take(region, region.byteLength);
  copy.copyFrom(region);
  return copy;
}
