// The arrays of a file: their types, and where their bytes come from.
import { bufferOf, memoryOf, spanOf, type AnyArray } from '../arrays.ts';
import { typeError } from '../errors.ts';
import { toBfloat16 } from '../halves.ts';
import { Variable } from '../variable.ts';
import type { SavedValue } from './state_to_come.ts';
import { kPiece } from './system.ts';

/** Element types by the names of safetensors. */
export const types = {
  F64: { dtype: 'float64', size: 8 },
  I64: { dtype: 'int64', size: 8 },
  F32: { dtype: 'float32', size: 4 },
  I32: { dtype: 'int32', size: 4 },
  BF16: { dtype: 'bfloat16', size: 2 },
} as const;
export type Type = keyof typeof types;
export type SavedDtype = (typeof types)[Type]['dtype'];

const typesByDtype = new Map<string, Type>(Object.entries(types).map(([type, { dtype }]) => [dtype, type as Type]));
/** Undefined for a dtype that files of ours do not have. */
export const typeOf = (dtype: string): Type | undefined => typesByDtype.get(dtype);

/** An array that is to be written. */
export interface Tensor {
  readonly name: string;
  readonly type: Type;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly source: Variable | SavedValue;
}

export function tensorOf(name: string, source: Variable | SavedValue): Tensor {
  const { shape } = source;
  const type = typeOf(source.dtype) ?? 'F32'; // of a file of another kind
  const bytes = types[type].size * shape.reduce((product, n) => product * n, 1);
  return { name, type, shape, bytes, source };
}

type Stored = AnyArray | BigInt64Array | Int32Array;
const bytesOf = (array: Stored): Uint8Array => {
  const { begin, end } = spanOf(array as AnyArray);
  return new Uint8Array(bufferOf(array as AnyArray), begin, end - begin);
};

/**
 * The bytes of a tensor in pieces. Library memory is read in place; of a GPU there is one copy at a time; arrays of the caller's,
 * whose memory he may take away, are copied piece by piece.
 *
 * @throws TypeError `ERR_OPT_DETACHED` if memory has been transferred away
 */
export async function* piecesOf({ name, bytes: expected, type, source }: Tensor): AsyncGenerator<Uint8Array> {
  if (!(source instanceof Variable)) {
    yield* piecesIn(name, source.bytes ?? encoded(source, type), expected, false);
    return;
  }
  Variable.checkAttached(source);
  const storage = Variable.storageOf(source);
  const array = (await (storage.raw?.() ?? storage.read?.())) ?? (storage.value() as Stored);
  yield* piecesIn(name, bytesOf(array), expected, storage.array !== undefined);
  if (storage.site !== undefined) memoryOf(array as AnyArray)?.release();
}

function* piecesIn(name: string, all: Uint8Array, expected: number, copied: boolean): Generator<Uint8Array> {
  for (let begin = 0; begin < expected; begin += kPiece) {
    const end = Math.min(expected, begin + kPiece);
    if (all.length !== expected)
      throw typeError('ERR_OPT_DETACHED', `${name} expects an array with memory, its ArrayBuffer has been detached`);
    yield copied ? all.slice(begin, end) : all.subarray(begin, end);
  }
}

function encoded({ numbers }: SavedValue, type: Type): Uint8Array {
  switch (type) {
    case 'F64':
      return bytesOf(Float64Array.from(numbers));
    case 'F32':
      return bytesOf(Float32Array.from(numbers));
    case 'I64':
      return bytesOf(BigInt64Array.from(numbers, BigInt));
    case 'I32':
      return bytesOf(Int32Array.from(numbers));
    case 'BF16':
      return bytesOf(Uint16Array.from(numbers, toBfloat16));
  }
}
