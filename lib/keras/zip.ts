// The members of a .keras file, which is a ZIP archive: found by its directory, bounded before anything is allocated, and checked by
// their CRC. The name of a member is never a path. APPNOTE.TXT of PKWARE has the format.
import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';

import { refusal } from './refusal.ts';
import { allOf, bytesSource, piecesOf, type Source } from './source.ts';

/** A member as the directory describes it. */
export interface Member {
  readonly name: string;
  /** 0: as it is; 8: deflated. */
  readonly method: number;
  readonly crc: number;
  /** Bytes in the archive. */
  readonly packed: number;
  /** Bytes of its content. */
  readonly size: number;
  /** Where the bytes begin. */
  readonly begin: number;
  /** Time and date, flags, and what the directory says beside. */
  readonly time: number;
  readonly date: number;
  readonly utf8: boolean;
  readonly attributes: number;
}

/** A part of a source by its place. */
export type PartOf = (begin: number, length: number) => Source;

export const kinds = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50 } as const;
const kEnd = 22; // bytes of the end record, before its comment
const kCentral = 46; // bytes of an entry of the directory, before its name
export const kLocal = 30;
const kLong = 0xffffffff; // stands for a size in ZIP64
const kDeflated = 8;
const kEncrypted = 1;
const kUtf8 = 1 << 11;
const kFree = 1 << 26; // 64 MiB: content may have that size however small its packed form is
const kExpansion = 100; // as Keras allows

/** The members of an archive by their names, in the order of the directory. */
export async function membersOf(path: string, source: Source, partOf: PartOf): Promise<Map<string, Member>> {
  const { count, begin, length } = await findDirectory(path, source, partOf);
  const bytes = await allOf(partOf(begin, length));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const members = new Map<string, Member>();
  let position = 0;
  for (let i = 0; i < count; i++) {
    const { entry, offset, end } = entryAt(path, view, position, i);
    if (members.has(entry.name)) throw refusal('ERR_CKPT_LAYOUT', path, 'each member once', `"${entry.name}" again`);
    members.set(entry.name, { ...entry, begin: await beginOf(path, entry, offset, begin, partOf) });
    position = end;
  }
  checkApart(path, [...members.values()]);
  return members;
}

async function findDirectory(path: string, source: Source, partOf: PartOf) {
  const length = Math.min(source.length, kEnd + 0xffff);
  const bytes = await allOf(partOf(source.length - length, length));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = bytes.length - kEnd; i >= 0; i--) {
    if (view.getUint32(i, true) !== kinds.end || i + kEnd + view.getUint16(i + 20, true) !== bytes.length) continue;
    const [count, size, begin] = [
      view.getUint16(i + 10, true),
      view.getUint32(i + 12, true),
      view.getUint32(i + 16, true),
    ];
    if (begin === kLong || count === 0xffff)
      throw refusal('ERR_CKPT_LAYOUT', path, 'an archive of less than 4 GiB', 'ZIP64');
    if (begin + size !== source.length - length + i || count * kCentral > size)
      throw refusal('ERR_CKPT_LAYOUT', path, `a directory of ${size} bytes at ${begin}`, `a file of ${source.length}`);
    return { count, begin, length: size };
  }
  throw refusal('ERR_CKPT_FORMAT', path, 'a ZIP archive, as .keras files are', 'none');
}

function entryAt(path: string, view: DataView, at: number, index: number) {
  const broken = (got: string) => refusal('ERR_CKPT_LAYOUT', path, `entry ${index} of its directory to be whole`, got);
  if (at + kCentral > view.byteLength || view.getUint32(at, true) !== kinds.central) throw broken('something else');
  const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
  const lengths = [28, 30, 32].map((place) => view.getUint16(at + place, true)) as [number, number, number];
  const nameEnd = at + kCentral + lengths[0];
  const end = nameEnd + lengths[1] + lengths[2];
  if (end > view.byteLength) throw broken('its end');
  const name = nameOf(view, at + kCentral, lengths[0]);
  if ((flags & kEncrypted) !== 0 || (method !== 0 && method !== kDeflated))
    throw refusal('ERR_CKPT_LAYOUT', path, `member "${name}" to be stored or deflated`, `method ${method}`);
  const [crc, packed, size] = [16, 20, 24].map((place) => view.getUint32(at + place, true)) as [number, number, number];
  const offset = view.getUint32(at + 42, true);
  if ([packed, size, offset].includes(kLong))
    throw refusal('ERR_CKPT_LAYOUT', path, `member "${name}" to have less than 4 GiB`, 'ZIP64');
  if (method === 0 && packed !== size) throw broken(`${packed} bytes of ${size}`);
  const [time, date] = [view.getUint16(at + 12, true), view.getUint16(at + 14, true)];
  const own = { time, date, utf8: (flags & kUtf8) !== 0, attributes: view.getUint32(at + 38, true) };
  return { entry: { name, method, crc, packed, size, ...own }, offset, end };
}

const nameOf = (view: DataView, begin: number, length: number): string =>
  new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset + begin, length));

/** Where the bytes of a member begin, behind its own header. */
async function beginOf(
  path: string,
  { name, packed, method }: Omit<Member, 'begin'>,
  offset: number,
  directory: number,
  partOf: PartOf,
): Promise<number> {
  const broken = () => refusal('ERR_CKPT_LAYOUT', path, `member "${name}" to begin at ${offset}`, 'something else');
  if (offset + kLocal > directory) throw broken();
  const bytes = await allOf(partOf(offset, kLocal));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const begin = offset + kLocal + view.getUint16(26, true) + view.getUint16(28, true);
  if (view.getUint32(0, true) !== kinds.local || view.getUint16(8, true) !== method || begin + packed > directory)
    throw broken();
  const own = await allOf(partOf(offset + kLocal, view.getUint16(26, true)));
  if (new TextDecoder().decode(own) !== name) throw broken();
  return begin;
}

function checkApart(path: string, members: readonly Member[]): void {
  const sorted = [...members].sort((a, b) => a.begin - b.begin);
  sorted.forEach((member, i) => {
    const next = sorted[i + 1];
    if (next !== undefined && member.begin + member.packed > next.begin)
      throw refusal(
        'ERR_CKPT_LAYOUT',
        path,
        'members that lie apart',
        `"${member.name}" and "${next.name}" in one another`,
      );
  });
}

/** A member's content, of at most `most` bytes, its CRC checked; what is stored is not copied. */
export async function contentOf(path: string, member: Member, most: number, partOf: PartOf): Promise<Source> {
  const { name, size, packed, method } = member;
  if (size > most || (size > kFree && size > kExpansion * packed))
    throw refusal('ERR_CKPT_LAYOUT', path, `member "${name}" to have at most ${most} bytes`, `${size} from ${packed}`);
  const stored = partOf(member.begin, packed);
  const content = method === 0 ? stored : bytesSource(await inflated(path, member, await allOf(stored)));
  let crc = 0;
  for await (const piece of piecesOf(content)) crc = crc32(piece, crc);
  if (crc !== member.crc)
    throw refusal('ERR_CKPT_HASH', path, `member "${name}" to have CRC ${member.crc}`, `${crc}: it was altered`);
  return content;
}

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Uint8Array>(inflateRaw);

async function inflated(path: string, { name, size }: Member, packed: Uint8Array): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await inflate(packed, { maxOutputLength: Math.max(1, size) });
  } catch (cause) {
    throw refusal('ERR_CKPT_HASH', path, `member "${name}" to inflate to ${size} bytes`, 'something else', cause);
  }
  if (bytes.length === size) return bytes;
  throw refusal('ERR_CKPT_LAYOUT', path, `member "${name}" to have ${size} bytes`, `${bytes.length}`);
}
