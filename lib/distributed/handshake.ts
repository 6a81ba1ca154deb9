// What every rank says of a collective before it begins, and what it means that they differ.
import { elementNames, type Element } from './data.ts';
import { kHandshake } from './transport.ts';

/** The collectives; the order is part of the handshake. */
export const operations = ['barrier', 'allReduce', 'reduceScatter', 'allGather', 'broadcast', 'close'] as const;
export type Operation = (typeof operations)[number];

/** What a rank asks for. */
export interface Request {
  readonly op: Operation;
  /** From 1. */
  readonly sequence: number;
  readonly element: Element;
  /** Elements of what is moved: of the whole, where there are shards. */
  readonly length: number;
  readonly root: number;
  /** Summands of all ranks; 0 where nothing is added. */
  readonly leaves: number;
  readonly layout: bigint;
  /** Whether the rank cannot take part; `poisoned`: it has not done a step that others may have done. */
  readonly failed: boolean | 'poisoned';
}

const fails = [false, true, 'poisoned'] as const; // by their number in the handshake
const kVersion = 0x4b4f4302; // of the handshake and of the order of messages that follows it

/** Message of a rank, in the same memory every time. */
export class Message {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  /** `payload`: bytes at most. */
  constructor(payload: number) {
    this.#bytes = new Uint8Array(kHandshake + payload);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** A request, with room for so many bytes behind it. */
  write(request: Request, payload: number): Uint8Array {
    encode(request, this.#view);
    return this.#bytes.subarray(0, kHandshake + payload);
  }
}

/** Little-endian, so that ranks may be different machines. */
function encode(request: Request, view: DataView): void {
  view.setUint32(0, kVersion, true);
  view.setUint8(4, operations.indexOf(request.op));
  view.setUint8(5, elementNames.indexOf(request.element));
  view.setUint8(6, fails.indexOf(request.failed));
  view.setFloat64(8, request.sequence, true);
  view.setFloat64(16, request.length, true);
  view.setUint32(24, request.root, true);
  view.setUint32(28, request.leaves, true);
  view.setBigUint64(32, request.layout, true);
}

/** Undefined for bytes of another version. */
function decode(bytes: Uint8Array): Request | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, kHandshake);
  const [op, element] = [operations[view.getUint8(4)], elementNames[view.getUint8(5)]];
  if (view.getUint32(0, true) !== kVersion || op === undefined || element === undefined) return undefined;
  return {
    op,
    element,
    failed: fails[view.getUint8(6)] ?? true,
    sequence: view.getFloat64(8, true),
    length: view.getFloat64(16, true),
    root: view.getUint32(24, true),
    leaves: view.getUint32(28, true),
    layout: view.getBigUint64(32, true),
  };
}

/** Who differs, and in which words. */
export interface Mismatch {
  readonly suspects: readonly number[];
  readonly message: string;
  /** Whether one of them has not done a step that others may have done. */
  readonly poisoned: boolean;
  /** Whether one of them closes the communicator. */
  readonly closes: boolean;
}

/** Undefined if all ranks ask for the same. The same on all ranks, since all see the same bytes. */
export function mismatchOf(words: readonly Uint8Array[]): Mismatch | undefined {
  const [first = new Uint8Array(0)] = words;
  if (words.every((bytes) => areSame(bytes, first)) && decode(first)?.failed === false) return undefined;
  const requests = words.map(decode);
  const ranks = new Map<string, number[]>();
  requests.forEach((request, rank) => {
    const said = spell(request, requests);
    ranks.set(said, [...(ranks.get(said) ?? []), rank]);
  });
  // those who have failed differ, however many they are; else the fewest do
  const groups = [...ranks].sort(
    ([a, x], [b, y]) => Number(a === kFailed) - Number(b === kFailed) || y.length - x.length,
  );
  const suspects = groups.slice(groups[0]?.[0] === kFailed ? 0 : 1).flatMap(([, list]) => list);
  const message = groups
    .map(([said, list]) => `rank${list.length > 1 ? 's' : ''} ${list.join(', ')}: ${said}`)
    .join('; ');
  const poisoned = requests.some((request) => request?.failed === 'poisoned');
  const closes = requests.some((request) => request?.op === 'close');
  return { suspects: suspects.sort((a, b) => a - b), message, poisoned, closes };
}

function areSame(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < kHandshake; i++) if (a[i] !== b[i]) return false;
  return true;
}

const kFailed = 'failed before it';

/** A request in words, with what not all of them have in common. */
function spell(request: Request | undefined, all: readonly (Request | undefined)[]): string {
  if (request === undefined) return 'speaks another version of this package';
  if (request.failed) return kFailed;
  const rest = all.filter((one) => one !== undefined && !one.failed) as Request[];
  const differ = (key: keyof Request) => rest.some((one) => one[key] !== request[key]);
  const { op, length, element, root, leaves, layout, sequence } = request;
  const what = op === 'barrier' || op === 'close' ? op : `${op} of ${length} ${element}`;
  const further = [
    differ('root') && op === 'broadcast' && ` from rank ${root}`,
    differ('leaves') && leaves > 0 && ` with ${leaves} summands`,
    differ('layout') && ` with layout ${layout.toString(16).padStart(16, '0')}`,
    differ('sequence') && ` as number ${sequence}`,
  ];
  return what + further.filter((part) => part !== false).join('');
}
