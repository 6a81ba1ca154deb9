// What Keras's files hold, as it is handed out.

/** Numbers by their dtype; those of float16 and bfloat16 as float32. */
export type KerasNumbers =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | Uint8Array
  | Uint16Array
  | Uint32Array;

/** A weight of the model, or another variable of its layers. */
export interface KerasVariable {
  /** Where it is in the file: `layers/dense/vars/0`. */
  readonly path: string;
  /** The name of its layer: `hidden`. Undefined where the file does not say it. */
  readonly layer: string | undefined;
  /** Length of each dimension. */
  readonly shape: readonly number[];
  /** Its dtype in the file: `float32`, `bfloat16`, `uint32`. */
  readonly dtype: string;
  /** Flat and row-major. */
  readonly value: KerasNumbers;
  /** Its place among the variables that the optimizer trains; undefined if it is none of them, or the file does not say it. */
  readonly place: number | undefined;
}

/** The arrays that numbers of a file come in, by dtype. */
export const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const;
