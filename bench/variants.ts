// What a step may do beside its rule: options, and the memory that a loop has to touch to do as much.

/** A walk over the gradient and the written arrays `from` to `to`: the variable is 0, then come the slots. */
export interface Pass {
  readonly from: number;
  readonly to: number;
  /** Bytes of an element of the gradient. */
  readonly gradient: 2 | 4;
  /** Bytes of an element of a slot; the first array that a pass writes has 4. */
  readonly slots: 2 | 4;
}

export interface Variant {
  readonly about: string;
  readonly options: Readonly<Record<string, unknown>>;
  /** Calls of apply after which everything has happened once. */
  readonly calls: number;
  /** What the calls walk over, for a rule of that many slots. */
  readonly passes: (slots: number) => readonly Pass[];
  /** Type of the gradients, if not float32: they are Uint16Arrays then. */
  readonly gradients?: 'bfloat16' | 'float16';
  /** Norms are sums, whose order is the framework's own. */
  readonly norm?: boolean;
  /** Rows of every tensor with a gradient, other ones in each step; all of them where there are no more. */
  readonly rows?: number;
  /** Slots are bfloat16. */
  readonly narrow?: boolean;
  /** How far a plain step in JavaScript may be from this one; absent where it is another step. */
  readonly javascript?: number;
}

const walk = (from: number, to: number, gradient: 2 | 4 = 4, slots: 2 | 4 = 4): Pass => ({ from, to, gradient, slots });
const step = (slots: number): Pass[] => [walk(0, slots + 1)];
const readOnly = walk(0, 0);

const kRounding = 1e-6; // the roundings of a few float32 steps on numbers below 1
const kNarrow = 1e-4; // a few steps of 0.001, each wrong by the 8 digits of a bfloat16

/** About half the norm of what is checked, and a small part of that of any larger work. */
const clipped = 10;
/** Calls of apply for an update. */
const accumulated = 4;

/** State, and perhaps gradients, in two bytes. */
function narrow(about: string, state_rounding: string, gradients?: 'bfloat16' | 'float16'): Variant {
  return {
    about,
    options: { state_dtype: 'bfloat16', state_rounding, ...(gradients && { gradient_dtype: gradients }) },
    calls: 1,
    passes: (slots) => [walk(0, slots + 1, gradients ? 2 : 4, 2)],
    javascript: kNarrow,
    narrow: true,
    ...(gradients && { gradients }),
  };
}

export const variants: Readonly<Record<string, Variant>> = {
  plain: { about: 'nothing else', options: {}, calls: 1, passes: step, javascript: kRounding },
  global_clipnorm: {
    about: `global_clipnorm: ${clipped}`,
    options: { global_clipnorm: clipped },
    calls: 1,
    passes: (slots) => [readOnly, ...step(slots)],
    norm: true,
  },
  ema: {
    about: 'use_ema: true',
    options: { use_ema: true },
    calls: 1,
    passes: (slots) => [walk(0, slots + 2)],
    javascript: kRounding,
  },
  accumulation: {
    about: `gradient_accumulation_steps: ${accumulated}; times are of a call, the mean of ${accumulated}`,
    options: { gradient_accumulation_steps: accumulated },
    calls: accumulated,
    passes: (slots) => [
      ...Array.from({ length: accumulated - 1 }, () => walk(slots + 1, slots + 2)),
      walk(0, slots + 2),
    ],
  },
  bfloat16: narrow('state_dtype: bfloat16, rounded to nearest', 'nearest'),
  bfloat16_stochastic: narrow('state_dtype: bfloat16, rounded stochastically', 'stochastic'),
  bfloat16_gradients: narrow('state and gradients bfloat16, rounded stochastically', 'stochastic', 'bfloat16'),
  sparse: {
    about: 'gradients of 256 rows; ours:without has dense ones',
    options: {},
    calls: 1,
    passes: () => [], // what is touched are the rows, and not the elements
    rows: 256,
  },
  float16_gradients: narrow('the same with float16 gradients', 'stochastic', 'float16'),
};

/** Those whose steps touch all elements. */
export const denseVariants = Object.keys(variants).filter((name) => variants[name]?.rows === undefined);

export function variantNamed(name: string): Variant {
  const variant = variants[name];
  if (variant === undefined) throw new RangeError(`no variant is named ${name}`);
  return variant;
}

/** What the calls walk over; a rule that has a direction subtracts that in a walk of its own. */
export const passesOf = ({ passes }: Variant, slots: number, directed: boolean): readonly Pass[] =>
  directed ? [...passes(slots), walk(0, 1)] : passes(slots);

/** Bytes that a call reads and writes for an element. */
export function bytesOf(variant: Variant, slots: number, directed: boolean): number {
  const written = (pass: Pass): number => (pass.to === pass.from ? 0 : 4 + (pass.to - pass.from - 1) * pass.slots);
  return (
    passesOf(variant, slots, directed).reduce((sum, pass) => sum + pass.gradient + 2 * written(pass), 0) / variant.calls
  );
}
