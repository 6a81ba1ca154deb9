// The passes of a plan as they were specified, with the checks of native/binding/plan.cpp, and bound to the arrays of a run, with
// those of native/host_plan.cpp.
import { rangeError, typeError } from '../errors.ts';
import type { PassSpec, Plan, RuleInfo, TensorSpec } from '../native.ts';
import { bufferOf, classOf, isDetached, lengthOf, spanOf, type View } from '../views.ts';
import { HostMemory, type Block } from './memory.ts';

type Brought = Parameters<Plan['run']>[0];

/** How the addon numbers them. */
const storages = ['plain', 'bfloat16', 'float16'];
const dtypeNames = ['float32', 'float64'];
const classes = ['Float32Array', 'Float64Array', 'Uint16Array', 'Uint32Array'];
const rowsClass = 'Uint32Array';

/** Bytes in a buffer. */
export interface Place {
  readonly buffer: ArrayBufferLike;
  readonly begin: number;
}

/** An array of a tensor: a block of memory, or the one that is brought as `arrays[late]`, which lies at `at` during a run. */
export interface Stream {
  readonly late: number; // -1: none
  storage: number;
  length: number; // elements
  at: Place | undefined;
}

export interface Tensor {
  readonly variable: number;
  readonly length: number;
  /** Of a part of a variable: its first element, and the place of its first block among the sums of a run in two halves. */
  readonly first: number;
  readonly firstSum: number;
  readonly decay: boolean;
  readonly given: boolean;
  readonly needs: number; // -1: none
  /** The variable, its gradient, and the slots. */
  readonly streams: readonly Stream[];
  /** Where the rows are brought that the gradient has; -1: it is dense. */
  readonly rowsLate: number;
  readonly columns: number;
  readonly shape: readonly number[];
  readonly extra: readonly Block[];
  skip: boolean;
  rows: Uint32Array;
  multiplier: number;
  divisor: number;
}

export interface Pass {
  readonly rule: number;
  readonly info: RuleInfo;
  readonly dtype: number;
  /** Bytes of an element that is stored plainly. */
  readonly size: number;
  readonly half: number;
  readonly tensors: readonly Tensor[];
  /** Of a directed rule, whose tensors are the directions: subtracts them. */
  readonly descent?: Pass;
}

export const bytesOf = ({ storage }: Stream, { size }: Pick<Pass, 'size'>): number => (storage === 0 ? size : 2);

/** A whole number below a limit. */
function whole(value: unknown, limit = 2 ** 53): number {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= limit)
    throw rangeError('ERR_OPT_CONFIG_RANGE', 'a number of a plan is out of range');
  return value as number;
}

function storageNamed(name: string = 'plain'): number {
  const storage = storages.indexOf(name);
  if (storage < 0) throw rangeError('ERR_OPT_CONFIG_RANGE', `unknown storage ${name}`);
  return storage;
}

const streamOver = (source: unknown, storage: number, length: number): Stream =>
  typeof source === 'number'
    ? { late: whole(source, 2 ** 30), storage, length, at: undefined }
    : { late: -1, storage, length, at: HostMemory.blockOf(source) };

const holds = ({ at }: Stream, bytes: number): boolean => at === undefined || (at as Block).bytes >= bytes;

/** Whether the streams of a tensor are as many as its rule has, in storages that it reads, in memory that is large enough. */
function fits(streams: readonly Stream[], length: number, { info, size }: Omit<Pass, 'tensors'>): boolean {
  const isFit = (stream: Stream, i: number) => {
    const { storage, at } = stream;
    const isStored = storage !== 0;
    if (isStored && (size !== 4 || i === 0 || (i > 1 && storages[storage] !== 'bfloat16'))) return false;
    if (i > 1 && (storage !== streams[2]?.storage || (isStored && at === undefined))) return false;
    return holds(stream, length * bytesOf(stream, { size }));
  };
  return streams.length === 2 + info.slots.length && streams.every(isFit);
}

function tensorOf(spec: TensorSpec, pass: Omit<Pass, 'tensors'>, variables: number): Tensor {
  const length = whole(spec.length);
  const variable = whole(spec.variable, variables);
  const streams = spec.sources.map((source, i) => streamOver(source, storageNamed(spec.storages?.[i]), length));
  if (!fits(streams, length, pass)) throw rangeError('ERR_OPT_LENGTH', 'a tensor does not fit its rule or its memory');
  const { decay, given = false, needs, rows, columns, first = 0, firstSum = 0 } = spec;
  const isSparse = rows !== undefined;
  return {
    ...{ variable, length, decay, given, streams, skip: false, multiplier: 1, divisor: 1 },
    ...{ first: whole(first), firstSum: whole(firstSum) },
    needs: needs === null ? -1 : whole(needs, 2 ** 30),
    ...(isSparse ? { rowsLate: whole(rows, 2 ** 30), columns: whole(columns) } : { rowsLate: -1, columns: 0 }),
    rows: new Uint32Array(0),
    shape: (spec.shape ?? []).map((n) => whole(n)),
    extra: (spec.extra ?? []).map((memory) => HostMemory.blockOf(memory)),
  };
}

/** Where the direction of a tensor goes, if that and what else it keeps fit: factors have a number for each row, column and element. */
function directionOf({ direction }: TensorSpec, { shape, extra, length }: Tensor, { info, size }: Pass): Stream {
  const stream = streamOver(HostMemory.blockOf(direction) && direction, 0, length);
  const [batch = 0, rows = 0, columns = 0] = shape;
  const kept = info.whole === 'factored' ? [batch * rows, batch * columns, length] : [];
  const isFit =
    batch * rows * columns === length &&
    extra.length === kept.length &&
    kept.every((n, i) => (extra[i] as Block).bytes >= n * size);
  if (!isFit || !holds(stream, length * size))
    throw rangeError('ERR_OPT_LENGTH', 'a tensor does not fit its shape or its memory');
  return stream;
}

/** A pass of a plan of so many variables. */
export function passOf(spec: PassSpec, rules: readonly RuleInfo[], variables: number): Pass {
  const rule = whole(spec.rule, rules.length);
  const dtype = whole(spec.dtype, dtypeNames.length);
  const head = { rule, info: rules[rule] as RuleInfo, dtype, size: dtype === 0 ? 4 : 8, half: storageNamed(spec.half) };
  const tensors = spec.tensors.map((tensor) => tensorOf(tensor, head, variables));
  if (tensors.some(({ rowsLate }) => rowsLate >= 0) && tensors.some(({ rowsLate }) => rowsLate < 0))
    throw rangeError('ERR_OPT_LENGTH', 'expected rows for all tensors of a pass, or for none');
  const pass = { ...head, tensors };
  return pass.info.directed ? directed(spec, pass, rules) : pass;
}

function directed(spec: PassSpec, pass: Pass, rules: readonly RuleInfo[]): Pass {
  const directions = pass.tensors.map((tensor, t) => directionOf(spec.tensors[t] as TensorSpec, tensor, pass));
  const rule = rules.findIndex(({ name }) => name === 'descend');
  const each = (change: (tensor: Tensor, direction: Stream) => Partial<Tensor>) =>
    pass.tensors.map((tensor, t) => ({ ...tensor, ...change(tensor, directions[t] as Stream) }));
  const descending = each(({ streams: [variable] }, direction) => ({
    streams: [variable as Stream, direction],
    given: false,
  }));
  const descent = { ...pass, rule, info: rules[rule] as RuleInfo, tensors: descending };
  const streamsOf = ({ streams: [, ...rest] }: Tensor, direction: Stream) => [direction, ...rest];
  return { ...pass, descent, tensors: each((tensor, way) => ({ streams: streamsOf(tensor, way), decay: false })) };
}

/** How many arrays are brought to a run of these passes. */
export function broughtTo(passes: readonly Pass[]): number {
  const late = passes
    .flatMap((pass) => pass.tensors)
    .flatMap(({ needs, rowsLate, streams }) => [needs, rowsLate, ...streams.map((stream) => stream.late)]);
  return late.reduce((most, index) => Math.max(most, index + 1), 0);
}

/** What was brought, each once; null for what is absent. Throws for anything that is no array of numbers. */
export function arraysOf(list: Brought, count: number): readonly (View | null)[] {
  if (count === 0) return [];
  if (!Array.isArray(list)) throw typeError('ERR_OPT_ARRAY_TYPE', 'expected a list of arrays');
  return Array.from({ length: count }, (_, i) => {
    const array = (list as readonly unknown[])[i] as View | null | undefined;
    if (array === null || array === undefined) return null;
    if (!classes.includes(classOf(array) ?? ''))
      throw typeError(
        'ERR_OPT_ARRAY_TYPE',
        `arrays[${i}] is no ${classes.slice(0, -1).join(', ')} or ${classes.at(-1)}`,
      );
    if (lengthOf(array) === 0 && isDetached(array))
      throw typeError('ERR_OPT_DETACHED', `arrays[${i}]: its ArrayBuffer has been detached`);
    return array;
  });
}

/** Points every stream to what was brought for it. Throws, with nothing written. */
export function bind(passes: readonly Pass[], arrays: readonly (View | null)[]): void {
  for (const pass of passes) for (const tensor of pass.tensors) bindTensor(tensor, pass, arrays);
}

/** Keeps nothing that was brought alive. */
export function unbind(passes: readonly Pass[]): void {
  for (const { streams } of passes.flatMap(({ tensors }) => tensors))
    for (const stream of streams) if (stream.late >= 0) stream.at = undefined;
}

/**
 * Copies the gradients that were brought, in which nothing is written: a step that goes on later does not see what becomes of their
 * memory.
 */
export function keepGradients(passes: readonly Pass[]): void {
  const copies = new Map<number, Place>();
  for (const pass of passes)
    for (const { given, streams } of pass.tensors) {
      const gradient = streams[1] as Stream;
      const { late, at } = gradient;
      if (!given || late < 0 || at === undefined) continue;
      const bytes = gradient.length * bytesOf(gradient, pass);
      const copy = copies.get(late) ?? { buffer: new Uint8Array(at.buffer, at.begin, bytes).slice().buffer, begin: 0 };
      copies.set(late, copy);
      gradient.at = copy;
    }
}

function bindTensor(tensor: Tensor, pass: Pass, arrays: readonly (View | null)[]): void {
  const { needs, rowsLate, streams, length, columns } = tensor;
  tensor.skip = needs >= 0 && arrays[needs] === null;
  if (tensor.skip) return;
  const isSparse = rowsLate >= 0;
  if (isSparse) tensor.rows = rowsIn(arrays[rowsLate] ?? null, tensor);
  for (const [i, stream] of streams.entries()) {
    if (stream.late < 0) continue;
    stream.length = isSparse && i === 1 ? tensor.rows.length * columns : length;
    const array = arrays[stream.late] ?? null;
    stream.storage = storageIn(array, stream.late, i, pass, stream.length);
    stream.at = { buffer: bufferOf(array as View), begin: spanOf(array as View).begin };
  }
  checkThere(tensor);
  if (!isSparse && streams.some(({ late }) => late >= 0)) checkApart(tensor, pass);
}

/** The storage of a stream in an array that was brought. */
function storageIn(array: View | null, late: number, source: number, { dtype, half }: Pass, length: number): number {
  const name = `arrays[${late}]`;
  if (array === null) throw typeError('ERR_OPT_ARRAY_TYPE', `${name} is missing`);
  const found = classOf(array) as string;
  const isHalf = found === 'Uint16Array' && source === 1 && dtype === 0 && half !== 0;
  if (!isHalf && found !== classes[dtype])
    throw typeError('ERR_OPT_ARRAY_TYPE', `${name} is a ${found}, its tensor is ${dtypeNames[dtype]}`);
  if (lengthOf(array) !== length)
    throw rangeError('ERR_OPT_LENGTH', `${name} has ${lengthOf(array)} elements, its tensor has ${length}`);
  return isHalf ? half : 0;
}

function rowsIn(array: View | null, { rowsLate, columns, length }: Tensor): Uint32Array {
  const name = `arrays[${rowsLate}]`;
  if (array === null || classOf(array) !== rowsClass)
    throw typeError('ERR_OPT_ARRAY_TYPE', `${name} is no Uint32Array of rows`);
  const rows = new Uint32Array(bufferOf(array), spanOf(array).begin, lengthOf(array));
  const limit = columns > 0 ? Math.floor(length / columns) : Infinity;
  if (rows.some((row, i) => row >= limit || (i > 0 && row <= (rows[i - 1] as number))))
    throw rangeError('ERR_OPT_LENGTH', `${name} is not ascending, or not within its tensor`);
  return rows;
}

/** Memory can be transferred away, which native code does not notice. */
function checkThere({ streams, extra, variable }: Tensor): void {
  const blocks = [...streams.flatMap(({ late, at }) => (late < 0 ? [at as Block] : [])), ...extra];
  if (blocks.some(({ isThere }) => !isThere))
    throw typeError('ERR_OPT_DETACHED', `memory of variable ${variable}: its ArrayBuffer has been detached`);
}

function checkApart({ streams, variable, length }: Tensor, pass: Pass): void {
  const endOf = (stream: Stream) => (stream.at as Place).begin + length * bytesOf(stream, pass);
  const overlap = (a: Stream, b: Stream) =>
    a.at?.buffer === b.at?.buffer && (a.at as Place).begin < endOf(b) && (b.at as Place).begin < endOf(a);
  if (streams.some((a, i) => streams.slice(0, i).some((b) => overlap(a, b))))
    throw rangeError('ERR_OPT_ALIAS', `two arrays of variable ${variable} overlap in memory`);
}
