// The rules once more, in plain JavaScript with Math.fround and the flush, independent of lib/ and native/: what an element
// becomes, one operation after the other. For tests alone.
import { power } from './power.ts';

export type OracleDtype = 'float32' | 'float64';

/** Operations of a dtype: float32 reads denormals as zero, rounds, and writes denormals as zero. */
export interface Operations {
  readonly add: (a: number, b: number) => number;
  readonly sub: (a: number, b: number) => number;
  readonly mul: (a: number, b: number) => number;
  readonly div: (a: number, b: number) => number;
  readonly sqrt: (a: number) => number;
  readonly power: (a: number, b: number) => number;
  readonly less: (a: number, b: number) => boolean;
}

const normal = 2 ** -126;
const asZero = (x: number): number => (Math.abs(x) < normal ? 0 * x : x);
// A result is tiny if it is below the least normal number after rounding to 24 bits.
const flushed = (x: number): number => (Math.abs(x) < normal - 2 ** -151 ? 0 * x : Math.fround(x));

export const operations: Readonly<Record<OracleDtype, Operations>> = {
  float32: {
    add: (a, b) => flushed(asZero(a) + asZero(b)),
    sub: (a, b) => flushed(asZero(a) - asZero(b)),
    mul: (a, b) => flushed(asZero(a) * asZero(b)),
    div: (a, b) => flushed(asZero(a) / asZero(b)),
    sqrt: (a) => flushed(Math.sqrt(asZero(a))),
    power: (a, b) => flushed(power(asZero(a), asZero(b))),
    less: (a, b) => asZero(a) < asZero(b),
  },
  float64: {
    add: (a, b) => a + b,
    sub: (a, b) => a - b,
    mul: (a, b) => a * b,
    div: (a, b) => a / b,
    sqrt: (a) => Math.sqrt(a),
    power,
    less: (a, b) => a < b,
  },
};

/** [p, ...slots] after the rule, of [p, g, ...slots] before, with the scalars in the header's order. */
type OracleRule = (o: Operations, element: readonly number[], scalars: readonly number[]) => number[];

const moments = (o: Operations, g: number, m: number, v: number, b1: number, b2: number): [number, number] => [
  o.add(m, o.mul(o.sub(g, m), b1)),
  o.add(v, o.mul(o.sub(o.mul(g, g), v), b2)),
];
const adam = (o: Operations, p: number, m: number, root: number, alpha: number, epsilon: number): number =>
  o.sub(p, o.div(o.mul(m, alpha), o.add(o.sqrt(root), epsilon)));

/** A running mean with the scalars rho and 1 - rho. */
const mean = (o: Operations, before: number, x: number, [rho = 0, rest = 0]: readonly number[]): number =>
  o.add(o.mul(rho, before), o.mul(rest, x));
const rmspropIncrement = (o: Operations, g: number, variance: number, [, , rate = 0, epsilon = 0]: readonly number[]) =>
  o.div(o.mul(rate, g), o.sqrt(o.add(variance, epsilon)));

const clamp = (o: Operations, x: number, limit: number): number =>
  o.less(limit, x) ? limit : o.less(x, -limit) ? -limit : x;

/** Ftrl with some root of the accumulator. */
const ftrl =
  (root: (o: Operations, n: number, exponent: number) => number): OracleRule =>
  (o, [p = 0, g = 0, n = 0, z = 0], [rate = 0, l1 = 0, l2 = 0, shrinkage = 0, exponent = 0]) => {
    const nNext = o.add(n, o.mul(g, g));
    const [before, after] = [root(o, n, exponent), root(o, nNext, exponent)];
    const sigma = o.div(o.sub(after, before), rate);
    const zNext = o.add(z, o.sub(o.add(g, o.mul(shrinkage, p)), o.mul(sigma, p)));
    return [o.div(o.sub(clamp(o, zNext, l1), zNext), o.add(o.div(after, rate), l2)), nNext, zNext];
  };

/** Adafactor's: of the smallest normal number at least. */
const rootOfMoment = (o: Operations, v: number): number => {
  const smallest = o === operations.float32 ? normal : 2 ** -1022;
  return o.sqrt(v < smallest ? smallest : v);
};

export const oracleRules: Readonly<Record<string, OracleRule>> = {
  sgd: (o, [p = 0, g = 0], [rate = 0]) => [o.sub(p, o.mul(g, rate))],
  sgd_momentum(o, [p = 0, g = 0, m = 0], [rate = 0, momentum = 0]) {
    const next = o.sub(o.mul(m, momentum), o.mul(g, rate));
    return [o.add(p, next), next];
  },
  sgd_nesterov(o, [p = 0, g = 0, m = 0], [rate = 0, momentum = 0]) {
    const next = o.sub(o.mul(m, momentum), o.mul(g, rate));
    return [o.add(p, o.sub(o.mul(next, momentum), o.mul(g, rate))), next];
  },
  adam(o, [p = 0, g = 0, m = 0, v = 0], [b1 = 0, b2 = 0, alpha = 0, epsilon = 0]) {
    const [mNext, vNext] = moments(o, g, m, v, b1, b2);
    return [adam(o, p, mNext, vNext, alpha, epsilon), mNext, vNext];
  },
  adam_amsgrad(o, [p = 0, g = 0, m = 0, v = 0, w = 0], [b1 = 0, b2 = 0, alpha = 0, epsilon = 0]) {
    const [mNext, vNext] = moments(o, g, m, v, b1, b2);
    const wNext = o.less(w, vNext) || Number.isNaN(vNext) ? vNext : w;
    return [adam(o, p, mNext, wNext, alpha, epsilon), mNext, vNext, wNext];
  },
  nadam(o, [p = 0, g = 0, m = 0, v = 0], k) {
    const [
      b1 = 0,
      b2 = 0,
      next = 0,
      oneMinusNext = 0,
      oneMinusMomentum = 0,
      oneMinusProduct = 0,
      power = 0,
      rate = 0,
      epsilon = 0,
    ] = k;
    const [mNext, vNext] = moments(o, g, m, v, b1, b2);
    const hat = o.add(o.div(o.mul(next, mNext), oneMinusNext), o.div(o.mul(oneMinusMomentum, g), oneMinusProduct));
    const root = o.sqrt(o.div(vNext, power));
    return [o.sub(p, o.div(o.mul(hat, rate), o.add(root, epsilon))), mNext, vNext];
  },
  rmsprop(o, [p = 0, g = 0, v = 0], k) {
    const vNext = mean(o, v, o.mul(g, g), k);
    return [o.sub(p, rmspropIncrement(o, g, vNext, k)), vNext];
  },
  rmsprop_momentum(o, [p = 0, g = 0, v = 0, m = 0], k) {
    const vNext = mean(o, v, o.mul(g, g), k);
    const mNext = o.add(o.mul(k[4] as number, m), rmspropIncrement(o, g, vNext, k));
    return [o.sub(p, mNext), vNext, mNext];
  },
  rmsprop_centered(o, [p = 0, g = 0, v = 0, a = 0], k) {
    const [vNext, aNext] = [mean(o, v, o.mul(g, g), k), mean(o, a, g, k)];
    const variance = o.sub(vNext, o.mul(aNext, aNext));
    return [o.sub(p, rmspropIncrement(o, g, variance, k)), vNext, aNext];
  },
  rmsprop_centered_momentum(o, [p = 0, g = 0, v = 0, m = 0, a = 0], k) {
    const [vNext, aNext] = [mean(o, v, o.mul(g, g), k), mean(o, a, g, k)];
    const variance = o.sub(vNext, o.mul(aNext, aNext));
    const mNext = o.add(o.mul(k[4] as number, m), rmspropIncrement(o, g, variance, k));
    return [o.sub(p, mNext), vNext, mNext, aNext];
  },
  adagrad(o, [p = 0, g = 0, a = 0], [rate = 0, epsilon = 0]) {
    const next = o.add(a, o.mul(g, g));
    return [o.sub(p, o.div(o.mul(rate, g), o.sqrt(o.add(next, epsilon)))), next];
  },
  adadelta(o, [p = 0, g = 0, a = 0, d = 0], k) {
    const [, , rate = 0, epsilon = 0] = k;
    const aNext = mean(o, a, o.mul(g, g), k);
    const x = -o.div(o.mul(o.sqrt(o.add(d, epsilon)), g), o.sqrt(o.add(aNext, epsilon)));
    return [o.add(p, o.mul(rate, x)), aNext, mean(o, d, o.mul(x, x), k)];
  },
  adamax(o, [p = 0, g = 0, m = 0, u = 0], [b1 = 0, beta_2 = 0, rate = 0, power = 0, epsilon = 0]) {
    const mNext = o.add(m, o.mul(o.sub(g, m), b1));
    const [decayed, size] = [o.mul(beta_2, u), Math.abs(g)];
    const uNext = o.less(decayed, size) || Number.isNaN(size) ? size : decayed;
    return [o.sub(p, o.div(o.mul(rate, mNext), o.mul(power, o.add(uNext, epsilon)))), mNext, uNext];
  },
  ftrl: ftrl((o, n) => o.sqrt(n)),
  ftrl_power: ftrl((o, n, exponent) => o.power(n, exponent)),
  lion(o, [p = 0, g = 0, m = 0], [beta_1 = 0, b1 = 0, beta_2 = 0, b2 = 0, rate = 0]) {
    const direction = Math.sign(o.add(o.mul(m, beta_1), o.mul(g, b1)));
    return [o.sub(p, o.mul(rate, direction === 0 ? 0 : direction)), o.add(o.mul(m, beta_2), o.mul(g, b2))];
  },
  // A direction, in place of the variable.
  lamb(o, [, g = 0, m = 0, v = 0], [b1 = 0, b2 = 0, power1 = 0, power2 = 0, epsilon = 0]) {
    const [mNext, vNext] = moments(o, g, m, v, b1, b2);
    return [o.div(o.div(mNext, power1), o.add(o.sqrt(o.div(vNext, power2)), epsilon)), mNext, vNext];
  },
  adafactor(o, [, g = 0, v = 0], [b2 = 0, rest = 0, epsilon = 0]) {
    const vNext = o.add(o.mul(b2, v), o.mul(rest, o.add(o.mul(g, g), epsilon)));
    return [o.div(g, rootOfMoment(o, vNext)), vNext];
  },
  adafactor_factored: (_, [, g = 0]) => [g],
  muon(o, [, g = 0, m = 0], [minusOne = 0]) {
    const next = o.add(m, o.add(g, o.mul(m, minusOne)));
    return [next, next];
  },
  muon_nesterov(o, [, g = 0, m = 0], [minusOne = 0, momentum = 0]) {
    const next = o.add(m, o.add(g, o.mul(m, minusOne)));
    return [o.add(g, o.mul(momentum, next)), next];
  },
  descend: (o, [p = 0, g = 0]) => [o.sub(p, g)],
  schedule_free_adamw(o, [p = 0, g = 0, z = 0, v = 0], k) {
    const [b2 = 0, b1 = 0, beta_1 = 0, rate = 0, power = 0, epsilon = 0, rest = 0, weight = 0] = k;
    const vNext = o.add(v, o.mul(o.sub(o.mul(g, g), v), b2));
    const zNext = o.sub(z, o.div(o.mul(rate, g), o.add(o.sqrt(o.div(vNext, power)), epsilon)));
    const before = o.div(o.sub(p, o.mul(b1, z)), beta_1);
    const x = o.add(o.mul(rest, before), o.mul(weight, zNext));
    return [o.add(o.mul(b1, zNext), o.mul(beta_1, x)), zNext, vNext];
  },
  accumulate: (o, [p = 0, g = 0], [count = 1]) => [o.div(o.add(g, p), count)],
  average: (o, [p = 0, g = 0], [m = 0, n = 0]) => [o.add(o.mul(m, p), o.mul(n, g))],
  copy: (_, [, g = 0]) => [g],
  prepare: (_, [p = 0, g = 0]) => [p, g],
  zero: () => [0],
};

/** How a direction is subtracted: of the sums of squares of the variable, as the weight decay leaves it, and of the direction. */
export type OracleFactor = (
  o: Operations,
  squares: number,
  directionSquares: number,
  scalars: readonly number[],
  length: number,
  direction: ArrayLike<number>,
  further: OracleFurther,
) => { readonly multiplier?: number; readonly divisor?: number; readonly direction?: readonly number[] };

/** What a rule has beside its streams: the variable as matrices, and arrays of other lengths, which it may change. */
export interface OracleFurther {
  readonly shape: readonly [batch: number, rows: number, columns: number];
  readonly extra: readonly { [i: number]: number }[];
}

const root = (o: Operations, x: number): number => o.mul(Math.sqrt(x), 1); // rounded once more than float64's

/** The sum of the products of two lists, in blocks of 256 whose sums are added. */
function inner(o: Operations, a: readonly number[], b: readonly number[]): number {
  let whole = 0;
  for (let begin = 0; begin < a.length; begin += 256) {
    let sum = 0;
    for (let k = begin; k < Math.min(begin + 256, a.length); k++)
      sum = o.add(sum, o.mul(a[k] as number, b[k] as number));
    whole = o.add(whole, sum);
  }
  return whole;
}

/** Muon's direction of a matrix with one row. */
function orthogonalRow(o: Operations, row: ArrayLike<number>, squares: number, k: readonly number[]): number[] {
  const [, , , , , a = 0, b = 0, c = 0, steps = 0] = k;
  const divisor = o.add(root(o, squares), o.mul(1e-7, 1));
  let x = Array.from(row, (one) => o.div(one, divisor));
  for (let i = 0; i < steps; i++) {
    const square = inner(o, x, x);
    const polynomial = o.add(o.mul(b, square), inner(o, [o.mul(c, square)], [square]));
    x = x.map((one) => o.add(o.mul(a, one), inner(o, [polynomial], [one])));
  }
  return x;
}

const muonFactor: OracleFactor = (o, _, directionSquares, scalars, length, direction) => {
  const [, , rate = 0, , rms = 0] = scalars;
  return {
    multiplier: o.mul(o.mul(rate, root(o, length)), rms),
    direction: orthogonalRow(o, direction, directionSquares, scalars),
  };
};

/** The sums of the rows of a matrix by 128 lanes, and of its columns in bands of 64 rows that are folded pairwise. */
function factorSums(matrix: readonly number[], rows: number, columns: number): [rows: number[], columns: number[]] {
  const rowOf = (i: number) => matrix.slice(i * columns, (i + 1) * columns);
  const all = Array.from({ length: rows }, (_, i) => rowOf(i));
  const bands = Array.from({ length: Math.ceil(rows / 64) }, (_, band) =>
    all.slice(64 * band, 64 * (band + 1)).reduce(
      (sums, row) => sums.map((sum, j) => sum + (row[j] as number)),
      Array.from({ length: columns }, () => 0),
    ),
  );
  const inColumn = (j: number) => foldedPairwise(bands.map((band) => band[j] as number));
  return [all.map(foldedLanes), Array.from({ length: columns }, (_, j) => inColumn(j))];
}

/** Adafactor's second moments of matrices, as r and c say, and the gradient over their roots. */
function factoredDirection(
  o: Operations,
  gradient: readonly number[],
  [b2 = 0, rest = 0, epsilon = 0]: readonly number[],
  { shape: [batch, rows, columns], extra: [r = {}, c = {}, v = {}] }: OracleFurther,
): number[] {
  const squares = gradient.map((g) => o.add(o.mul(g, g), epsilon));
  const next = (before: number, sum: number, count: number) =>
    o.add(o.mul(b2, before), o.mul(rest, o.mul(sum / count, 1)));
  for (let m = 0; m < batch; m++) {
    const begin = m * rows * columns;
    const [ofRows, ofColumns] = factorSums(squares.slice(begin, begin + rows * columns), rows, columns);
    ofRows.forEach((sum, i) => (r[m * rows + i] = next(r[m * rows + i] as number, sum, columns)));
    ofColumns.forEach((sum, j) => (c[m * columns + j] = next(c[m * columns + j] as number, sum, rows)));
    const mean = o.mul(ofRows.reduce((sum, _, i) => sum + (r[m * rows + i] as number), 0) / rows, 1);
    for (let i = 0; i < rows * columns; i++) {
      const scale = o.div(r[m * rows + Math.floor(i / columns)] as number, mean);
      v[begin + i] = o.mul(scale, c[m * columns + (i % columns)] as number);
    }
  }
  return gradient.map((g, i) => o.div(g, rootOfMoment(o, v[i] as number)));
}

const relativeFactor: OracleFactor = (o, squares, directionSquares, scalars, length) => {
  const [, , , epsilon = 0, rho = 0, threshold = 0] = scalars;
  const size = (sum: number) => o.sqrt(o.div(o.mul(sum, 1), length));
  const [variable, direction] = [size(squares), o.div(size(directionSquares), threshold)];
  return {
    multiplier: o.mul(o.less(epsilon, variable) || Number.isNaN(variable) ? variable : epsilon, rho),
    divisor: o.less(1, direction) || Number.isNaN(direction) ? direction : 1,
  };
};

export const oracleFactors: Readonly<Record<string, OracleFactor>> = {
  lamb(o, squares, directionSquares, scalars) {
    const [length, direction, rate = 0] = [root(o, squares), root(o, directionSquares), scalars[5]];
    return { multiplier: o.mul(length > 0 && direction > 0 ? o.div(length, direction) : 1, rate) };
  },
  adafactor: relativeFactor,
  adafactor_factored(o, squares, _, scalars, length, gradient, further) {
    if (length === 0) return {};
    const direction = factoredDirection(o, Array.from(gradient), scalars, further);
    const ofDirection = oracleSumOfSquares(o === operations.float32 ? 'float32' : 'float64', direction);
    return { ...relativeFactor(o, squares, ofDirection, scalars, length, direction, further), direction };
  },
  muon: muonFactor,
  muon_nesterov: muonFactor,
};

export interface OraclePrelude {
  readonly unscale: number;
  readonly multiplier: number;
  readonly divisor: number;
  readonly limit: number;
  readonly decay?: { readonly weight_decay: number; readonly learning_rate: number } | undefined;
}

/** One element: prelude, decay, rule. */
export function oracleElement(
  dtype: OracleDtype,
  rule: string,
  prelude: OraclePrelude,
  element: readonly number[],
  scalars: readonly number[],
): number[] {
  const o = operations[dtype];
  const [p = 0, g = 0, ...slots] = element;
  const scaled = o.div(o.mul(o.div(g, prelude.unscale), prelude.multiplier), prelude.divisor);
  const gradient = clamp(o, scaled, prelude.limit);
  const { decay } = prelude;
  const decayed = decay ? o.sub(p, o.mul(o.mul(p, decay.weight_decay), decay.learning_rate)) : p;
  const neutral =
    prelude.unscale === 1 && prelude.multiplier === 1 && prelude.divisor === 1 && prelude.limit === Infinity;
  return (oracleRules[rule] as OracleRule)(o, [decayed, neutral ? g : gradient, ...slots], scalars);
}

/** The sum of some numbers by 128 lanes. */
function foldedLanes(numbers: ArrayLike<number>): number {
  const lanes = new Float64Array(128);
  for (let i = 0; i < numbers.length; i++) lanes[i % 128] = (lanes[i % 128] as number) + (numbers[i] as number);
  for (let half = 64; half >= 1; half /= 2)
    for (let j = 0; j < half; j++) lanes[j] = (lanes[j] as number) + (lanes[j + half] as number);
  return lanes[0] as number;
}

/** The sum of some numbers, pair by pair. */
function foldedPairwise(sums: readonly number[]): number {
  if (sums.length <= 1) return sums[0] ?? 0;
  return foldedPairwise(Array.from({ length: Math.ceil(sums.length / 2) }, (_, i) => pairSum(sums, i)));
}

/** The sum of squares of g / unscale in the one order that every backend keeps. */
export function oracleSumOfSquares(dtype: OracleDtype, gradient: ArrayLike<number>, unscale = 1): number {
  const o = operations[dtype];
  const block = 16384;
  const squares = Float64Array.from(gradient, (g) => o.div(g, unscale) ** 2);
  const blocks = Array.from({ length: Math.ceil(squares.length / block) }, (_, i) =>
    foldedLanes(squares.subarray(i * block, (i + 1) * block)),
  );
  return foldedPairwise(blocks);
}

const pairSum = (sums: readonly number[], i: number): number =>
  2 * i + 1 < sums.length ? (sums[2 * i] as number) + (sums[2 * i + 1] as number) : (sums[2 * i] as number);
