// Which words have vectors of nearly the same direction.
import type { Corpus } from './corpus.ts';

/** The `count` words nearest to `word`, by the cosine; none for a word that is not known. */
export function nearest({ words }: Corpus, values: Float32Array, word: string, count: number): string[] {
  const own = words.indexOf(word);
  if (own < 0) return [];
  const length = values.length / words.length;
  const vectors = words.map((_, i) => values.subarray(i * length, (i + 1) * length));
  const cosines = vectors.map((vector) => dot(vector, vectors[own] as Float32Array) / Math.sqrt(dot(vector, vector)));
  return words
    .map((_, i) => i)
    .filter((i) => i !== own)
    .sort((i, j) => (cosines[j] as number) - (cosines[i] as number))
    .slice(0, count)
    .map((i) => words[i] as string);
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
