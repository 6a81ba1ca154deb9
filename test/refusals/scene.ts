// Where bad input comes: an optimizer of each class after its first step, with every flag somewhere.
import { Adam, Variable, type FloatArray, type Optimizer } from '../../lib/index.ts';
import { makers } from '../optimizers.ts';

export interface Scene {
  readonly optimizer: Optimizer;
  /** Of two float32 elements. */
  readonly kernel: Variable;
  /** Of one float64 element. */
  readonly bias: Variable;
}

/** Name; what is called; code and message of the error. */
export type Row<A> = readonly [name: string, action: A, code: string, message: RegExp];

/** A call of a method. */
export type MethodRow = Row<(scene: Scene) => unknown>;

/** Rows of one method, named after it. */
export const of = (method: string, rows: readonly MethodRow[]): MethodRow[] =>
  rows.map(([what, ...row]): MethodRow => [`${method}: ${what}`, ...row]);

/** What no type allows. */
export const any = (value: unknown): never => value as never;

const flags = [
  {},
  { gradient_accumulation_steps: 2, weight_decay: 0.1 },
  { clipnorm: 1, loss_scale_factor: 2 },
  { use_ema: true, ema_overwrite_frequency: 1 },
  { use_ema: true, global_clipnorm: 1 },
];

/** Steps in TypeScript, by the native rule. */
export class Heir extends Adam {
  static override readonly className = 'Heir';
  override update_step(gradient: FloatArray, variable: Variable, learning_rate: number): void {
    super.update_step(gradient, variable, learning_rate);
  }
}

/** All of them, each with the flags whose turn it is. */
export const optimizers: readonly (readonly [string, () => Optimizer])[] = [
  ...flags.flatMap((flag, turn) => makers(flag).filter((_, i) => i % flags.length === turn)),
  ...flags.map((flag) => [`Heir ${JSON.stringify(flag)}`, () => new Heir(flag)] as const),
];

/** All of them, with averages. */
export const averaging: typeof optimizers = [...makers({ use_ema: true }), ['Heir', () => new Heir({ use_ema: true })]];

export function setUp(make: () => Optimizer): Scene {
  const kernel = new Variable([1, 2], { name: 'kernel' });
  const bias = new Variable(new Float64Array([3]), { name: 'bias' });
  const optimizer = make();
  optimizer.apply([[1, 1], [1]], [kernel, bias]);
  return { optimizer, kernel, bias };
}

/** An array that has lost its memory. */
export function detached(): Float32Array {
  const array = new Float32Array(2);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

export const resizable = (bytes: number) =>
  new (ArrayBuffer as unknown as new (n: number, o: object) => ArrayBuffer)(bytes, { maxByteLength: 64 });
export const growable = () =>
  new (SharedArrayBuffer as unknown as new (n: number, o: object) => SharedArrayBuffer)(8, { maxByteLength: 16 });
