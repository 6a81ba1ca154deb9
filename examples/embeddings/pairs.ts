// What skip-gram learns from, arxiv.org/abs/1310.4546: pairs of a word and one beside it, each with words that stand there by
// chance.
import { permutation } from '../random.ts';
import type { Corpus } from './corpus.ts';

const kWindow = 5; // words to the left and to the right, at most
const kFrequent = 1e-3; // words with a larger share of the text are left out now and then

export interface Batch {
  /** One for each pair. */
  readonly words: Uint32Array;
  /** For each pair the word beside, then `kNegatives` others. */
  readonly contexts: Uint32Array;
}
export const kNegatives = 5;
export const kContexts = 1 + kNegatives; // of a pair

/** Draws pairs from a corpus. Equal `random` means equal pairs. */
export class Pairs {
  readonly #random: () => number;
  readonly #kept: readonly number[]; // how likely each word is kept
  readonly #noise: Uint32Array; // each word as often as its count^0.75

  constructor({ counts }: Corpus, random: () => number) {
    const total = counts.reduce((sum, count) => sum + count);
    this.#random = random;
    this.#kept = counts.map((count) => Math.min(1, Math.sqrt((kFrequent * total) / count)));
    this.#noise = Uint32Array.from(counts.flatMap((count, word) => Array<number>(Math.ceil(count ** 0.75)).fill(word)));
  }

  /** All verses once in random order, `size` pairs at a time; what is left over is less than a batch, and dropped. */
  *batches(verses: readonly Uint32Array[], size: number): Generator<Batch> {
    let pairs: [number, number][] = [];
    for (const verse of permutation(verses.length, this.#random)) {
      pairs.push(...this.#pairsOf(verses[verse] as Uint32Array));
      while (pairs.length >= size) {
        yield this.#batchOf(pairs.slice(0, size));
        pairs = pairs.slice(size);
      }
    }
  }

  #pairsOf(verse: Uint32Array): [number, number][] {
    const kept = verse.filter((word) => this.#random() < (this.#kept[word] as number));
    const pairs: [number, number][] = [];
    kept.forEach((word, i) => {
      const window = 1 + Math.floor(this.#random() * kWindow); // near words more often than far ones
      for (let j = Math.max(0, i - window); j <= Math.min(kept.length - 1, i + window); j++)
        if (j !== i) pairs.push([word, kept[j] as number]);
    });
    return pairs;
  }

  #batchOf(pairs: readonly [number, number][]): Batch {
    const contexts = new Uint32Array(pairs.length * kContexts);
    pairs.forEach(([, context], i) => {
      contexts[i * kContexts] = context;
      for (let k = 1; k < kContexts; k++)
        contexts[i * kContexts + k] = this.#noise[Math.floor(this.#random() * this.#noise.length)] as number;
    });
    return { words: Uint32Array.from(pairs, ([word]) => word), contexts };
  }
}
