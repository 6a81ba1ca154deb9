// Damages files: as a disk or a transfer does, and as somebody does who knows the format.
import type { Random } from '../random.ts';

/** A damage: the new bytes. */
export type Mutation = (bytes: Buffer, next: Random, region: Region) => Buffer;

/** Where a damage begins: in all of the file, or in what describes the rest. */
export type Region = (bytes: Buffer, next: Random) => number;

export const below = (next: Random, most: number): number => Math.floor(next() * most);
export const oneOf = <T>(next: Random, list: readonly T[]): T => list[below(next, list.length)] as T;

const anywhere: Region = (bytes, next) => below(next, bytes.length);

/** Positions where one of these signatures is, and some bytes behind it. */
const near =
  (signatures: readonly string[], reach: number): Region =>
  (bytes, next) => {
    const from = below(next, bytes.length);
    const found = signatures.map((signature) => bytes.indexOf(signature, from, 'latin1')).filter((at) => at >= 0);
    const at = found.length === 0 ? 0 : Math.min(...found);
    return Math.min(bytes.length - 1, at + below(next, reach));
  };

/** The regions of each format; what describes the rest comes more often than the rest. */
export const regions = {
  safetensors: [anywhere, (_, next) => below(next, 8), (bytes, next) => below(next, Math.min(3000, bytes.length))],
  zip: [anywhere, near(['PK\x01\x02', 'PK\x03\x04'], 46), near(['PK\x05\x06'], 22), near(['PK\x01\x02'], 80)],
  h5: [
    anywhere,
    (_, next) => below(next, 96), // the superblock
    near(['TREE', 'SNOD'], 200),
    near(['HEAP'], 120),
    near(['GCOL'], 64),
    near(['\x01\0\x06\0', '\x01\0\x05\0', '\x01\0\x04\0', '\x01\0\x03\0', '\x11\0\x10\0'], 160), // object headers, messages
  ],
} as const satisfies Readonly<Record<string, readonly Region[]>>;
export type FormatName = keyof typeof regions;

const copy = (bytes: Buffer): Buffer => Buffer.from(bytes);
const lengthOf = (next: Random, bytes: Buffer): number => 1 + below(next, oneOf(next, [4, 16, 64, bytes.length]));

function flip(bytes: Buffer, next: Random, region: Region): Buffer {
  const flipped = copy(bytes);
  for (let count = oneOf(next, [1, 1, 1, 2, 8]); count > 0; count--) {
    const at = region(bytes, next);
    flipped[at] = (flipped[at] as number) ^ (1 << below(next, 8));
  }
  return flipped;
}

function setByte(bytes: Buffer, next: Random, region: Region): Buffer {
  const changed = copy(bytes);
  changed[region(bytes, next)] = oneOf(next, [0, 1, 0x7f, 0x80, 0xff, below(next, 256)]);
  return changed;
}

/** A number of 2, 4 or 8 bytes that lies. */
function setField(bytes: Buffer, next: Random, region: Region): Buffer {
  const changed = copy(bytes);
  const size = oneOf(next, [2, 4, 8]);
  const at = Math.min(Math.max(0, bytes.length - size), region(bytes, next));
  const values = [
    0n,
    1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
    BigInt(bytes.length + below(next, 3) - 1),
  ];
  const value = oneOf(next, [...values, BigInt(below(next, 2 ** 32)), BigInt(below(next, 300))]);
  for (let i = 0; i < size && at + i < changed.length; i++) changed[at + i] = Number((value >> BigInt(8 * i)) & 255n);
  return changed;
}

const truncate = (bytes: Buffer, next: Random, region: Region): Buffer => {
  const end = oneOf(next, [region(bytes, next), below(next, bytes.length), bytes.length - 1 - below(next, 64)]);
  return copy(bytes.subarray(0, Math.max(0, end)));
};

function insert(bytes: Buffer, next: Random, region: Region): Buffer {
  const at = oneOf(next, [region(bytes, next), bytes.length]);
  const fill = oneOf(next, [0, 0xff, 0x20, below(next, 256)]);
  return Buffer.concat([bytes.subarray(0, at), Buffer.alloc(lengthOf(next, bytes), fill), bytes.subarray(at)]);
}

function remove(bytes: Buffer, next: Random, region: Region): Buffer {
  const at = region(bytes, next);
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + lengthOf(next, bytes))]);
}

function fill(bytes: Buffer, next: Random, region: Region): Buffer {
  const at = region(bytes, next);
  return copy(bytes).fill(oneOf(next, [0, 0xff]), at, Math.min(bytes.length, at + lengthOf(next, bytes)));
}

/** A part over another one. */
function overwrite(bytes: Buffer, next: Random, region: Region): Buffer {
  const changed = copy(bytes);
  const from = region(bytes, next);
  bytes.copy(changed, region(bytes, next), from, from + lengthOf(next, bytes));
  return changed;
}

function swap(bytes: Buffer, next: Random, region: Region): Buffer {
  const length = Math.min(lengthOf(next, bytes), bytes.length >> 1);
  const [a = 0, b = 0] = [region(bytes, next), region(bytes, next)].sort((x, y) => x - y);
  const end = Math.min(b, a + length);
  const part = (begin: number, to: number) => bytes.subarray(begin, to);
  return Buffer.concat([part(0, a), part(b, b + end - a), part(end, b), part(a, end), part(b + end - a, bytes.length)]);
}

export const mutations: Readonly<Record<string, Mutation>> = {
  flip,
  setByte,
  setField,
  truncate,
  insert,
  remove,
  fill,
  overwrite,
  swap,
};

const lies = [
  '0',
  '-1',
  '1e308',
  '-0',
  '9007199254740993',
  '18446744073709551616',
  '0.5',
  'null',
  'true',
  '"x"',
  '[]',
  '{}',
  '[[[[[[[[]]]]]]]]',
  '{"__proto__":{"polluted":1}}',
  '{"class_name":"Nadam","config":{}}',
  '{"class_name":"__lambda__","config":{"value":"x"}}',
];
const keys = [
  '__proto__',
  'constructor',
  'toString',
  'name',
  'config',
  'class_name',
  'shape',
  '',
  'learning_rate',
  '\\u0000',
];

/** A text of JSON that says something else, and mostly still is JSON. */
export function lyingText(text: string, next: Random): string {
  const [pattern, replacement] = oneOf(next, [
    [/(?<=[:[,])-?\d+(\.\d+)?(e-?\d+)?/g, () => oneOf(next, lies)],
    [/(?<=[:[,])(null|true|false|"[^"\\]*")/g, () => oneOf(next, lies)],
    [/"[^"\\]*"(?=:)/g, () => `"${oneOf(next, keys)}"`],
    [/\{[^{}]*\}|\[[^[\]]*\]/g, () => oneOf(next, lies)],
    [/\[[^[\]]*\]/g, (found: string) => (found.length > 2 ? `${found.slice(0, -1)},${oneOf(next, lies)}]` : '[1]')],
    [/"[^"\\]*":/g, (found: string) => `${found}null,${found}`],
    [/,"[^"\\]*":("[^"\\]*"|[\d.e-]+|null|true|false)/g, () => ''],
  ] as const satisfies readonly (readonly [RegExp, (found: string) => string])[]);
  const found = [...text.matchAll(pattern)];
  if (found.length === 0) return `${text} `;
  const { 0: match, index } = oneOf(next, found);
  return text.slice(0, index) + replacement(match) + text.slice(index + match.length);
}
