// A step of TensorFlow.js's operations: what a native plan does (native/host_plan.cpp), with the same controls. Over 200 lines: one
// class, whose parts follow the order of a step.
import { stateError } from '../errors.ts';
import { addon, type Memory, type PassSpec, type Plan, type RuleInfo, type TensorSpec, type Trace } from '../native.ts';
import { calculusOf, type Value } from './calculus.ts';
import { Cell } from './cells.ts';
import { follow, type Calculus } from './trace.ts';
import type { Tensor, TensorFlow } from './tensorflow.ts';
import { descents } from './whole.ts';

type Arrays = Parameters<Plan['bind']>[0];
/** What a gradient is multiplied with, and divided by. */
type Factor = readonly [multiplier: Value, divisor: Value];
type FactorOf = (tensor: TensorSpec) => Factor;
/** What a cell gets. */
type Made = readonly [Cell, Tensor];

const neutral: Factor = [1, 1];
const kNoNorm = -1;
const kLater = -2; // and below: a norm that `norm` gives

/** The fields of a pass's control, by the addon's names. */
const controls = Object.fromEntries(addon.controls.map((name, i) => [name, i]));

/** One rule over some tensors. */
class TensorPass {
  readonly tensors: readonly TensorSpec[];
  readonly info: RuleInfo;
  readonly trace: Trace;
  readonly #control: Float64Array;

  constructor({ rule, tensors }: PassSpec, control: Float64Array) {
    this.tensors = tensors.filter(({ length }) => length > 0);
    this.info = addon.rules[rule] as RuleInfo;
    this.trace = addon.trace(rule);
    this.#control = control;
  }

  get(name: string): number {
    return this.#control[controls[name] as number] as number;
  }

  get isActive(): boolean {
    return this.get('active') !== 0;
  }

  get clips(): boolean {
    return this.isActive && (this.get('clipnorm') > 0 || this.get('global_clipnorm') > 0);
  }

  /** The rule's, as float32. */
  get scalars(): readonly number[] {
    return this.info.scalars.map((_, i) => Math.fround(this.#control[addon.controls.length + i] as number));
  }
}

export class TensorPlan implements Plan {
  readonly #tf: TensorFlow;
  readonly #calculus: Calculus<Value>;
  readonly #decay = addon.traceOfDecay();
  readonly #passes: readonly TensorPass[];
  readonly #written = new Map<Cell, Tensor>(); // by the step that runs,
  #total: Tensor | undefined; // and the norm of its gradients
  #norm: Tensor | undefined; // of the last step

  constructor(tf: TensorFlow, specs: readonly PassSpec[], control: Memory) {
    this.#tf = tf;
    this.#calculus = calculusOf(tf);
    const [numbers, size] = [new Float64Array(control.buffer()), addon.controlSize];
    this.#passes = specs.map((spec, i) => new TensorPass(spec, numbers.subarray(i * size, (i + 1) * size)));
  }

  bind(arrays: Arrays): void {
    const present = this.#passes.flatMap(({ tensors }) => tensors.filter((tensor) => isPresent(tensor, arrays)));
    for (const { sources, extra = [] } of present)
      for (const source of [...sources, ...extra]) if (source instanceof Cell) source.check();
    for (const array of arrays) if (array instanceof Cell) array.check();
  }

  run(arrays: Arrays = []): number {
    this.bind(arrays);
    try {
      return this.#tf.tidy(() => {
        this.#compute(arrays);
        return this.#commit();
      });
    } finally {
      this.#written.clear();
      this.#total = undefined;
    }
  }

  /** All that the step makes of its variables and state; nobody sees it before all of it is there. */
  #compute(arrays: Arrays): void {
    let factorOf: FactorOf | undefined;
    for (const pass of this.#passes.filter(({ isActive }) => isActive)) {
      if (pass.clips) factorOf ??= this.#clip(arrays);
      for (const tensor of pass.tensors)
        if (isPresent(tensor, arrays)) this.#update(pass, tensor, arrays, pass.clips ? factorOf : undefined);
    }
  }

  /** Writes it, which takes no memory. Says whether there is a norm. */
  #commit(): number {
    for (const [cell, tensor] of this.#written) cell.set(tensor);
    this.#norm?.dispose();
    this.#norm = this.#total && this.#tf.keep(this.#total.clone());
    return this.#norm === undefined ? kNoNorm : kLater;
  }

  /** The numbers of a cell in this step. */
  #read(cell: Cell): Tensor {
    return this.#written.get(cell) ?? cell.tensor;
  }

  #update(pass: TensorPass, tensor: TensorSpec, arrays: Arrays, factorOf: FactorOf | undefined): void {
    let cells: readonly Cell[] = [];
    const tensors = this.#tf.tidy(() => {
      const updated = this.#updated(pass, tensor, arrays, factorOf?.(tensor) ?? neutral);
      cells = updated.map(([cell]) => cell);
      return updated.map(([, made]) => made);
    });
    cells.forEach((cell, i) => this.#written.set(cell, tensors[i] as Tensor));
  }

  /** Prelude, decay, rule. */
  #updated(pass: TensorPass, tensor: TensorSpec, arrays: Arrays, factor: Factor): readonly Made[] {
    const [to, , ...slots] = tensor.sources as readonly [Cell, Cell, ...Cell[]];
    const gradient = this.#prepared(pass, this.#gradientOf(tensor, arrays), factor);
    const before = this.#read(to);
    const variable = tensor.decay ? this.#decayed(pass, before) : before;
    const kept = slots.map((slot) => this.#read(slot));
    const registers = [variable, gradient, ...kept, ...pass.scalars];
    const [result, ...states] = follow<Value>(pass.trace, registers, this.#calculus) as [Value, ...Value[]];
    const made = slots.map((slot, i): Made => [slot, states[i] as Tensor]); // all rules that have slots change them
    if (pass.info.directed) return [...made, ...this.#descended(pass, tensor, variable, result as Tensor)];
    return [...made, [to, this.#fresh(result, to.shape)]];
  }

  /** A tensor of its own: rules that copy give what they read, the one that sets 0 a number. */
  #fresh(value: Value, shape: readonly number[]): Tensor {
    return typeof value === 'number' ? this.#tf.fill([...shape], value) : value.clone();
  }

  #descended(pass: TensorPass, tensor: TensorSpec, variable: Tensor, direction: Tensor): readonly Made[] {
    const { scalars, info } = pass;
    const extra = (tensor.extra ?? []) as readonly unknown[] as readonly Cell[];
    const descended = descents[info.whole as keyof typeof descents]({
      tf: this.#tf,
      calculus: this.#calculus,
      variable,
      direction,
      scalars: Object.fromEntries(info.scalars.map((name, i) => [name, scalars[i] as number])),
      extra: extra.map((cell) => this.#read(cell)),
    });
    const further = descended.extra?.map((made, i): Made => [extra[i] as Cell, made]) ?? [];
    return [[tensor.sources[0] as unknown as Cell, descended.variable], ...further];
  }

  #decayed(pass: TensorPass, variable: Tensor): Tensor {
    const numbers = ['weight_decay', 'learning_rate'].map((name) => Math.fround(pass.get(name)));
    return follow<Value>(this.#decay, [variable, ...numbers], this.#calculus)[0] as Tensor;
  }

  #gradientOf({ sources: [, source], variable, sources: [to] }: TensorSpec, arrays: Arrays): Tensor {
    const given = typeof source === 'number' ? arrays[source] : source;
    if (given instanceof Cell) return this.#read(given);
    const shape = (to as Cell).shape;
    if (ArrayBuffer.isView(given)) return this.#tf.tensor(Float32Array.from(given as Float32Array), [...shape]);
    throw stateError('ERR_OPT_NO_GRADIENT', `no gradient for variable ${variable}`); // the engine has looked at them
  }

  /** g / unscale * multiplier / divisor, clamped; what is neutral is left out, as it changes nothing. */
  #prepared(pass: TensorPass, gradient: Tensor, [multiplier, divisor]: Factor): Tensor {
    const { multiply, divide, clamp } = this.#calculus;
    const limit = pass.get('limit');
    let g: Value = this.#unscaled(pass, gradient);
    if (multiplier !== 1) g = multiply(g, multiplier);
    if (divisor !== 1) g = divide(g, divisor);
    if (limit !== Infinity) g = clamp(g, Math.fround(limit));
    return g as Tensor;
  }

  #unscaled(pass: TensorPass, gradient: Tensor): Tensor {
    const unscale = Math.fround(pass.get('unscale'));
    return unscale === 1 ? gradient : this.#tf.div(gradient, unscale);
  }

  /** The norm of all gradients that are clipped by norm, and what they are multiplied with. Nobody waits for numbers. */
  #clip(arrays: Arrays): FactorOf {
    const tf = this.#tf;
    const squares = new Map<TensorSpec, Tensor>();
    for (const pass of this.#passes.filter(({ clips }) => clips))
      for (const tensor of pass.tensors.filter((one) => isPresent(one, arrays)))
        squares.set(
          tensor,
          tf.tidy(() => tf.sum(tf.square(this.#unscaled(pass, this.#gradientOf(tensor, arrays))))),
        );
    const total = squares.size > 0 ? tf.addN([...squares.values()]) : tf.scalar(0);
    const norm = tf.sqrt(total);
    this.#total = norm;
    const { clipnorm, global_clipnorm } = this.#limits();
    if (clipnorm > 0)
      return (tensor) => [clipnorm, this.#calculus.maximum(tf.sqrt(squares.get(tensor) as Tensor), clipnorm)];
    const inverse = tf.div(1, norm);
    const bound = Math.fround(1 / global_clipnorm);
    const smaller = tf.where(tf.less(inverse, bound), inverse, bound);
    const multiplier = tf.add(tf.mul(smaller, global_clipnorm), tf.sub(norm, norm)); // NaN and Infinity pass as in Keras
    return () => [multiplier, 1];
  }

  /** Those of an optimizer, which all of its passes have. */
  #limits(): { clipnorm: number; global_clipnorm: number } {
    const pass = this.#passes.find(({ clips }) => clips) as TensorPass;
    return { clipnorm: Math.fround(pass.get('clipnorm')), global_clipnorm: Math.fround(pass.get('global_clipnorm')) };
  }

  /** Waits, which not every backend can. */
  norm(): number {
    return this.#norm === undefined ? kNoNorm : this.#now(this.#norm);
  }

  #now(tensor: Tensor): number {
    try {
      return tensor.dataSync()[0] as number;
    } catch (cause) {
      const backend = this.#tf.getBackend();
      const message = `TensorFlow.js's backend ${backend} cannot wait for numbers, which gradient_norm and a LossScaleOptimizer need`;
      throw Object.assign(stateError('ERR_OPT_DEVICE', message), { cause });
    }
  }

  finite(arrays: Arrays): boolean {
    this.bind(arrays);
    const tf = this.#tf;
    return tf.tidy(() => {
      const given = this.#passes
        .flatMap(({ tensors }) => tensors)
        .filter((tensor) => tensor.given === true && isPresent(tensor, arrays));
      const each = given.map((tensor) => tf.tidy(() => tf.all(tf.isFinite(this.#gradientOf(tensor, arrays)))));
      return each.length === 0 || this.#now(tf.all(tf.stack(each))) !== 0;
    });
  }

  /** Asynchronous steps are refused before (lib/staging.ts). */
  runAsync(): never {
    throw stateError('ERR_OPT_NOT_ASYNC_SAFE', 'a step of tensors is run at once');
  }

  sumsAsync(): never {
    return this.runAsync();
  }

  finiteAsync(): never {
    return this.runAsync();
  }

  release(): void {
    this.#norm?.dispose();
    this.#norm = undefined;
  }
}

/** Whether there is a gradient in this step, if it takes one. */
const isPresent = ({ needs }: TensorSpec, arrays: Arrays): boolean => needs === null || arrays[needs] !== null;
