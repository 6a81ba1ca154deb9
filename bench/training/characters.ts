// A text by characters: the English sentences in the comments of TypeScript's lib.dom.d.ts, which the lock file pins, each
// line once.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export interface Text {
  /** Every character as a number below `characters.length`. */
  readonly train: Uint8Array;
  /** Blocks of the text from all over it, which training never sees. */
  readonly heldOut: Uint8Array;
  readonly characters: readonly string[];
}

const kBlock = 4096; // characters
const kHeldOut = 10; // one block of so many

/** The lines of comments, without their links. */
function sentences(): string {
  const source = readFileSync(createRequire(import.meta.url).resolve('typescript/lib/lib.dom.d.ts'), 'utf8');
  const lines = source.match(/(?<=^ *\* )(?!\[MDN)[ -~]{20,}$/gm) ?? []; // ASCII only
  return [...new Set(lines)].join('\n');
}

export function loadText(): Text {
  const text = sentences();
  const characters = [...new Set(text)].sort();
  const numbers = Uint8Array.from(text, (character) => characters.indexOf(character));
  const blocks = Array.from({ length: Math.floor(text.length / kBlock) }, (_, i) => i);
  const collect = (wanted: (block: number) => boolean) =>
    Uint8Array.from(blocks.filter(wanted).flatMap((i) => [...numbers.subarray(i * kBlock, (i + 1) * kBlock)]));
  const isHeldOut = (block: number) => block % kHeldOut === kHeldOut - 1;
  return { train: collect((block) => !isHeldOut(block)), heldOut: collect(isHeldOut), characters };
}
