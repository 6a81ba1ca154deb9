// Two dense layers, relu between them, softmax and cross-entropy behind: forward and backward, a batch at a time. Matrices
// are flat, row by row, one row per image.
import { Variable } from 'keras-optimizers';
import type { Batch } from './mnist-data.ts';

/** Mean loss of a batch, and the share of it that the network got right. */
export type Score = { readonly loss: number; readonly accuracy: number };

const at = (x: Float32Array, i: number): number => x[i] as number;
/** to[j] += weight from[j], for `length` elements from two offsets on. */
function add(weight: number, from: Float32Array, start: number, to: Float32Array, end: number, length: number): void {
  for (let j = 0; j < length; j++) to[end + j] = at(to, end + j) + weight * at(from, start + j);
}

class Dense {
  readonly kernel: Variable<Float32Array>;
  readonly bias: Variable<Float32Array>;
  readonly #inputs: number;
  constructor(name: string, inputs: number, outputs: number, random: () => number) {
    const limit = Math.sqrt(6 / (inputs + outputs)); // Glorot and Bengio 2010
    const kernel = Float32Array.from({ length: inputs * outputs }, () => limit * (2 * random() - 1));
    this.kernel = new Variable(kernel, { shape: [inputs, outputs], name: `${name}/kernel` });
    this.bias = new Variable(new Float32Array(outputs), { name: `${name}/bias` });
    this.#inputs = inputs;
  }

  /** Calls `visit` with every element of x that is not 0, its row and its column: four pixels of five are 0. */
  #forEach(x: Float32Array, visit: (value: number, row: number, column: number) => void): void {
    for (let i = 0; i < x.length; i++) if (x[i] !== 0) visit(at(x, i), Math.floor(i / this.#inputs), i % this.#inputs);
  }

  forward(x: Float32Array): Float32Array {
    const [n, kernel] = [this.bias.value.length, this.kernel.value];
    const y = new Float32Array((x.length / this.#inputs) * n);
    for (let start = 0; start < y.length; start += n) y.set(this.bias.value, start);
    this.#forEach(x, (value, row, column) => add(value, kernel, column * n, y, row * n, n));
    return y;
  }

  /** Writes the gradients of kernel and bias, given that of y. */
  backward(x: Float32Array, dy: Float32Array): void {
    const [n, kernel, bias] = [this.bias.value.length, this.kernel.gradient, this.bias.gradient];
    kernel.fill(0);
    this.#forEach(x, (value, row, column) => add(value, dy, row * n, kernel, column * n, n));
    bias.fill(0);
    for (let start = 0; start < dy.length; start += n) add(1, dy, start, bias, 0, n);
  }

  /** The gradient of x, given that of y, for an x that comes from a relu: nothing passes where it is 0. */
  backwardThroughRelu(x: Float32Array, dy: Float32Array): Float32Array {
    const [n, kernel] = [this.bias.value.length, this.kernel.value];
    const dx = new Float32Array(x.length);
    this.#forEach(x, (_, row, column) => {
      let sum = 0;
      for (let j = 0; j < n; j++) sum += at(kernel, column * n + j) * at(dy, row * n + j);
      dx[row * this.#inputs + column] = sum;
    });
    return dx;
  }
}

/** Softmax and cross-entropy; `gradient` is that of the mean loss by the logits. */
function crossEntropy(logits: Float32Array, labels: Uint8Array): Score & { readonly gradient: Float32Array } {
  const gradient = new Float32Array(logits.length);
  const classes = logits.length / labels.length;
  let [loss, right] = [0, 0];
  labels.forEach((label, row) => {
    const z = Array.from(logits.subarray(row * classes, (row + 1) * classes));
    const top = Math.max(...z); // subtracted, so that no power overflows
    const powers = z.map((x) => Math.exp(x - top));
    const sum = powers.reduce((total, power) => total + power);
    loss += Math.log(sum) + top - (z[label] as number);
    if (z[label] === top) right++;
    powers.forEach((p, j) => (gradient[row * classes + j] = (p / sum - (j === label ? 1 : 0)) / labels.length));
  });
  return { loss: loss / labels.length, accuracy: right / labels.length, gradient };
}

export class Network {
  /** `dense/kernel`, `dense/bias`, `dense_1/kernel`, `dense_1/bias` */
  readonly variables: readonly Variable[];
  readonly #layers: readonly [Dense, Dense];
  constructor(inputs: number, hidden: number, classes: number, random: () => number) {
    this.#layers = [new Dense('dense', inputs, hidden, random), new Dense('dense_1', hidden, classes, random)];
    this.variables = this.#layers.flatMap(({ kernel, bias }) => [kernel, bias]);
  }

  /** With `train`, also writes the gradients of the mean loss into the variables' `gradient`. */
  run({ x, labels }: Batch, train: boolean): Score {
    const [first, second] = this.#layers;
    const hidden = first.forward(x).map((value) => Math.max(value, 0));
    const { gradient, ...score } = crossEntropy(second.forward(hidden), labels);
    if (!train) return score;
    second.backward(hidden, gradient);
    first.backward(x, second.backwardThroughRelu(hidden, gradient));
    return score;
  }
}
