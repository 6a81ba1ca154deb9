// Two dense layers with relu between them, softmax cross-entropy behind them: forward and backward, one image at a time.
import { Variable, type FloatArray } from 'keras-optimizers';
import type { Images } from './mnist-data.ts';

/** Mean loss and share of right answers. */
export interface Score {
  readonly loss: number;
  readonly accuracy: number;
}

/** y[j] += a x[j]. Contiguous, like `dot`: the two inner loops of everything here. */
function addScaled(a: number, x: FloatArray, xStart: number, y: FloatArray, yStart: number, length: number): void {
  for (let j = 0; j < length; j++) y[yStart + j] = (y[yStart + j] as number) + a * (x[xStart + j] as number);
}

function dot(x: FloatArray, start: number, y: FloatArray): number {
  let sum = 0;
  for (let j = 0; j < y.length; j++) sum += (x[start + j] as number) * (y[j] as number);
  return sum;
}

/** Inputs that are 0 cost nothing: 80 % of the pixels, and whatever relu has cut off. */
class Dense {
  readonly kernel: Variable;
  readonly bias: Variable;

  constructor(name: string, inputs: number, outputs: number, random: () => number) {
    const limit = Math.sqrt(6 / (inputs + outputs)); // Glorot and Bengio 2010
    const kernel = Float32Array.from({ length: inputs * outputs }, () => limit * (2 * random() - 1));
    this.kernel = new Variable(kernel, { shape: [inputs, outputs], name: `${name}/kernel` });
    this.bias = new Variable(new Float32Array(outputs), { name: `${name}/bias` });
  }

  forward(x: FloatArray, y: FloatArray): void {
    const kernel = this.kernel.value;
    y.set(this.bias.value);
    x.forEach((input, i) => {
      if (input !== 0) addScaled(input, kernel, i * y.length, y, 0, y.length);
    });
  }

  /** Adds to the gradients; `dx` gets the inputs' own, where they are not 0. */
  backward(x: FloatArray, dy: FloatArray, dx?: FloatArray): void {
    const { value: kernel, gradient } = this.kernel;
    addScaled(1, dy, 0, this.bias.gradient, 0, dy.length);
    x.forEach((input, i) => {
      if (input !== 0) addScaled(input, dy, 0, gradient, i * dy.length, dy.length);
      if (dx !== undefined) dx[i] = input !== 0 ? dot(kernel, i * dy.length, dy) : 0;
    });
  }
}

export class Network {
  readonly variables: readonly Variable[];
  readonly #first: Dense;
  readonly #second: Dense;
  readonly #image = new Float32Array(784);
  readonly #hidden: Float32Array;
  readonly #dhidden: Float32Array;
  readonly #output = new Float32Array(10);

  constructor(hidden: number, random: () => number) {
    this.#first = new Dense('dense', 784, hidden, random);
    this.#second = new Dense('dense_1', hidden, 10, random);
    this.#hidden = new Float32Array(hidden);
    this.#dhidden = new Float32Array(hidden);
    this.variables = [this.#first, this.#second].flatMap(({ kernel, bias }) => [kernel, bias]);
  }

  /** Loss and right answers of the images at `indices`; their mean gradients go into the variables' `gradient`. */
  train(data: Images, indices: ArrayLike<number>): Score {
    for (const { gradient } of this.variables) gradient.fill(0);
    return this.#score(data, indices, (label) => this.#backward(label, indices.length));
  }

  evaluate(data: Images): Score {
    return this.#score(data, Uint32Array.from({ length: data.count }, (_, i) => i), () => {});
  }

  #score(data: Images, indices: ArrayLike<number>, visit: (label: number) => void): Score {
    let loss = 0;
    let right = 0;
    for (let n = 0; n < indices.length; n++) {
      const label = data.labels[indices[n] as number] as number;
      this.#forward(data, indices[n] as number);
      const probabilities = this.#output;
      loss -= Math.log(Math.max(probabilities[label] as number, 1e-38));
      if (probabilities.indexOf(Math.max(...probabilities)) === label) right++;
      visit(label);
    }
    return { loss: loss / indices.length, accuracy: right / indices.length };
  }

  #forward(data: Images, index: number): void {
    const start = index * 784;
    for (let i = 0; i < 784; i++) this.#image[i] = (data.pixels[start + i] as number) / 255;
    this.#first.forward(this.#image, this.#hidden);
    for (let j = 0; j < this.#hidden.length; j++) this.#hidden[j] = Math.max(this.#hidden[j] as number, 0);
    this.#second.forward(this.#hidden, this.#output);
    softmax(this.#output);
  }

  #backward(label: number, batch: number): void {
    const output = this.#output;
    output[label] = (output[label] as number) - 1;
    for (let j = 0; j < 10; j++) output[j] = (output[j] as number) / batch;
    this.#second.backward(this.#hidden, output, this.#dhidden);
    this.#first.backward(this.#image, this.#dhidden);
  }
}

function softmax(x: Float32Array): void {
  const top = Math.max(...x);
  let sum = 0;
  for (let j = 0; j < x.length; j++) sum += x[j] = Math.exp((x[j] as number) - top);
  for (let j = 0; j < x.length; j++) x[j] = (x[j] as number) / sum;
}
