// The King James Bible of 1769, which the package kjv brings along: 31,102 verses as numbers of words.
import { createRequire } from 'node:module';

const kRare = 5; // words that occur less often are left out
const kHeldOut = 20; // one verse of so many is not trained on

export interface Corpus {
  /** The words, the most frequent first; a word's place is its number. */
  readonly words: readonly string[];
  /** How often each of them occurs. */
  readonly counts: readonly number[];
  /** Verses to train on, and verses to test on: numbers of words. */
  readonly train: readonly Uint32Array[];
  readonly test: readonly Uint32Array[];
}

/** The first `limit` verses. */
export function loadCorpus(limit = Infinity): Corpus {
  const texts = createRequire(import.meta.url)('kjv/json/verses-1769.json') as Readonly<Record<string, string>>;
  const verses = Object.values(texts)
    .slice(0, limit)
    .map((text) => text.toLowerCase().match(/[a-z]+/g) ?? []);
  const frequent = [...countsOf(verses.flat())].filter(([, count]) => count >= kRare).sort(([, a], [, b]) => b - a);
  const places = new Map(frequent.map(([word], place) => [word, place]));
  const numbered = verses.map((verse) => Uint32Array.from(verse.flatMap((word) => places.get(word) ?? [])));
  return {
    words: frequent.map(([word]) => word),
    counts: frequent.map(([, count]) => count),
    train: numbered.filter((_, i) => i % kHeldOut > 0),
    test: numbered.filter((_, i) => i % kHeldOut === 0),
  };
}

function countsOf(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}
