// TensorFlow.js in JavaScript: a tensor is a typed array, which may be read and written. So native memory is given to it as the
// array of the variable, once, and the step happens in place. Two things can be in the way: the variable has been assigned another
// tensor, whose values are copied then; or other tensors share the array (a clone, a reshape), and get a copy of their own. Slices,
// which TensorFlow.js makes as views and does not count, are copies from the beginning.
import type { Variable } from '../../variable.ts';
import { backendOf, show, type Backend, type Tensor, type TensorVariable } from '../tensorflow.ts';
import { NativeHost } from './native.ts';

/** What the backend keeps of a tensor. */
interface Kept {
  values: unknown;
}
/** The backend as it is, which its type does not say. */
type Keeping = Backend & { readonly data: { get(dataId: object): Kept } };

export class CpuHost extends NativeHost {
  readonly #own = new WeakSet<ArrayBufferLike>(); // of the variables

  /** That of a variable may be the array that the step writes: it is copied. */
  gradient(tensor: Tensor): Float32Array {
    const array = tensor.dataSync<'float32'>();
    return this.#own.has(array.buffer) ? array.slice() : array;
  }

  take(from: TensorVariable, variable: Variable): void {
    const own = variable.value as Float32Array;
    if (!this.#own.has(own.buffer)) this.#adopt(own);
    const shown = from.dataSync<'float32'>();
    if (shown !== own) variable.assign(shown);
    else if (!this.#isShared(from)) return;
    else this.#leave(from, own);
    show(this.tf, from, own);
  }

  give(): void {}

  /** Has tf.slice, which takes a subarray, copy. */
  #adopt(array: Float32Array): void {
    this.#own.add(array.buffer);
    Object.defineProperty(array, 'subarray', { value: (begin?: number, end?: number) => array.slice(begin, end) });
  }

  #isShared(variable: TensorVariable): boolean {
    return backendOf(this.tf, variable).refCount(variable.dataId) > 1;
  }

  /** Gives those that share the array of a variable a copy. */
  #leave(variable: TensorVariable, array: Float32Array): void {
    (backendOf(this.tf, variable) as Keeping).data.get(variable.dataId).values = array.slice();
  }
}
