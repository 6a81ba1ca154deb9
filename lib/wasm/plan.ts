// A plan as native/host_plan.cpp has it, over kernels that see a stage at a time: the same work in the same order. It is a generator,
// that a step off the event loop goes through in parts.
import { rangeError, stateError } from '../errors.ts';
import type { PassSpec, Plan } from '../native.ts';
import { start } from './driver.ts';
import type { Compiled, WasmTables } from './kernels.ts';
import { HostMemory, type Block } from './memory.ts';
import {
  arraysOf,
  bind,
  broughtTo,
  keepGradients,
  passOf,
  unbind,
  type Pass,
  type Stream,
  type Tensor,
} from './passes.ts';
import { blocksOf, kBlock, lines, Scratch } from './scratch.ts';
import { gapsOf, spansOf, type Span } from './spans.ts';

type Arrays = Parameters<Plan['run']>[0];
type Done = Parameters<Plan['runAsync']>[2];
type Parts<R = void> = Generator<void, R>;

/** What plans have in common. */
export interface Workshop extends Pick<WasmTables, 'rules' | 'controls' | 'controlSize'> {
  readonly compiled: Compiled;
  /** For all plans that need no more room. */
  readonly scratch: Scratch;
}

const there = ({ tensors }: Pass): readonly Tensor[] => tensors.filter(({ skip }) => !skip);

function* stages(length: number): Generator<Span, void> {
  for (let begin = 0; begin < length; begin += kBlock)
    yield { begin, from: begin, length: Math.min(kBlock, length - begin) };
}

export class WasmPlan implements Plan {
  readonly #workshop: Workshop;
  readonly #scratch: Scratch;
  readonly #control: Block; // of each pass
  readonly #variables: number;
  readonly #brought: number; // arrays
  #passes: readonly Pass[] | undefined;
  #norm = -1; // of the last run
  #running = false;

  constructor(workshop: Workshop, specs: readonly PassSpec[], variables: number, control: unknown) {
    this.#workshop = workshop;
    this.#control = HostMemory.blockOf(control);
    this.#variables = variables;
    this.#passes = specs.map((spec) => passOf(spec, workshop.rules, variables));
    if (this.#control.bytes < specs.length * workshop.controlSize * 8)
      throw rangeError('ERR_OPT_LENGTH', `expected memory for ${specs.length} controls`);
    this.#brought = broughtTo(this.#bound);
    this.#scratch = this.#scratchFor(this.#passes);
  }

  run(arrays?: Arrays): number {
    return this.#now(arrays, this.#step());
  }

  norm(i: number): number {
    this.#checkIdle();
    if (!Number.isInteger(i) || i < 0) throw rangeError('ERR_OPT_CONFIG_RANGE', 'a number of a plan is out of range');
    return this.#norm;
  }

  bind(arrays: Arrays): void {
    this.#bind(arrays);
    unbind(this.#bound);
  }

  finite(arrays: Arrays): boolean {
    return this.#now(arrays, this.#isFinite()) === 1;
  }

  runAsync(arrays: Arrays, held: readonly unknown[], done: Done, squares?: unknown): void {
    const given = squares === undefined ? undefined : this.#doublesIn(squares, this.#variables);
    this.#later(arrays, held, done, given === undefined ? this.#step() : this.#afterSums(given));
  }

  sumsAsync(arrays: Arrays, held: readonly unknown[], done: Done, sums: unknown): void {
    const tensors = (this.#passes ?? []).flatMap((pass) => pass.tensors);
    const ends = tensors.map(({ firstSum, length }) => firstSum + blocksOf(length));
    const to = this.#doublesIn(
      sums,
      ends.reduce((most, end) => Math.max(most, end), 0),
    );
    this.#later(arrays, held, done, this.#sums(to));
  }

  /** Memory for so many numbers. */
  #doublesIn(memory: unknown, length: number): Float64Array {
    const { buffer, begin, bytes } = HostMemory.blockOf(memory);
    if (bytes < length * 8) throw rangeError('ERR_OPT_LENGTH', 'the sums of a plan do not fit their memory');
    return new Float64Array(buffer, begin, length);
  }

  finiteAsync(arrays: Arrays, held: readonly unknown[], done: Done): void {
    this.#later(arrays, held, done, this.#isFinite());
  }

  release(): void {
    this.#checkIdle();
    this.#passes = undefined;
  }

  /** With those that descend. */
  get #bound(): readonly Pass[] {
    return (this.#passes ?? []).flatMap((pass) => (pass.descent ? [pass, pass.descent] : [pass]));
  }

  #checkIdle(): void {
    if (this.#passes === undefined) throw stateError('ERR_OPT_DISPOSED', 'this plan has been disposed of');
    if (this.#running) throw stateError('ERR_OPT_BUSY', 'this plan is running');
  }

  #now(arrays: Arrays, parts: Parts<number>): number {
    this.#bind(arrays);
    try {
      for (;;) {
        const { done, value } = parts.next();
        if (done) return value;
      }
    } finally {
      unbind(this.#bound);
    }
  }

  #later(arrays: Arrays, held: readonly unknown[], done: Done, parts: Parts<number>): void {
    this.#checkIdle();
    for (const memory of held) HostMemory.blockOf(memory);
    this.#bind(arrays);
    keepGradients(this.#bound);
    this.#running = true;
    const ended: Done = (result, error) => {
      this.#running = false;
      unbind(this.#bound);
      done(result, error);
    };
    start({ parts, done: ended });
  }

  #bind(list: Arrays): void {
    this.#checkIdle();
    const arrays = arraysOf(list, this.#brought);
    this.#checkIdle(); // functions of the caller's may have run
    try {
      bind(this.#bound, arrays);
    } catch (error) {
      unbind(this.#bound);
      throw error;
    }
  }

  // the work of a step

  *#step(): Parts<number> {
    const [before, after] = this.#halves();
    for (const pass of before) yield* this.#run(pass);
    const clipping = after.filter((pass) => this.#clips(pass));
    this.#norm = clipping.length === 0 ? -1 : this.#clip(clipping, yield* this.#squares(clipping));
    for (const pass of after) yield* this.#run(pass);
    return this.#norm;
  }

  /** What comes before the first clipping, and the rest. */
  #halves(): readonly [readonly Pass[], readonly Pass[]] {
    const passes = this.#passes ?? [];
    const clipping = passes.findIndex((pass) => this.#clips(pass));
    const first = clipping < 0 ? passes.length : clipping;
    return [passes.slice(0, first), passes.slice(first)];
  }

  /** The first half of a step on parts: writes the sums of squares of their blocks. */
  *#sums(to: Float64Array): Parts<number> {
    const [before, after] = this.#halves();
    for (const pass of before) yield* this.#run(pass);
    for (const pass of after.filter((one) => this.#clips(one)))
      for (const tensor of there(pass)) to.set(yield* this.#sumsOf(pass, tensor), tensor.firstSum);
    return -1;
  }

  /** The second half, with the squares of all variables. */
  *#afterSums(squares: Float64Array): Parts<number> {
    const [, after] = this.#halves();
    const clipping = after.filter((pass) => this.#clips(pass));
    this.#norm = this.#clip(clipping, squares);
    for (const pass of after) yield* this.#run(pass);
    return this.#norm;
  }

  #controlOf(pass: Pass): Float64Array {
    const { controlSize } = this.#workshop;
    const i = (this.#passes ?? []).indexOf(pass);
    return new Float64Array(this.#control.buffer, i * controlSize * 8, controlSize);
  }

  #number(control: Float64Array, name: string): number {
    return control[this.#workshop.controls.indexOf(name)] as number;
  }

  #clips(pass: Pass): boolean {
    const control = this.#controlOf(pass);
    const [active, own, global] = ['active', 'clipnorm', 'global_clipnorm'].map((name) => this.#number(control, name));
    return active !== 0 && ((own as number) > 0 || (global as number) > 0);
  }

  *#run(pass: Pass): Parts {
    const control = this.#controlOf(pass);
    if (this.#number(control, 'active') === 0) return;
    for (const tensor of there(pass))
      if (tensor.rowsLate >= 0) yield* this.#updateRows(pass, tensor, control);
      else if (pass.descent) yield* this.#descend(pass, tensor, pass.descent, control);
      else for (const span of stages(tensor.length)) yield this.#update(pass, tensor, span, control);
  }

  #update(pass: Pass, tensor: Tensor, { begin, from, length }: Span, control: Float64Array, zeros = false): void {
    const { streams } = tensor;
    const scratch = this.#scratch;
    scratch.describe(tensor, begin, control);
    streams.forEach((stream, i) =>
      scratch.load(i, stream, pass, i === 1 ? from : begin, zeros && i === 1 ? 0 : length),
    );
    if (zeros) scratch.clear(1);
    scratch.kernels.update(pass.rule, pass.dtype, scratch.tensor, 0, length, scratch.control);
    streams.forEach((stream, i) => i !== 1 && scratch.store(i, stream, pass, begin, length));
  }

  /** Only what has a gradient, unless a gradient of 0 is none any more when it comes to the rule. */
  *#updateRows(pass: Pass, tensor: Tensor, control: Float64Array): Parts {
    const { rows, columns, length } = tensor;
    for (const span of spansOf(rows, columns)) yield this.#update(pass, tensor, span, control);
    if (!this.#losesZero(pass, tensor, control)) return;
    for (const span of gapsOf(rows, columns, length)) yield this.#update(pass, tensor, span, control, true);
  }

  #losesZero({ dtype }: Pass, { multiplier, divisor }: Tensor, control: Float64Array): boolean {
    const loses = (x: number) => !(0 * x === 0);
    const least = dtype === 0 ? 2 ** -126 : Number.MIN_VALUE;
    const scalars = control.subarray(this.#workshop.controls.length);
    return !(Math.abs(this.#number(control, 'unscale')) >= least) || loses(multiplier / divisor) || scalars.some(loses);
  }

  // norms

  *#squares(passes: readonly Pass[]): Parts<Float64Array> {
    const squares = new Float64Array(this.#variables);
    for (const pass of passes)
      for (const tensor of there(pass)) squares[tensor.variable] = yield* this.#squaresOf(pass, tensor);
    return squares;
  }

  #clip(passes: readonly Pass[], squares: Float64Array): number {
    const total = squares.reduce((sum, square) => sum + square, 0);
    for (const pass of passes) for (const tensor of pass.tensors) this.#setFactor(pass, tensor, squares, total);
    return Math.sqrt(total);
  }

  #setFactor(pass: Pass, tensor: Tensor, squares: Float64Array, total: number): void {
    const { kernels } = this.#scratch;
    const control = this.#controlOf(pass);
    const [own, global] = [this.#number(control, 'clipnorm'), this.#number(control, 'global_clipnorm')];
    const factor = this.#scratch.factorOf((to) =>
      own > 0
        ? kernels.clipFactor(pass.dtype, squares[tensor.variable] as number, own, to)
        : kernels.globalClipFactor(pass.dtype, total, global, to),
    );
    Object.assign(tensor, factor);
  }

  *#squaresOf(pass: Pass, tensor: Tensor): Parts<number> {
    const unscale = this.#number(this.#controlOf(pass), 'unscale');
    if (tensor.rowsLate >= 0) return yield* this.#squaresOfRows(pass, tensor, unscale);
    return this.#scratch.fold(yield* this.#sumsOf(pass, tensor));
  }

  /** Of the blocks of a dense gradient. */
  *#sumsOf(pass: Pass, tensor: Tensor): Parts<readonly number[]> {
    const unscale = this.#number(this.#controlOf(pass), 'unscale');
    const sums: number[] = [];
    for (const span of stages(tensor.length)) {
      this.#loadGradient(pass, tensor, span);
      const { kernels, tensor: at } = this.#scratch;
      sums.push(kernels.sumOfSquares(pass.dtype, at, 0, span.length, unscale));
      yield;
    }
    return sums;
  }

  /** The same sums as of the dense gradient: those of blocks without a row are 0. */
  *#squaresOfRows(pass: Pass, tensor: Tensor, unscale: number): Parts<number> {
    const sums = new Float64Array(blocksOf(tensor.length));
    const scratch = this.#scratch;
    const blocks = new Map<number, Span[]>();
    for (const span of spansOf(tensor.rows, tensor.columns)) {
      const block = Math.floor(span.begin / kBlock);
      const spans = blocks.get(block) ?? [];
      spans.push(span);
      blocks.set(block, spans);
    }
    for (const [block, spans] of blocks) {
      sums[block] = scratch.sumOf((lanes, g) => {
        for (const { begin, from, length } of spans) {
          scratch.load(1, tensor.streams[1] as Stream, pass, from, length);
          scratch.kernels.addSquares(pass.dtype, lanes, begin % 128, g, length, unscale);
        }
      });
      yield;
    }
    return tensor.rows.length > 0 ? scratch.fold(sums) : 0;
  }

  #loadGradient(pass: Pass, tensor: Tensor, { from, length }: Span): void {
    this.#scratch.describe(tensor, from, this.#controlOf(pass));
    this.#scratch.load(1, tensor.streams[1] as Stream, pass, from, length);
  }

  *#isFinite(): Parts<number> {
    for (const pass of this.#passes ?? [])
      for (const tensor of there(pass).filter(({ given }) => given)) {
        for (const span of stages((tensor.streams[1] as Stream).length)) {
          this.#loadGradient(pass, tensor, span);
          const { kernels, tensor: at } = this.#scratch;
          if (kernels.finite(pass.dtype, at, 0, span.length) === 0) return 0;
          yield;
        }
      }
    return 1;
  }

  // directed rules

  *#descend(pass: Pass, tensor: Tensor, descent: Pass, control: Float64Array): Parts {
    const descending = descent.tensors[pass.tensors.indexOf(tensor)] as Tensor;
    const own = this.#descentControl(control);
    const scratch = this.#scratch;
    const { kernels } = scratch;
    const sums: { readonly squares: number[]; readonly direction: number[] } = { squares: [], direction: [] };
    for (const span of stages(tensor.length)) {
      this.#update(pass, tensor, span, control);
      scratch.describe(descending, span.begin, own);
      descending.streams.forEach((stream, i) => scratch.load(i, stream, pass, span.begin, span.length));
      sums.squares.push(kernels.sumOfDecayed(pass.dtype, scratch.tensor, 0, span.length, scratch.control));
      sums.direction.push(kernels.sumOfSquares(pass.dtype, scratch.tensor, 0, span.length, 1));
      yield;
    }
    this.#steer(pass, descending, control, scratch.fold(sums.squares), scratch.fold(sums.direction));
    for (const span of stages(tensor.length)) yield this.#update(descent, descending, span, own);
  }

  /** It is active, and decays, as the directed pass. */
  #descentControl(control: Float64Array): Float64Array {
    const kept = ['active', 'weight_decay', 'learning_rate'];
    const neutral: Readonly<Record<string, number>> = { unscale: 1, limit: Infinity };
    return Float64Array.from(control, (number, i) => {
      const name = this.#workshop.controls[i] ?? '';
      return kept.includes(name) ? number : (neutral[name] ?? 0);
    });
  }

  /** Says how a direction is subtracted. What the rule looks at as a whole is copied into the room. */
  #steer(pass: Pass, tensor: Tensor, control: Float64Array, squares: number, directionSquares: number): void {
    const scratch = this.#scratch;
    const { kernels, room } = scratch;
    const whole = wholeOf(pass, tensor);
    const places = placesOf(whole);
    whole.forEach(({ at, bytes }, i) => scratch.put(room + (places[i] as number), at, 0, bytes));
    scratch.describe(tensor, 0, control);
    const [direction, ...extra] = places.slice(0, -1).map((place) => room + place);
    if (direction !== undefined) scratch.setGradient(direction);
    scratch.putWords(scratch.extra, extra);
    scratch.putWords(scratch.shape, tensor.shape);
    kernels.steer(
      ...[pass.rule, pass.dtype, scratch.tensor, scratch.control, scratch.shape, squares, directionSquares],
      ...([scratch.extra, room + (places.at(-1) as number)] as const),
    );
    Object.assign(tensor, scratch.steered());
    whole.forEach(({ at, bytes }, i) => scratch.get(room + (places[i] as number), at, 0, bytes));
  }

  /** The common one, or one with more room. */
  #scratchFor(passes: readonly Pass[]): Scratch {
    const { scratch, compiled } = this.#workshop;
    const { kernels } = scratch;
    const rooms = passes.flatMap((pass) =>
      (pass.descent ?? pass).tensors.map((tensor) => {
        const [batch = 0, rows = 0, columns = 0] = tensor.shape;
        const workspace = pass.descent ? kernels.workspaceBytes(pass.rule, pass.dtype, batch, rows, columns) : 0;
        const whole = placesOf(wholeOf(pass, tensor)).at(-1) as number;
        return Math.max(whole + workspace, blocksOf(tensor.length) * 8);
      }),
    );
    const room = rooms.reduce((most, bytes) => Math.max(most, bytes), 0);
    if (room <= scratch.roomBytes) return scratch;
    try {
      return new Scratch(compiled, room);
    } catch {
      throw rangeError('ERR_OPT_OOM', 'out of memory for the plan of a step');
    }
  }
}

/** What a directed rule looks at as a whole: the direction, and what it keeps. */
function wholeOf({ info, size }: Pass, { streams, extra, length }: Tensor) {
  if (info.whole !== 'factored' && info.whole !== 'orthogonal') return [];
  const direction = { at: (streams[1] as Stream).at as Block, bytes: length * size };
  return [direction, ...extra.map((block) => ({ at: block, bytes: block.bytes }))];
}

/** Where they lie in the room, one after the other; and where they end. */
function placesOf(whole: readonly { readonly bytes: number }[]): readonly number[] {
  const places = [0];
  for (const { bytes } of whole) places.push((places.at(-1) as number) + lines(bytes));
  return places;
}
