// Trains word vectors with an optimizer. Equal options mean equal vectors in the beginning, and equal batches.
import type { Optimizer } from 'keras-optimizers';

import type { Point } from '../../lib/charts/lines.ts';
import { mulberry32 } from '../random.ts';
import type { Corpus } from './corpus.ts';
import { Pairs } from './pairs.ts';
import { SkipGram } from './skip_gram.ts';

export interface Settings {
  readonly epochs: number;
  readonly batchSize: number; // pairs
  readonly dimensions: number;
  readonly seed: number;
}

export interface Training {
  /** The optimizer's class. */
  readonly name: string;
  readonly rate: number;
  /** Mean loss of the held-out pairs over epochs. */
  readonly losses: readonly Point[];
  /** Median time of the optimizer's step, after the gradients are there. */
  readonly microseconds: number;
  /** Mean share of the rows that a step has a gradient for, of both variables together. */
  readonly share: number;
  /** The words' vectors. */
  readonly vectors: Float32Array;
}

export function train(
  corpus: Corpus,
  optimizer: Optimizer,
  { epochs, batchSize, dimensions, seed }: Settings,
): Training {
  const random = mulberry32(seed);
  const model = new SkipGram(corpus.words.length, dimensions, random);
  const pairs = new Pairs(corpus, random);
  const test = [...new Pairs(corpus, mulberry32(seed)).batches(corpus.test, batchSize)];
  const lossOfTest = () => mean(test.map((batch) => model.run(batch).loss));
  const [name, rate] = [optimizer.constructor.name, optimizer.learning_rate];
  const losses: Point[] = [[0, lossOfTest()]];
  const [times, shares]: [number[], number[]] = [[], []];
  optimizer.build(model.variables);
  for (let epoch = 1; epoch <= epochs; epoch++) {
    for (const batch of pairs.batches(corpus.train, batchSize)) {
      const { gradients } = model.run(batch);
      const start = performance.now();
      optimizer.apply(gradients);
      times.push(1000 * (performance.now() - start));
      shares.push((new Set(batch.words).size + new Set(batch.contexts).size) / (2 * corpus.words.length));
    }
    const loss = lossOfTest();
    losses.push([epoch, loss]);
    console.log(`${name}, epoch ${epoch}/${epochs} - held-out loss: ${loss.toFixed(4)}`);
  }
  return { name, rate, losses, microseconds: median(times), share: mean(shares), vectors: model.words.value };
}

const mean = (list: readonly number[]): number => list.reduce((sum, x) => sum + x, 0) / list.length;
const median = (list: readonly number[]): number => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? NaN;
