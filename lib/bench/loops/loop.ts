// What the loops have in common. A loop is a function of its own: inside a closure V8 keeps the arrays in memory and takes
// twice as long.

/** Of a tensor. */
export type Shape = readonly number[];

/** Of all rules, by Keras's names; what a rule does not have is undefined. */
export interface Options {
  readonly learning_rate: number;
  readonly momentum: number;
  readonly beta_1: number;
  readonly beta_2: number;
  readonly rho: number;
  readonly epsilon: number;
  readonly weight_decay?: number;
  readonly initial_accumulator_value: number;
  readonly learning_rate_power: number;
  readonly l1_regularization_strength: number;
  readonly l2_regularization_strength: number;
  readonly beta_2_decay: number;
  readonly epsilon_1: number;
  readonly epsilon_2: number;
  readonly clip_threshold: number;
}

/** The variable, its gradient, its slots. */
export type Tensor = readonly [Float32Array, Float32Array, ...Float32Array[]];

/** A function that does the next step on all tensors, of these shapes. */
export type Steps = (tensors: readonly Tensor[], options: Options, shapes: readonly Shape[]) => () => void;

type Loop<K> = (scalars: K, ...tensor: Tensor) => void;
/** Gives the scalars of step 1, 2, ..., as a literal: `{ ...options }` takes a microsecond. */
export type Scalars<K> = (options: Options) => (step: number) => K;

/** The options are the scalars. */
export const constant: Scalars<Options> = (options) => () => options;

/** `start` writes into the slots, which are zero, what they begin with. */
export const steps =
  <K>(loop: Loop<K>, scalars: Scalars<K>, start?: Loop<Options>): Steps =>
  (tensors, options) => {
    if (start !== undefined) for (const tensor of tensors) start(options, ...tensor);
    const at = scalars(options);
    let step = 0;
    return () => {
      const now = at(++step);
      for (const tensor of tensors) loop(now, ...tensor);
    };
  };

/** With further arrays of zeros, of these lengths, behind the slots of each tensor: what is of no more use or of another shape. */
export const withState =
  (made: Steps, lengths: (ofSlots: readonly number[], shape: Shape) => readonly number[]): Steps =>
  (tensors, options, shapes) => {
    const further = (tensor: Tensor, i: number): Tensor => {
      const sizes = lengths(
        tensor.map(({ length }) => length),
        shapes[i] as Shape,
      );
      return [...tensor, ...sizes.map((size) => new Float32Array(size))];
    };
    return made(tensors.map(further), options, shapes);
  };
