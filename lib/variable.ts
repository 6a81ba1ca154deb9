// Over 200 lines: the class, half of it doc comments, and the checks of what it is made of.
import { arrays, checkAttached, dtypeOf, lengthOf, sizeOf, type FloatArray } from './arrays.ts';
import { isPlainObject } from './configurable.ts';
import { describedMemory, DeviceArray, type CudaArray } from './device_array.ts';
import { gpuOf, isSpace, nameOf, type Device, type DeviceName, type Site } from './devices.ts';
import { describe, rangeError, stateError, typeError } from './errors.ts';
import type { Dtype } from './native.ts';
import {
  copyStorage,
  nativeStorage,
  places,
  reaches,
  type DeviceStorage,
  type NativeStorage,
  type Storage,
  type VariableDtype,
} from './storage.ts';

export type { CudaArray, DeviceArray, FloatArray, VariableDtype };
/** Numbers to be copied. */
export type Numbers = FloatArray | readonly number[];
/** What `assign` takes: numbers, or what has numbers. */
export type Assigned = Numbers | Variable | Variable<DeviceArray> | DeviceArray;
/** What `constraint` gets: the live values, to be changed in place or replaced by what it returns. */
export type Constraint = (value: FloatArray) => Numbers | void;

/** How a variable is made of its data. */
export interface VariableOptions {
  /** Default `[data.length]`; its product must be the number of elements. */
  readonly shape?: readonly number[];
  /** Default `variable`, `variable_1`, ...; a path such as `dense/kernel` is welcome. */
  readonly name?: string;
  /** Default: that of `data`; `float32` for an array of numbers. */
  readonly dtype?: Dtype;
  /** Where its numbers lie, and its gradient and all that an optimizer keeps for it. Default `cpu`. */
  readonly device?: Device;
}

// The key to the constructor's other form.
const internal = Symbol('internal');

let unnamed = 0;
const nextName = (): string => (unnamed++ === 0 ? 'variable' : `variable_${unnamed - 1}`);

/**
 * Numbers that an optimizer trains, in 64-byte-aligned memory of the library, or on a GPU. Keras's `keras.Variable`.
 *
 * @example
 * const kernel = new Variable(new Float32Array(784 * 128), { shape: [784, 128], name: 'dense/kernel' });
 * kernel.gradient[0] = 1;
 */
export class Variable<T extends FloatArray | DeviceArray = FloatArray> {
  /** Length of each dimension; row-major. */
  readonly shape: readonly number[];
  /** What identifies it to people and to `exclude_from_weight_decay`: `dense/kernel`. */
  readonly path: string;
  /** Element type: float32 or float64; int64 and int32 for whole numbers of an optimizer's. */
  readonly dtype: VariableDtype;
  /**
   * Applied to the values after every step, as in Keras: a function that changes them in place or returns new ones. Of a variable on
   * a GPU it can only be null; setting another is a TypeError `ERR_OPT_DEVICE`.
   */
  constraint: Constraint | null = null;
  readonly #storage: Storage;
  #gradient: NativeStorage | undefined;
  #deviceArray: DeviceArray | undefined; // what shows a gradient on a GPU
  #disposed = false;
  #steps = 0; // asynchronous steps that use it
  static #used = 0; // sum of all variables' #steps
  static #disposals = 0;

  /**
   * @param data copied
   * @throws TypeError `ERR_OPT_ARRAY_TYPE` for other data; RangeError `ERR_OPT_LENGTH` for a shape that does not fit,
   *   `ERR_OPT_OOM` when memory is short; for a `device` that cannot be used an Error `ERR_CUDA_...` that says why
   */
  constructor(data: (T & FloatArray) | readonly number[], options?: VariableOptions & { readonly dtype?: undefined });
  constructor(data: Numbers, options: VariableOptions);
  /** @internal */
  constructor(storage: Storage, options: VariableOptions & { readonly [internal]: true });
  constructor(data: Numbers | Storage, options: VariableOptions & { readonly [internal]?: true } = {}) {
    this.#storage = isInternal(options) ? (data as Storage) : copied(data, checkOptions('Variable', options));
    const { length } = this.#storage;
    this.shape = Object.freeze(checkShape(options.shape ?? [length], length));
    this.path = checkName(options.name ?? nextName());
    this.dtype = this.#storage.dtype;
    if (this.#storage.site !== undefined) refuseConstraint(this, this.#storage.site);
  }

  /**
   * A variable of zeros, made where it lies.
   *
   * @param shape length of each dimension
   * @param options `dtype` (default float32), `device`, `name`
   * @throws as the constructor
   */
  static zeros(shape: readonly number[], options: Omit<VariableOptions, 'shape'> = {}): Variable {
    const { dtype = 'float32', site, name = nextName() } = checkOptions('Variable.zeros', options, knownOfZeros);
    const length = sizeOf(shape);
    if (length === undefined)
      throw rangeError(
        'ERR_OPT_LENGTH',
        `Variable.zeros expects whole numbers >= 0 as its shape, got ${describe(shape)}`,
      );
    const own = { shape: [...shape], name: checkName(name) };
    return variableOver(nativeStorage(dtype, length, places.variable, site), own);
  }

  /** Where it lies: `cpu`, `cuda:0`. */
  get device(): DeviceName {
    return nameOf(this.#storage.site);
  }

  /** The last part of the path. */
  get name(): string {
    return this.path.slice(this.path.lastIndexOf('/') + 1);
  }

  /**
   * The live values, flat and row-major: what a step writes is seen here, and what is written here the next step uses.
   * For an optimizer's own numbers (`iteration`, `learning_rate`) a copy.
   *
   * @throws Error `ERR_OPT_DISPOSED`; TypeError `ERR_OPT_DEVICE` for a variable on a GPU: `read` gives a copy
   */
  get value(): T & FloatArray {
    return this.#open().value(this.path) as T & FloatArray;
  }

  /**
   * A copy of the values. On a GPU they are what they will be after all that it has been given so far: a step that has been called
   * before is in them, one that is called later is not.
   *
   * @throws it rejects with an Error `ERR_OPT_DISPOSED`, `ERR_OPT_CUDA`, `ERR_OPT_POISONED`, RangeError `ERR_OPT_OOM`
   */

  async read(): Promise<FloatArray> {
    const storage = this.#open();
    return storage.read?.() ?? (storage.value() as FloatArray).slice();
  }

  /**
   * A gradient of the same shape and dtype, zero at first, allocated on first use: write it and, after `build`, call
   * `apply()` without arguments. On a GPU a `DeviceArray`: write it with `assign`, or through the pointer in its `cuda`.
   *
   * @throws Error `ERR_OPT_DISPOSED`; TypeError `ERR_OPT_READ_ONLY` for a variable of an optimizer
   */
  get gradient(): T {
    const gradient = Variable.gradientOf(this as unknown as Variable);
    return (gradient.site === undefined ? gradient.value() : (this.#deviceArray ??= this.#shown())) as T;
  }

  /**
   * Its memory on a GPU as other addons know it. They may read and write it in `stream`, or when that has been waited for.
   *
   * @throws Error `ERR_OPT_DISPOSED`; TypeError `ERR_OPT_DEVICE` for a variable on the host
   */
  get cuda(): Required<CudaArray> {
    const storage = this.#open();
    if (typeof storage.site === 'number') return describedMemory(storage as DeviceStorage, this.shape, this);
    throw typeError(
      'ERR_OPT_DEVICE',
      `"${this.path}" lies on ${isSpace(storage.site) ? nameOf(storage.site) : 'the cpu'}: make it with { device: 'cuda' } to have it on a GPU`,
    );
  }

  /**
   * Overwrites the values; on a GPU behind all that it has been given, so that `data` may change when it returns.
   *
   * @param data as many numbers as the variable has, from the host or from the same GPU
   * @throws TypeError `ERR_OPT_ARRAY_TYPE` for other data, `ERR_OPT_READ_ONLY` for a counter, `ERR_OPT_DEVICE` for data on a GPU
   *   that the variable does not lie on; RangeError `ERR_OPT_LENGTH`; Error `ERR_OPT_BUSY` while an asynchronous step uses it
   */
  assign(data: Assigned): void {
    const storage = this.#open();
    if (storage.readOnly) throw typeError('ERR_OPT_READ_ONLY', `"${this.path}" is read-only, its optimizer counts it`);
    const write = checkedAssignment(`"${this.path}"`, storage, data);
    this.#checkIdle(); // after the last code of the caller's: a getter in an array
    Variable.checkAttached(this as unknown as Variable);
    this.#open();
    write();
  }

  /**
   * Gives its memory back; `value` arrays that were taken before become empty. Doing it again does nothing.
   *
   * @throws Error `ERR_OPT_BUSY` while an asynchronous step uses it
   */
  dispose(): void {
    if (this.#disposed) return;
    this.#checkIdle();
    this.#disposed = true;
    Variable.#disposals++;
    this.#storage.release?.();
    this.#gradient?.release();
  }

  /** `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Whether a value is a variable; a proxy or an heir by prototype alone is none.
   *
   * @internal
   */
  static is(value: unknown): value is Variable {
    return typeof value === 'object' && value !== null && #storage in value;
  }

  /**
   * Throws if the buffer of its values has been transferred away.
   *
   * @internal
   */
  static checkAttached(variable: Variable): void {
    const { probe, bytes } = variable.#storage;
    if (probe !== undefined && probe.length === bytes && bytes > 0) return;
    const { memory, array } = variable.#open();
    if (memory ?? array) checkAttached(`"${variable.path}"`, variable.value);
  }

  /**
   * Whether its memory is there: neither disposed of nor transferred away.
   *
   * @internal
   */
  static isThere(variable: Variable): boolean {
    const { probe, bytes } = variable.#storage;
    return !variable.#disposed && probe?.length === bytes;
  }

  /**
   * Whether it owns its memory, and numbers of a dtype that is computed in.
   *
   * @internal
   */
  static isTrainable(variable: Variable): boolean {
    const { memory, dtype } = variable.#open();
    return memory !== undefined && dtype !== 'bfloat16';
  }

  /**
   * Whether it owns memory of the library; an optimizer's own numbers and arrays of the caller's do not.
   *
   * @internal
   */
  static hasMemory(variable: Variable): boolean {
    return variable.#storage.memory !== undefined;
  }

  /**
   * Where its gradient is. Throws if there can be none.
   *
   * @internal
   */
  static gradientOf(variable: Variable): NativeStorage {
    const { dtype, length, site } = variable.#open();
    if (!Variable.isTrainable(variable))
      throw typeError(
        'ERR_OPT_READ_ONLY',
        `only variables that own their memory have a gradient, "${variable.path}" does not`,
      );
    if (isSpace(site))
      throw typeError(
        'ERR_OPT_DEVICE',
        `"${variable.path}" lies on ${nameOf(site)} and has no gradient of its own: give one to apply`,
      );
    return (variable.#gradient ??= nativeStorage(dtype as Dtype, length, places.gradient, site));
  }

  /**
   * How many variables have been disposed of: where nothing else can happen to memory, all is well as long as it stays the same.
   *
   * @internal
   */
  static get disposals(): number {
    return Variable.#disposals;
  }

  /**
   * Whether its values and its gradient are there; false also where it is not certain.
   *
   * @internal
   */
  static isWhole(variable: Variable): boolean {
    const [{ probe, bytes }, gradient] = [variable.#storage, variable.#gradient];
    if (probe === undefined || gradient === undefined || bytes === 0) return false;
    return probe.length === bytes && gradient.probe.length === gradient.bytes;
  }

  /**
   * Where the numbers are, for the optimizer.
   *
   * @internal
   */
  static storageOf(variable: Variable): Storage {
    return variable.#open();
  }

  /**
   * Counts the asynchronous steps that use it: 1 when one begins, -1 when it ends.
   *
   * @internal
   */
  static use(variable: Variable, by: 1 | -1): void {
    variable.#steps += by;
    Variable.#used += by;
  }

  /**
   * Throws while an asynchronous step uses it.
   *
   * @internal
   */
  static checkIdle(variables: readonly Variable[]): void {
    if (Variable.#used > 0) for (const variable of variables) variable.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#steps > 0)
      throw stateError(
        'ERR_OPT_BUSY',
        `variable "${this.path}" is in use by an asynchronous step: await idle() before`,
      );
  }

  #shown(): DeviceArray {
    const open = () => Variable.gradientOf(this as unknown as Variable) as DeviceStorage;
    const assign = (data: Assigned) => checkedAssignment(`the gradient of "${this.path}"`, open(), data)();
    return new DeviceArray({ shape: this.shape, owner: this, open, assign });
  }

  #open(): Storage {
    if (this.#disposed) throw stateError('ERR_OPT_DISPOSED', `variable "${this.path}" has been disposed of`);
    return this.#storage;
  }
}

/** Whether a value is a variable of this package. */
export const isVariable = (value: unknown): value is Variable => Variable.is(value);

/** A variable over existing storage. */
export const variableOver = (storage: Storage, options: VariableOptions = {}): Variable =>
  new Variable(storage, { ...options, [internal]: true });

const isInternal = (options: unknown): boolean => isPlainObject(options) && Object.hasOwn(options, internal);

const known = ['shape', 'name', 'dtype', 'device'];
const knownOfZeros = ['dtype', 'device', 'name'];

/** Checked options: `site` is where the device lies. */
type Checked = Pick<VariableOptions, 'shape' | 'name' | 'dtype'> & { readonly site: Site | undefined };

function checkOptions(who: string, options: unknown, names = known): Checked {
  if (!isPlainObject(options))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects an object of options, got ${describe(options)}`);
  const unknown = Object.keys(options).find((key) => !names.includes(key));
  if (unknown !== undefined)
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects only options that it knows (${names.join(', ')}), got "${unknown}"`,
    );
  const { shape, name, dtype, device } = options as VariableOptions;
  if (dtype !== undefined && !(typeof dtype === 'string' && Object.hasOwn(arrays, dtype)))
    throw rangeError('ERR_OPT_CONFIG_RANGE', `${who} expects dtype to be float32 or float64, got ${describe(dtype)}`);
  return { shape, name, dtype, site: gpuOf(who, device) };
}

function copied(data: unknown, { shape, name, dtype, site }: Checked): Storage {
  const numbers = checkNumbers('Variable', data);
  const length = countOf(numbers);
  checkShape(shape ?? [length], length);
  checkName(name ?? '');
  const storage = nativeStorage(dtype ?? dtypeOf(numbers) ?? 'float32', length, places.variable, site);
  try {
    storage.write(numbers);
  } catch (error) {
    storage.memory?.release();
    throw error;
  }
  return storage;
}

/** Checks what is to be written; returns what writes it. */
function checkedAssignment(who: string, to: Storage, data: unknown): () => void {
  const from = deviceStorageOf(data);
  if (from === undefined) {
    const numbers = checkNumbers(who, data, to.length);
    return () => to.write(numbers);
  }
  if (!reaches(from, to))
    throw typeError(
      'ERR_OPT_DEVICE',
      `${who} lies on ${nameOf(to.site)} and what is assigned on ${nameOf(from.site)}: assign what its await read() gives`,
    );
  if (from.length !== to.length)
    throw rangeError('ERR_OPT_LENGTH', `${who} expects ${to.length} elements, got ${from.length}`);
  return () => copyStorage(from, to);
}

/** Where the numbers of a variable or gradient on a GPU are; undefined for anything else. */
export function deviceStorageOf(value: unknown): DeviceStorage | undefined {
  if (!isVariable(value)) return DeviceArray.storageOf(value);
  const storage = Variable.storageOf(value);
  return storage.site === undefined ? undefined : (storage as DeviceStorage);
}

function refuseConstraint(variable: object, site: Site): void {
  const set = (constraint: unknown) => {
    if (constraint !== null)
      throw typeError(
        'ERR_OPT_DEVICE',
        `a variable on ${nameOf(site)} expects constraint to be null, got ${describe(constraint)}: it would need the values on the cpu; put the variable there`,
      );
  };
  Object.defineProperty(variable, 'constraint', { get: () => null, set, enumerable: true });
}

function checkShape(shape: unknown, length: number): number[] {
  if (sizeOf(shape) === length) return [...(shape as number[])];
  const got = Array.isArray(shape) ? `[${Array.from(shape, describe).join()}]` : describe(shape);
  throw rangeError('ERR_OPT_LENGTH', `Variable expects a shape of ${length} elements in all, got ${got}`);
}

function checkName(name: unknown): string {
  if (typeof name === 'string') return name;
  throw typeError('ERR_OPT_CONFIG_TYPE', `Variable expects name to be a string, got ${describe(name)}`);
}

/**
 * Numbers in a Float32Array, a Float64Array or a Variable, as they are, or a copy of those in an array, read once; `who`
 * expects `length` of them.
 */
export function checkNumbers(who: string, data: unknown, length?: number): Numbers {
  const given: unknown = isVariable(data) ? data.value : data;
  const numbers: unknown = Array.isArray(given) ? Array.from(given as unknown[]) : given;
  if (!Array.isArray(numbers) && dtypeOf(numbers) === undefined)
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects a Float32Array, a Float64Array or an array of numbers, got ${describe(numbers)}`,
    );
  if (!Array.isArray(numbers)) checkAttached(who, numbers as FloatArray);
  const found = countOf(numbers as Numbers);
  if (length !== undefined && found !== length)
    throw rangeError('ERR_OPT_LENGTH', `${who} expects ${length} elements, got ${found}`);
  if (Array.isArray(numbers)) checkElements(who, numbers);
  return numbers as Numbers;
}

/** The number of elements, whatever a property of an array says. */
export const countOf = (numbers: Numbers): number =>
  Array.isArray(numbers) ? numbers.length : lengthOf(numbers as FloatArray);

function checkElements(who: string, list: readonly unknown[]): void {
  const bad = list.findIndex((element) => typeof element !== 'number');
  if (bad >= 0)
    throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects numbers, got ${describe(list[bad])} at index ${bad}`);
}
