// The alpha-beta model of a sum over ranks: so many messages of a latency each, and so many bytes at a bandwidth, in ranges of size with
// numbers of their own, because engines change their protocol; and what it says of ranks and networks that nobody has measured here.

/** A sum that has been measured. */
export interface Sum {
  readonly ranks: number;
  readonly bytes: number;
  /** Microseconds. */
  readonly us: number;
}

/** Sizes up to so many bytes have one latency and one bandwidth. */
export interface Range {
  readonly most: number;
  /** Microseconds of a message. */
  readonly alpha: number;
  /** Microseconds of a byte that a rank sends; its share of copies and additions is in it. */
  readonly beta: number;
}

const kSmall = 8 << 10; // bytes, as in lib/distributed/collectives.ts: below, everything with the handshake
const kMost = [kSmall, 256 << 10, Infinity];

/** Messages and bytes that a rank sends for a sum, its handshake included. */
export function trafficOf(ranks: number, bytes: number): { readonly messages: number; readonly sent: number } {
  const others = ranks - 1;
  if (bytes <= kSmall) return { messages: others, sent: others * bytes };
  return { messages: 3 * others, sent: (2 * others * bytes) / ranks };
}

/** Least squares of relative errors in every range, none of the numbers below 0. */
export function fit(sums: readonly Sum[]): readonly Range[] {
  return kMost.map((most, i) => {
    const own = sums.filter(({ bytes }) => bytes <= most && bytes > (kMost[i - 1] ?? 0));
    return { most, ...fitOf(own) };
  });
}

function fitOf(sums: readonly Sum[]): { readonly alpha: number; readonly beta: number } {
  const rows = sums.map(({ ranks, bytes, us }) => {
    const { messages, sent } = trafficOf(ranks, bytes);
    return [messages / us, sent / us] as const;
  });
  const total = (of: (x: number, y: number) => number) => rows.reduce((sum, [x, y]) => sum + of(x, y), 0);
  const [xx, xy, yy] = [total((x) => x * x), total((x, y) => x * y), total((_, y) => y * y)];
  const [x, y] = [total((x) => x), total((_, y) => y)];
  const [alpha, beta] = [(x * yy - y * xy) / (xx * yy - xy * xy), (y * xx - x * xy) / (xx * yy - xy * xy)];
  if (alpha < 0) return { alpha: 0, beta: y / yy };
  if (beta < 0) return { alpha: x / xx, beta: 0 };
  return { alpha, beta };
}

/** Microseconds. */
export function predict(ranges: readonly Range[], { ranks, bytes }: Omit<Sum, 'us'>): number {
  const { messages, sent } = trafficOf(ranks, bytes);
  const { alpha, beta } = ranges.find(({ most }) => bytes <= most) as Range; // the last one has all
  return messages * alpha + sent * beta;
}

/** A network between machines; its numbers are assumed, not measured. */
export interface Network {
  readonly name: string;
  /** Microseconds of a message. */
  readonly alpha: number;
  /** Bytes a microsecond. */
  readonly bandwidth: number;
}

export const networks: readonly Network[] = [
  { name: '10 GbE, TCP', alpha: 30, bandwidth: 1100 },
  { name: '25 GbE, RoCE', alpha: 8, bandwidth: 2800 },
  { name: '100 Gb InfiniBand', alpha: 3, bandwidth: 11_500 },
];

/** What a rank does by itself, in microseconds a parameter. */
export interface Own {
  /** The update. */
  readonly update: number;
  /** The rest: into buckets, and out of them. */
  readonly rest: number;
}

export interface Projection {
  /** Milliseconds of all messages, of all bytes, and of the rank's own work. */
  readonly latency: number;
  readonly transfer: number;
  readonly own: number;
}

/**
 * A step without overlap: for every bucket a handshake, or two where the state is shared, a part of its gradients to every rank, and one
 * of what comes of them to all.
 *
 * @param bucket bytes
 */
export function project(
  { alpha, bandwidth }: Network,
  { update, rest }: Own,
  {
    ranks,
    parameters,
    bucket,
    sharded,
  }: Readonly<Record<'ranks' | 'parameters' | 'bucket', number>> & { sharded: boolean },
): Projection {
  const bytes = 4 * parameters;
  const messages = Math.ceil(bytes / bucket) * (sharded ? 4 : 3) * (ranks - 1);
  return {
    latency: (messages * alpha) / 1000,
    transfer: (2 * (ranks - 1) * bytes) / ranks / bandwidth / 1000,
    own: (parameters * (rest + (sharded ? update / ranks : update))) / 1000,
  };
}
