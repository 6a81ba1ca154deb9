// How a direction is subtracted that follows from all of a variable: what native/matrix/ does, of TensorFlow.js's operations.
import { arithmetics } from '../arithmetic.ts';
import type { Whole } from '../native.ts';
import type { Calculus } from './trace.ts';
import type { Value } from './calculus.ts';
import type { Tensor, TensorFlow } from './tensorflow.ts';

export interface Directed {
  readonly tf: TensorFlow;
  readonly calculus: Calculus<Value>;
  /** The variable, as the weight decay leaves it. */
  readonly variable: Tensor;
  readonly direction: Tensor;
  /** Of the rule, by name. */
  readonly scalars: Readonly<Record<string, number>>;
  /** What the rule keeps beside its slots. */
  readonly extra: readonly Tensor[];
}

/** What the variable becomes, and what the rule keeps beside its slots. */
export interface Descended {
  readonly variable: Tensor;
  readonly extra?: readonly Tensor[];
}
type Descend = (directed: Directed) => Descended;

/** Of native/rules/adafactor.h: the root of a moment is that of the smallest normal number at least. */
const kSmallest = 2 ** -126;

const lengthOf = (tf: TensorFlow, x: Tensor): Tensor => tf.sqrt(tf.sum(tf.square(x)));
const sizeOf = (tf: TensorFlow, x: Tensor): Tensor => tf.sqrt(tf.div(tf.sum(tf.square(x)), x.size));
const scalar = ({ scalars }: Directed, name: string): number => scalars[name] as number;

/** p - |p| / |d| lr d; a quotient without two norms > 0 is 1. */
function descendByTrust(directed: Directed): Descended {
  const { tf, variable, direction } = directed;
  const [length, ofDirection] = [lengthOf(tf, variable), lengthOf(tf, direction)];
  const both = tf.logicalAnd(tf.greater(length, 0), tf.greater(ofDirection, 0));
  const ratio = tf.where(both, tf.div(length, ofDirection), 1);
  return { variable: tf.sub(variable, tf.mul(direction, tf.mul(ratio, scalar(directed, 'learning_rate')))) };
}

/** p - max(epsilon_2, RMS(p)) rho d / max(1, RMS(d) / clip_threshold) */
function descendRelatively(directed: Directed): Descended {
  const { tf, calculus, variable, direction } = directed;
  const size = calculus.maximum(scalar(directed, 'epsilon_2'), sizeOf(tf, variable));
  const excess = tf.div(sizeOf(tf, direction), scalar(directed, 'clip_threshold'));
  const step = tf.mul(direction, tf.mul(size, scalar(directed, 'rho')));
  return { variable: tf.sub(variable, tf.div(step, calculus.maximum(1, excess))) };
}

/** The same, of a gradient over the roots of its factored moments. */
function descendFactored(directed: Directed): Descended {
  const { tf, calculus, direction: gradient } = directed;
  const [r, c] = directed.extra as [Tensor, Tensor];
  const squares = tf.add(tf.square(gradient), scalar(directed, 'epsilon_1'));
  const next = (before: Tensor, mean: Tensor): Tensor =>
    tf.add(tf.mul(before, scalar(directed, 'beta_2')), tf.mul(mean, scalar(directed, 'one_minus_beta_2')));
  const [rows, columns] = [next(r, tf.mean(squares, -1)), next(c, tf.mean(squares, -2))];
  const scales = tf.div(rows, tf.mean(rows, -1, true));
  const velocity = tf.mul(tf.expandDims(scales, -1), tf.expandDims(columns, -2));
  const direction = tf.div<Tensor>(gradient, calculus.root(calculus.maximum(velocity, kSmallest)));
  return { ...descendRelatively({ ...directed, direction }), extra: [rows, columns, velocity] };
}

/** Newton-Schulz, with the smaller side first (native/matrix/newton_schulz.h). */
function orthogonal(directed: Directed): Tensor {
  const { tf, direction } = directed;
  const [rows, columns] = direction.shape as [number, number];
  const [a, b, c] = ['muon_a', 'muon_b', 'muon_c'].map((name) => scalar(directed, name)) as [number, number, number];
  const turns = rows > columns;
  let x = turns ? tf.transpose(direction) : direction;
  x = tf.div(x, tf.add(lengthOf(tf, x), 1e-7));
  for (let i = 0; i < scalar(directed, 'ns_steps'); i++) {
    const gram = tf.matMul(x, x, false, true);
    const polynomial = tf.add<Tensor>(tf.mul(gram, b), tf.matMul(tf.mul<Tensor>(gram, c), gram));
    x = tf.add(tf.mul(x, a), tf.matMul(polynomial, x));
  }
  return turns ? tf.transpose(x) : x;
}

/** p - u lr sqrt(max(rows, columns)) rms_rate */
function descendOrthogonally(directed: Directed): Descended {
  const { tf, variable } = directed;
  const { round, sqrt, mul } = arithmetics.float32;
  const rate = scalar(directed, 'learning_rate');
  const size = sqrt(round(Math.max(...variable.shape)));
  const step = scalar(directed, 'adjusts') === 0 ? rate : mul(mul(rate, size), scalar(directed, 'rms_rate'));
  return { variable: tf.sub(variable, tf.mul(orthogonal(directed), step)) };
}

export const descents: Readonly<Record<Exclude<Whole, 'elementwise'>, Descend>> = {
  trust_ratio: descendByTrust,
  relative: descendRelatively,
  factored: descendFactored,
  orthogonal: descendOrthogonally,
};
