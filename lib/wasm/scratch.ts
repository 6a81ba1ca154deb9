// The memory of an instance of the kernels, through which all numbers pass: a stage for each stream of a tensor, and room for what
// is needed whole. Nothing in it lasts: what yields to the event loop finds it changed.
import { typeError } from '../errors.ts';
import { instantiated, type Compiled, type Instance, type Pointer } from './kernels.ts';
import { bytesOf, type Pass, type Place, type Stream, type Tensor } from './passes.ts';

/** Elements of a block, by which the kernels order their sums, and of a stage. */
export const kBlock = 16384;
export const blocksOf = (length: number): number => Math.ceil(length / kBlock);

const kLine = 64; // bytes
const kStreams = 6; // of a tensor: the variable, its gradient, slots
const kApart = 576; // bytes: stages lie at different places of their pages
const kLanes = 128; // sums of a block
export const lines = (bytes: number): number => Math.ceil(bytes / kLine) * kLine;

const kFloat64 = Float64Array.BYTES_PER_ELEMENT;
const kWord = Uint32Array.BYTES_PER_ELEMENT;
const kStage = lines(kBlock * kFloat64 + kApart);
const kHead = 4096; // bytes: what the kernels are told

/** Some bytes of a buffer. */
export function view({ buffer, begin }: Place, at: number, bytes: number): Uint8Array {
  if (buffer.byteLength === 0 && bytes > 0)
    throw typeError('ERR_OPT_DETACHED', 'an ArrayBuffer has been detached while a step was using it');
  return new Uint8Array(buffer, begin + at, bytes);
}

export class Scratch {
  readonly kernels: Instance['kernels'];
  /** Bytes from `room` on. */
  readonly roomBytes: number;
  readonly room: Pointer;
  readonly tensor: Pointer;
  readonly control: Pointer;
  readonly shape: Pointer;
  readonly extra: Pointer;
  readonly #factor: Pointer;
  readonly #lanes: Pointer;
  readonly #stages: readonly Pointer[];
  readonly #layout: Instance['layout'];
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(compiled: Compiled, roomBytes: number) {
    const { kernels, layout, buffer, heapBase } = instantiated(compiled, kHead + kStreams * kStage + roomBytes);
    this.kernels = kernels;
    this.roomBytes = roomBytes;
    this.tensor = heapBase;
    this.control = this.tensor + lines(layout.tensorBytes);
    this.shape = this.control + lines(layout.controlBytes);
    this.extra = this.shape + kLine;
    this.#factor = this.extra + kLine;
    this.#lanes = this.#factor + kLine;
    this.#stages = Array.from({ length: kStreams }, (_, i) => heapBase + kHead + i * kStage);
    this.room = heapBase + kHead + kStreams * kStage;
    this.#layout = layout;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  /** Writes the Control of a pass, and the Tensor whose streams are the stages; `begin` is the element at their beginning. */
  describe(
    { streams, length, first, variable, decay, multiplier, divisor }: Tensor,
    begin: number,
    control: Float64Array,
  ): void {
    const [view, at, offset] = [this.#view, this.tensor, this.#layout];
    this.#bytes.fill(0, at, at + offset.tensorBytes);
    streams.forEach(({ storage }, i) => {
      this.#word(
        at + (i === 0 ? offset.p : i === 1 ? offset.g : offset.slots + (i - 2) * kWord),
        this.#stages[i] as Pointer,
      );
      view.setUint8(at + offset.storage + i, storage);
    });
    this.#word(at + offset.length, length);
    this.#word(at + offset.first, first + begin);
    this.#word(at + offset.variable, variable);
    view.setUint8(at + offset.decay, Number(decay));
    view.setFloat64(at + offset.multiplier, multiplier, true);
    view.setFloat64(at + offset.divisor, divisor, true);
    this.#doubles(this.control, control.length).set(control);
  }

  /** The gradient lies there, not in its stage. */
  setGradient(at: Pointer): void {
    this.#word(this.tensor + this.#layout.g, at);
  }

  /** Copies elements of a stream into its stage. */
  load(i: number, stream: Stream, pass: Pass, begin: number, length: number): void {
    const bytes = bytesOf(stream, pass);
    this.put(this.#stages[i] as Pointer, stream.at as Place, begin * bytes, length * bytes);
  }

  /** And back. */
  store(i: number, stream: Stream, pass: Pass, begin: number, length: number): void {
    const bytes = bytesOf(stream, pass);
    this.get(this.#stages[i] as Pointer, stream.at as Place, begin * bytes, length * bytes);
  }

  clear(i: number): void {
    this.#bytes.fill(0, this.#stages[i], (this.#stages[i] as Pointer) + kStage);
  }

  put(to: Pointer, from: Place, at: number, bytes: number): void {
    this.#bytes.set(view(from, at, bytes), to);
  }

  get(from: Pointer, to: Place, at: number, bytes: number): void {
    view(to, at, bytes).set(this.#bytes.subarray(from, from + bytes));
  }

  putWords(to: Pointer, numbers: readonly number[]): void {
    numbers.forEach((number, i) => this.#word(to + i * kWord, number));
  }

  /** The sum of the sums of blocks, in the order that is promised. */
  fold(sums: ArrayLike<number>): number {
    this.#doubles(this.room, sums.length).set(sums);
    return this.kernels.foldPairwise(this.room, sums.length);
  }

  /** The sum of squares of a block, to which `add` adds. */
  sumOf(add: (lanes: Pointer, gradients: Pointer) => void): number {
    this.#doubles(this.#lanes, kLanes).fill(0);
    add(this.#lanes, this.#stages[1] as Pointer);
    return this.kernels.foldLanes(this.#lanes);
  }

  /** What a gradient is multiplied and divided by. */
  factorOf(write: (to: Pointer) => void): Pick<Tensor, 'multiplier' | 'divisor'> {
    write(this.#factor);
    return this.#factorAt(this.#factor, this.#factor + kFloat64);
  }

  /** The same of the Tensor. */
  steered(): Pick<Tensor, 'multiplier' | 'divisor'> {
    return this.#factorAt(this.tensor + this.#layout.multiplier, this.tensor + this.#layout.divisor);
  }

  #factorAt(multiplier: Pointer, divisor: Pointer) {
    const number = (at: Pointer) => this.#view.getFloat64(at, true);
    return { multiplier: number(multiplier), divisor: number(divisor) };
  }

  #word(at: Pointer, number: number): void {
    this.#view.setUint32(at, number, true); // modulo 2^32
  }

  #doubles(at: Pointer, length: number): Float64Array {
    return new Float64Array(this.#bytes.buffer, at, length);
  }
}
