// Skip-gram with negative sampling, arxiv.org/abs/1310.4546: every word has a vector as a word and one as a context, whose
// product says whether they stand beside each other.
import { IndexedSlices, Variable } from 'keras-optimizers';

import { kContexts, type Batch } from './pairs.ts';

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

export class SkipGram {
  readonly words: Variable<Float32Array>;
  readonly contexts: Variable<Float32Array>;
  readonly #dimensions: number;

  constructor(count: number, dimensions: number, random: () => number) {
    const shape = [count, dimensions];
    const values = Float32Array.from({ length: count * dimensions }, () => (random() - 0.5) / dimensions);
    this.words = new Variable(values, { shape, name: 'embedding/words' });
    this.contexts = new Variable(new Float32Array(count * dimensions), { shape, name: 'embedding/contexts' });
    this.#dimensions = dimensions;
  }

  get variables(): readonly Variable[] {
    return [this.words, this.contexts];
  }

  /** Mean loss of the pairs of a batch, and the gradients of their sum: a row for every word that occurs, as often as it does. */
  run({ words, contexts }: Batch): { readonly loss: number; readonly gradients: IndexedSlices[] } {
    const d = this.#dimensions;
    const [dWords, dContexts] = [new Float32Array(words.length * d), new Float32Array(contexts.length * d)];
    let loss = 0;
    contexts.forEach((context, i) => {
      const pair = Math.floor(i / kContexts);
      const [from, to] = [(words[pair] as number) * d, context * d];
      const beside = i % kContexts === 0;
      const p = sigmoid(product(this.words.value, from, this.contexts.value, to, d));
      loss -= Math.log(Math.max(beside ? p : 1 - p, 1e-12));
      const slope = p - Number(beside);
      add(slope, this.contexts.value, to, dWords, pair * d, d);
      add(slope, this.words.value, from, dContexts, i * d, d);
    });
    const { shape } = this.words;
    const gradients = [new IndexedSlices(dWords, words, shape), new IndexedSlices(dContexts, contexts, shape)];
    return { loss: loss / words.length, gradients };
  }
}

function product(a: Float32Array, i: number, b: Float32Array, j: number, length: number): number {
  let sum = 0;
  for (let k = 0; k < length; k++) sum += (a[i + k] as number) * (b[j + k] as number);
  return sum;
}

/** to[j] += weight from[i], for `length` elements from two offsets on. */
function add(weight: number, from: Float32Array, i: number, to: Float32Array, j: number, length: number): void {
  for (let k = 0; k < length; k++) to[j + k] = (to[j + k] as number) + weight * (from[i + k] as number);
}
