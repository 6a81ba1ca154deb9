// The operations of rules on tensors, as native/rules/rule.h has them on numbers. Where backends differ in what they make of NaN
// (maximum, clipByValue) or of numbers near 0 (sign), an operation is composed of those in which they agree.
import type { Tensor, TensorFlow } from './tensorflow.ts';
import type { Calculus } from './trace.ts';

/** Numbers of a rule: one for each element, or one for all. */
export type Value = Tensor | number;

export function calculusOf(tf: TensorFlow): Calculus<Value> {
  const orNaN = (x: Value, result: Tensor): Tensor => tf.where(tf.isNaN(x), x, result);
  return {
    constant: (x) => x,
    add: (a, b) => tf.add(a, b),
    subtract: (a, b) => tf.sub(a, b),
    multiply: (a, b) => tf.mul(a, b),
    divide: (a, b) => tf.div(a, b),
    negate: (x) => tf.neg(x),
    root: (x) => tf.sqrt(x),
    magnitude: (x) => tf.abs(x),
    maximum: (a, b) => tf.where(tf.logicalOr(tf.less(a, b), tf.isNaN(b)), b, a),
    sign: (x) => orNaN(x, tf.sub(tf.cast(tf.greater(x, 0), 'float32'), tf.cast(tf.less(x, 0), 'float32'))),
    clamp: (x, limit) => orNaN(x, tf.clipByValue(x, -(limit as number), limit as number)), // of a scalar of the rule
    power: (x, y) => tf.pow(x, y),
  };
}
