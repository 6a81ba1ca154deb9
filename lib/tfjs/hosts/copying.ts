// TensorFlow.js in WebAssembly or on libtensorflow: it does not see what is written into a tensor's memory (WebAssembly's matrix
// product keeps a packed copy of its weights), so a step's result is assigned as a new tensor.
import type { Variable } from '../../variable.ts';
import { backendOf, show, type Backend, type Tensor, type TensorVariable } from '../tensorflow.ts';
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
    show(this.tf, to, this.shown(variable.value as Float32Array));
    this.#shared.set(variable, to.dataId);
  }

  abstract override gradient(tensor: Tensor): Float32Array;
  /** The values as a new tensor may have them. */
  protected abstract shown(values: Float32Array): Float32Array;
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

  protected shown(values: Float32Array): Float32Array {
    return values; // it is copied to WebAssembly's memory at once
  }
}

/** libtensorflow on the CPU, and whatever else a tensor can be read from. */
export class ReadingHost extends CopyingHost {
  gradient(tensor: Tensor): Float32Array {
    return tensor.dataSync<'float32'>();
  }

  /** A copy, which TensorFlow.js keeps until the tensor is first used. */
  protected shown(values: Float32Array): Float32Array {
    return values.slice();
  }
}
