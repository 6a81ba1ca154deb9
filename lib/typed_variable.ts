// The class Variable with the types that follow from where it is put, which a class cannot say of its own constructor.
import type { CudaDevice } from './devices.ts';
import { Variable as Class } from './variable.ts';
import type { DeviceArray, FloatArray, Numbers, VariableOptions } from './variable.ts';

/** Options of a variable on the host. */
export type OnHost = VariableOptions & Readonly<Partial<Record<'device', 'cpu' | undefined>>>;
/** Options of a variable on a GPU. */
export type OnGpu = VariableOptions & Readonly<Record<'device', CudaDevice>>;
/** Options where the shape is an argument of its own. */
export type ForZeros<O> = Omit<O, 'shape'>;

/** What makes a `Variable`. */
export interface VariableConstructor {
  /** Copies `data` to a GPU. */
  new (data: Numbers, options: OnGpu): Variable<DeviceArray>;
  /** Copies `data`. */
  new <T extends FloatArray = FloatArray>(
    data: T | readonly number[],
    options?: OnHost & { readonly dtype?: undefined },
  ): Variable<T>;
  /** Copies `data` to numbers of another dtype. */
  new (data: Numbers, options: OnHost): Variable;
  /** Copies `data` to where `device` says. */
  new (data: Numbers, options: VariableOptions): Variable | Variable<DeviceArray>;
  /** A variable of zeros on a GPU. */
  zeros(shape: readonly number[], options: ForZeros<OnGpu>): Variable<DeviceArray>;
  /** A variable of zeros. */
  zeros(shape: readonly number[], options?: ForZeros<OnHost>): Variable;
  /** A variable of zeros where `device` says. */
  zeros(shape: readonly number[], options: ForZeros<VariableOptions>): Variable | Variable<DeviceArray>;
  /** Of all variables. */
  readonly prototype: Variable;
}

/**
 * Numbers that an optimizer trains, in 64-byte-aligned memory of the library, or on a GPU: a `Variable<DeviceArray>`. Keras's
 * `keras.Variable`.
 *
 * @example
 * const kernel = new Variable(new Float32Array(784 * 128), { shape: [784, 128], name: 'dense/kernel' });
 * kernel.gradient[0] = 1;
 * @example
 * const kernel = Variable.zeros([784, 128], { device: 'cuda' });
 * kernel.gradient.assign(new Float32Array(784 * 128).fill(1)); // or written on the GPU, through kernel.gradient.cuda
 * new Nadam().apply(undefined, [kernel]);
 * console.log(await kernel.read());
 */
export const Variable = Class as unknown as VariableConstructor;
export type Variable<T extends FloatArray | DeviceArray = FloatArray> = Class<T>;
