// Where a space keeps the numbers of one variable: in a tensor of TensorFlow.js, or in that of one of its variables.
import { stateError, typeError } from '../errors.ts';
import type { Memory } from '../native.ts';
import type { Tensor, TensorFlow, TensorVariable } from './tensorflow.ts';

/** Stands where native code has memory. */
export abstract class Cell implements Memory {
  readonly device = -1;
  readonly address = 0n;
  protected readonly tf: TensorFlow;
  abstract readonly shape: readonly number[];

  constructor(tf: TensorFlow) {
    this.tf = tf;
  }

  /** The numbers as they are now. It is the cell's: nobody else disposes of it. */
  abstract get tensor(): Tensor;
  abstract set(tensor: Tensor): void;
  abstract release(): void;
  /** Throws if the numbers are gone. */
  abstract check(): void;

  buffer(): never {
    throw typeError('ERR_OPT_DEVICE', 'a tensor has no memory of the library');
  }

  part(): never {
    return this.buffer();
  }

  /** Another tensor with these numbers, in the shape of the cell. */
  protected shaped(tensor: Tensor): Tensor {
    return this.tf.reshape(tensor, [...this.shape]);
  }
}

/** Of an optimizer; nothing is allocated before somebody looks. */
export class OwnCell extends Cell {
  readonly shape: readonly number[];
  #tensor: Tensor | undefined;

  constructor(tf: TensorFlow, shape: readonly number[]) {
    super(tf);
    this.shape = shape;
  }

  get tensor(): Tensor {
    return (this.#tensor ??= this.tf.keep(this.tf.zeros([...this.shape])));
  }

  set(tensor: Tensor): void {
    const before = this.#tensor;
    this.#tensor = this.tf.keep(this.shaped(tensor));
    before?.dispose();
  }

  release(): void {
    this.#tensor?.dispose();
    this.#tensor = undefined;
  }

  check(): void {
    if (this.#tensor?.isDisposed)
      throw stateError('ERR_OPT_DISPOSED', 'a tensor of the state of an optimizer has been disposed of');
  }
}

/** Of a variable of TensorFlow.js, which stays the caller's. */
export class VariableCell extends Cell {
  readonly #variable: TensorVariable;

  constructor(tf: TensorFlow, variable: TensorVariable) {
    super(tf);
    this.#variable = variable;
  }

  get shape(): readonly number[] {
    return this.#variable.shape;
  }

  get tensor(): Tensor {
    return this.#variable;
  }

  set(tensor: Tensor): void {
    const shaped = this.shaped(tensor);
    this.#variable.assign(shaped);
    shaped.dispose();
  }

  release(): void {}

  check(): void {
    if (this.#variable.isDisposed)
      throw stateError('ERR_OPT_DISPOSED', `TensorFlow.js's variable "${this.#variable.name}" has been disposed of`);
  }
}

/** A gradient, for one step. */
export class GradientCell extends Cell {
  readonly tensor: Tensor;

  constructor(tf: TensorFlow, tensor: Tensor) {
    super(tf);
    this.tensor = tensor;
  }

  get shape(): readonly number[] {
    return this.tensor.shape;
  }

  set(): never {
    throw typeError('ERR_OPT_READ_ONLY', 'a step does not write gradients');
  }

  release(): void {}
  check(): void {
    if (this.tensor.isDisposed) throw stateError('ERR_OPT_DISPOSED', 'a gradient has been disposed of');
  }
}
