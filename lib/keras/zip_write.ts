// A ZIP archive with the members of another one, some of them replaced: those are stored, all others go over byte by byte.
import { crc32 } from 'node:zlib';

import type { Output } from '../checkpoint/atomic.ts';
import { piecesOf } from './source.ts';
import { kinds, type Member, type PartOf } from './zip.ts';

const kVersion = 20; // of the format, for folders and deflated members
const kUtf8 = 1 << 11;

/** Writes the archive. */
export async function writeArchive(
  output: Output,
  members: ReadonlyMap<string, Member>,
  replaced: ReadonlyMap<string, Uint8Array>,
  partOf: PartOf,
): Promise<void> {
  let position = 0;
  const entries: Uint8Array[] = [];
  for (const member of members.values()) {
    const bytes = replaced.get(member.name);
    const size = bytes?.length ?? 0;
    const now = bytes === undefined ? member : { ...member, method: 0, crc: crc32(bytes), packed: size, size };
    const header = headerOf(now);
    entries.push(entryOf(now, position));
    await output.write(header);
    if (bytes !== undefined) await output.write(bytes);
    else for await (const piece of piecesOf(partOf(member.begin, member.packed))) await output.write(piece);
    position += header.length + now.packed;
  }
  const directory = Buffer.concat(entries);
  await output.write(directory);
  await output.write(endOf(entries.length, directory.length, position));
}

const flagsOf = ({ utf8 }: Member): number => (utf8 ? kUtf8 : 0);

/** What the header of a member and its entry in the directory have in common. */
function common({ method, time, date, crc, packed, size, name }: Member, flags: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(kVersion, 0);
  fields.writeUInt16LE(flags, 2);
  fields.writeUInt16LE(method, 4);
  fields.writeUInt16LE(time, 6);
  fields.writeUInt16LE(date, 8);
  fields.writeUInt32LE(crc, 10);
  fields.writeUInt32LE(packed, 14);
  fields.writeUInt32LE(size, 18);
  fields.writeUInt16LE(Buffer.byteLength(name), 22);
  return fields;
}

function headerOf(member: Member): Buffer {
  const kind = Buffer.alloc(4);
  kind.writeUInt32LE(kinds.local, 0);
  return Buffer.concat([kind, common(member, flagsOf(member)), Buffer.from(member.name)]);
}

function entryOf(member: Member, position: number): Buffer {
  const start = Buffer.alloc(6);
  start.writeUInt32LE(kinds.central, 0);
  start.writeUInt16LE((3 << 8) | kVersion, 4); // with the attributes of Unix
  const end = Buffer.alloc(14);
  end.writeUInt32LE(member.attributes, 6);
  end.writeUInt32LE(position, 10);
  return Buffer.concat([start, common(member, flagsOf(member)), end, Buffer.from(member.name)]);
}

function endOf(count: number, length: number, position: number): Buffer {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(kinds.end, 0);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(length, 12);
  end.writeUInt32LE(position, 16);
  return end;
}
