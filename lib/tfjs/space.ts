// The tensors of TensorFlow.js as a place for variables: where no kernel of ours reaches them (WebGL, WebGPU, ...), a step is composed
// of TensorFlow.js's own operations.
import { dtypeOf, sizeOf } from '../arrays.ts';
import { describe, rangeError, stateError, typeError } from '../errors.ts';
import type { Gradient } from '../gradients.ts';
import type { Memory, PassSpec, Plan } from '../native.ts';
import type { Space } from '../space.ts';
import type { DeviceStorage, Storage } from '../storage.ts';
import { isVariable, Variable, variableOver } from '../variable.ts';
import { Cell, GradientCell, OwnCell, VariableCell } from './cells.ts';
import { TensorPlan } from './tensor_plan.ts';
import type { Tensor, TensorFlow, TensorVariable } from './tensorflow.ts';

const spaces = new WeakMap<object, TensorSpace>(); // by engine, which a process may have several of

/** The space of a TensorFlow.js, whatever its backend. */
export function spaceOf(tf: TensorFlow): TensorSpace {
  const engine = tf.engine();
  const space = spaces.get(engine) ?? new TensorSpace(tf);
  spaces.set(engine, space);
  return space;
}

export class TensorSpace implements Space {
  readonly name = 'tfjs';
  readonly #tf: TensorFlow;
  readonly #variables = new WeakMap<TensorVariable, Variable>();

  constructor(tf: TensorFlow) {
    this.#tf = tf;
  }

  /**
   * What an optimizer trains in place of a variable of TensorFlow.js: steps read its tensor and assign it another one. Always the same
   * for the same variable.
   *
   * @throws TypeError `ERR_OPT_ARRAY_TYPE` unless it is float32; Error `ERR_OPT_DISPOSED`
   */
  variable(of: TensorVariable): Variable {
    const known = this.#variables.get(of);
    if (known !== undefined && Variable.isThere(known)) return known;
    if (of.isDisposed)
      throw stateError('ERR_OPT_DISPOSED', `TensorFlow.js's variable "${of.name}" has been disposed of`);
    if (of.dtype !== 'float32')
      throw typeError('ERR_OPT_ARRAY_TYPE', `an optimizer expects float32 variables, "${of.name}" is ${of.dtype}`);
    const made = variableOver(this.#storageOver(new VariableCell(this.#tf, of)), { shape: of.shape, name: of.name });
    this.#variables.set(of, made);
    return made;
  }

  /** A tensor as `apply` takes it for a gradient; it is read in the call, and stays the caller's. */
  gradient(tensor: Tensor): Gradient {
    return tensor as unknown as Gradient;
  }

  /** A new tensor with the values of any variable of an optimizer; it is the caller's. */
  tensorOf(variable: Variable): Tensor {
    const storage = Variable.storageOf(variable);
    if (storage.memory instanceof Cell) return this.#tf.clone(storage.memory.tensor);
    const dtype = storage.dtype.startsWith('int') ? 'int32' : 'float32';
    return this.#tf.tensor(Array.from<number | bigint, number>(storage.value(), Number), [...variable.shape], dtype);
  }

  /**
   * Writes a tensor into a variable of the space; the tensor stays the caller's.
   *
   * @throws RangeError `ERR_OPT_LENGTH` for another number of elements; TypeError `ERR_OPT_ARRAY_TYPE` for another dtype,
   *   `ERR_OPT_DEVICE` for a variable that does not lie in the space
   */
  assign(variable: Variable, tensor: Tensor): void {
    const { memory, length } = Variable.storageOf(variable);
    const who = `"${variable.path}"`;
    if (!(memory instanceof Cell))
      throw typeError('ERR_OPT_DEVICE', `${who} does not lie in tensors: assign what await tensor.data() gives`);
    if (tensor.dtype !== 'float32')
      throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects a float32 tensor, got ${tensor.dtype}`);
    if (tensor.size !== length)
      throw rangeError('ERR_OPT_LENGTH', `${who} expects ${length} elements, got ${tensor.size}`);
    this.#tf.tidy(() => memory.set(tensor));
  }

  allocate(dtype: string, shape: readonly number[]): DeviceStorage {
    if (dtype === 'float32') return this.#storageOver(new OwnCell(this.#tf, shape));
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `a state in TensorFlow.js's tensors is float32, got ${dtype}: leave state_dtype out`,
    );
  }

  gradientMemory(who: string, gradient: unknown, variable: Variable): Memory | undefined {
    if (isVariable(gradient)) return this.#gradientIn(who, gradient, variable);
    if (ArrayBuffer.isView(gradient) && dtypeOf(gradient) === undefined)
      throw typeError('ERR_OPT_ARRAY_TYPE', `${who} is expected to be float32, got ${describe(gradient)}`);
    if (!isTensor(gradient)) return undefined;
    const { dtype, shape, isDisposed } = gradient;
    if (isDisposed) throw stateError('ERR_OPT_DISPOSED', `${who} has been disposed of`);
    if (dtype !== 'float32')
      throw typeError('ERR_OPT_ARRAY_TYPE', `${who} is expected to be float32, got a tensor of ${dtype}`);
    if (shape.join() !== variable.shape.join())
      throw rangeError(
        'ERR_OPT_LENGTH',
        `${who} has the shape [${shape.join()}], its variable [${variable.shape.join()}]`,
      );
    return new GradientCell(this.#tf, gradient);
  }

  /** Of a variable; one on the host has numbers. */
  #gradientIn(who: string, gradient: Variable, { shape }: Variable): Memory | undefined {
    const { memory } = Variable.storageOf(gradient);
    if (!(memory instanceof Cell)) return undefined;
    if (gradient.shape.join() === shape.join()) return memory;
    throw rangeError('ERR_OPT_LENGTH', `${who} is ${describe(gradient.path)} of another shape than its variable`);
  }

  copy(to: Storage, from: Storage): void {
    const [target, source] = [to.memory as Memory as Cell, from.memory as Memory as Cell];
    this.#tf.tidy(() => target.set(source.tensor));
  }

  newPlan(passes: readonly PassSpec[], _: number, control: Memory): Plan {
    return new TensorPlan(this.#tf, passes, control);
  }

  #storageOver(cell: Cell): DeviceStorage {
    const tf = this.#tf;
    const length = sizeOf(cell.shape) as number; // that of a tensor, or of a state
    const probe = new Uint8Array(1); // says whether it is there, as on a GPU
    const release = () => {
      cell.release();
      structuredClone(probe.buffer, { transfer: [probe.buffer] });
    };
    const value = (who = 'a variable') => {
      throw typeError('ERR_OPT_DEVICE', `${who} lies in a tensor: get a copy of its values with await read()`);
    };
    const write = (data: ArrayLike<number>) =>
      tf.tidy(() => cell.set(tf.tensor(Float32Array.from(data), [...cell.shape])));
    const now = () => Float32Array.from(cell.tensor.dataSync<'float32'>());
    const read = async () => {
      const copy = tf.keep(cell.tensor.clone()); // a step may come before the numbers
      try {
        return Float32Array.from(await copy.data<'float32'>());
      } finally {
        copy.dispose();
      }
    };
    return { dtype: 'float32', length, memory: cell, site: this, probe, bytes: 1, release, value, write, now, read };
  }
}

/** Told by what it has: TensorFlow.js may be loaded more than once. */
const isTensor = (value: unknown): value is Tensor =>
  typeof value === 'object' && value !== null && 'dataId' in value && 'dtype' in value && 'shape' in value;
