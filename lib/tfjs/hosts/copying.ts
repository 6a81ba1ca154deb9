// TensorFlow.js in WebAssembly or on libtensorflow: it does not see what is written into a tensor's memory (WebAssembly's matrix
// product keeps a packed copy of its weights), so a step's result is assigned as a new tensor.
import type { Variable } from '../../variable.ts';
import { backendOf, type Backend, type Tensor, type TensorVariable } from '../tensorflow.ts';
import { NativeHost } from './native.ts';

abstract class CopyingHost extends NativeHost {
  readonly #shared = new WeakMap<Variable, object>(); // what TensorFlow.js had when both were last the same

  take(from: TensorVariable, variable: Variable): void {
    if (this.#shared.get(variable) === from.dataId) return;
    variable.assign(this.gradient(from));
    this.#shared.set(variable, from.dataId);
  }

  /** Unless TensorFlow.js has assigned something since `take`, which is newer. */
  give(variable: Variable, to: TensorVariable): void {
    if (this.#shared.get(variable) !== to.dataId) return;
    this.tf.tidy(() => to.assign(this.copy(variable.value as Float32Array, to.shape)));
    this.#shared.set(variable, to.dataId);
  }

  abstract override gradient(tensor: Tensor): Float32Array;
  /** A new tensor, which does not see what is written into `values` later. */
  protected abstract copy(values: Float32Array, shape: number[]): Tensor;
}

/** The backend as it is, which its type does not say. */
type OnHeap = Backend & { typedArrayFromHeap(tensor: Tensor): Float32Array };

/** WebAssembly's memory can be read in place. */
export class WasmHost extends CopyingHost {
  gradient(tensor: Tensor): Float32Array {
    const backend = backendOf(this.tf, tensor);
    if (!('typedArrayFromHeap' in backend)) return tensor.dataSync<'float32'>(); // left over from another backend
    return (backend as OnHeap).typedArrayFromHeap(tensor);
  }

  protected copy(values: Float32Array, shape: number[]): Tensor {
    return this.tf.tensor(values, shape); // it is copied to WebAssembly's memory at once
  }
}

/**
 * Elements from which on libtensorflow copies faster than JavaScript, whose large arrays are fresh memory every time: 0.05 ms
 * beside 0.10 at 2^18, 0.2 beside 2.2 at 2^20.
 */
const kLarge = 2 ** 17;

/** libtensorflow on the CPU; also other backends that variables in native memory are brought to. */
export class ReadingHost extends CopyingHost {
  gradient(tensor: Tensor): Float32Array {
    return tensor.dataSync<'float32'>();
  }

  /** TensorFlow.js keeps the array until the tensor is first used, and libtensorflow uses it in place: neither may be ours. */
  protected copy(values: Float32Array, shape: number[]): Tensor {
    if (values.length < kLarge || this.tf.getBackend() !== 'tensorflow') return this.tf.tensor(values.slice(), shape);
    const rows = this.tf.tensor(values, shape);
    return this.tf.concat([rows, this.tf.zeros([0, ...shape.slice(1)])]); // an operation that copies bits
  }
}
