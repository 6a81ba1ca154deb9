// A decoder-only transformer over characters, about a million parameters: TensorFlow.js computes loss and gradients, its
// WebAssembly backend the products.
import * as tf from '@tensorflow/tfjs-core';
import { Variable } from 'keras-optimizers';
import {
  applied,
  crossEntropy,
  differentiate,
  lossAt,
  product,
  repeated,
  transposed,
  type Weights,
} from './tensors.ts';

export interface Shape {
  readonly characters: number;
  /** Characters that it sees at once. */
  readonly context: number;
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
}

/** Sequences of context + 1 characters, one after the other: each is predicted from those before it. */
export type Sequences = Uint8Array;

function normalized(x: tf.Tensor2D, gain: tf.Tensor2D): tf.Tensor2D {
  const scale = tf.rsqrt(tf.add(tf.mean(tf.square(x), 1, true), 1e-5)); // Zhang and Sennrich 2019
  return tf.mul(tf.mul(x, scale), repeated(gain, x.shape[0]));
}

const dense = (x: tf.Tensor2D, kernel: tf.Tensor2D, bias: tf.Tensor2D): tf.Tensor2D =>
  tf.add(product(x, kernel), repeated(bias, x.shape[0]));

export class Transformer {
  readonly variables: readonly Variable<Float32Array>[];
  readonly #shape: Shape;

  constructor(shape: Shape, random: () => number) {
    this.#shape = shape;
    this.variables = shapesOf(shape).map(([name, rows, columns]) => {
      const limit = Math.sqrt(6 / (rows + columns)); // Glorot and Bengio 2010
      const value =
        { gain: () => 1, bias: () => 0 }[name.split('/').at(-1) as string] ?? (() => limit * (2 * random() - 1));
      return new Variable(Float32Array.from({ length: rows * columns }, value), { shape: [rows, columns], name });
    });
  }

  /** Mean loss, in nats a character. */
  loss(sequences: Sequences): number {
    return lossAt(this.variables, (weights) => this.#loss(sequences, weights));
  }

  /** The same; writes the gradients into the variables' `gradient`. */
  differentiate(sequences: Sequences): number {
    return differentiate(this.variables, (weights) => this.#loss(sequences, weights));
  }

  #loss(sequences: Sequences, weights: Weights): tf.Scalar {
    const { inputs, targets } = this.#oneHot(sequences);
    let x = applied(inputs, weights.embedding as tf.Tensor2D);
    for (let layer = 0; layer < this.#shape.layers; layer++) {
      const w = (name: string) => weights[`layer_${layer}/${name}`] as tf.Tensor2D;
      x = tf.add(x, this.#attention(normalized(x, w('attention/gain')), w));
      const hidden = tf.relu(dense(normalized(x, w('mlp/gain')), w('mlp/up'), w('mlp/up/bias')));
      x = tf.add(x, dense(hidden, w('mlp/down'), w('mlp/down/bias')));
    }
    const logits = dense(
      normalized(x, weights['head/gain'] as tf.Tensor2D),
      weights.head as tf.Tensor2D,
      weights['head/bias'] as tf.Tensor2D,
    );
    return crossEntropy(logits, targets);
  }

  #attention(x: tf.Tensor2D, w: (name: string) => tf.Tensor2D): tf.Tensor2D {
    const { context, width, heads } = this.#shape;
    const depth = width / heads;
    const batch = x.shape[0] / context;
    const [q, k, v] = ['query', 'key', 'value'].map((name) => {
      const y = tf.reshape(product(x, w(`attention/${name}`)), [batch, context, heads, depth]);
      return tf.reshape(tf.transpose(y, [0, 2, 1, 3]), [batch * heads, context, depth]);
    }) as [tf.Tensor3D, tf.Tensor3D, tf.Tensor3D];
    const scores = tf.mul(product(q, transposed(k)), 1 / Math.sqrt(depth));
    const y = product(tf.softmax(tf.add<tf.Tensor3D>(scores, futureMask(context))), v);
    const together = tf.transpose(tf.reshape(y, [batch, heads, context, depth]), [0, 2, 1, 3]);
    return product(tf.reshape(together, [batch * context, width]), w('attention/output'));
  }

  /** Two ones in a row of the inputs: its character and, behind the characters, its position. */
  #oneHot(sequences: Sequences): { readonly inputs: tf.Tensor2D; readonly targets: tf.Tensor2D } {
    const { characters, context } = this.#shape;
    const rows = (sequences.length / (context + 1)) * context;
    const columns = characters + context;
    const inputs = new Float32Array(rows * columns);
    const targets = new Float32Array(rows * characters);
    for (let row = 0; row < rows; row++) {
      const position = row % context;
      const place = row + Math.floor(row / context);
      inputs[row * columns + (sequences[place] as number)] = 1;
      inputs[row * columns + characters + position] = 1;
      targets[row * characters + (sequences[place + 1] as number)] = 1;
    }
    return { inputs: tf.tensor2d(inputs, [rows, columns]), targets: tf.tensor2d(targets, [rows, characters]) };
  }
}

/** Of every weight, in the order in which they are made. */
function shapesOf({ characters, context, width, layers }: Shape): [name: string, rows: number, columns: number][] {
  const layer = (i: number): [string, number, number][] => [
    [`layer_${i}/attention/gain`, 1, width],
    ...['query', 'key', 'value', 'output'].map((name): [string, number, number] => [
      `layer_${i}/attention/${name}`,
      width,
      width,
    ]),
    [`layer_${i}/mlp/gain`, 1, width],
    [`layer_${i}/mlp/up`, width, 4 * width],
    [`layer_${i}/mlp/up/bias`, 1, 4 * width],
    [`layer_${i}/mlp/down`, 4 * width, width],
    [`layer_${i}/mlp/down/bias`, 1, width],
  ];
  return [
    ['embedding', characters + context, width],
    ...Array.from({ length: layers }, (_, i) => layer(i)).flat(),
    ['head/gain', 1, width],
    ['head', width, characters],
    ['head/bias', 1, characters],
  ];
}

/** To be added to the scores: no position sees those after it. */
function futureMask(context: number): tf.Tensor2D {
  const mask = Float32Array.from({ length: context * context }, (_, i) =>
    i % context > Math.floor(i / context) ? -1e9 : 0,
  );
  return tf.tensor2d(mask, [context, context]);
}
