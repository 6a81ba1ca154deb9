// A badly scaled quadratic with noisy gradients, and how an optimizer gets down it.
import { mulberry32 } from '../../examples/random.ts';
import { Variable, type Optimizer } from '../../lib/index.ts';

export const kDimensions = 20;
export const kRuns = 10; // with other noise each, side by side in one variable
const kCondition = 10_000; // the steepest curvature, 1, over the flattest
const kReflections = 3; // turn the valley away from the axes, along which Adam's relatives do not see scale
const kNoise = 0.2; // width of the uniform noise in each element of a gradient

type Vector = readonly number[];
const dot = (a: Vector, b: Vector): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
const along = <T>(make: (i: number) => T): T[] => Array.from({ length: kDimensions }, (_, i) => make(i));

/** Symmetric, row after row: curvatures from 1 to 1 / kCondition, turned by Householder's reflections. */
function hessian(random: () => number): Float64Array {
  let matrix = along((i) => along((j) => (i === j ? kCondition ** (-i / (kDimensions - 1)) : 0)));
  for (let count = 0; count < kReflections; count++) {
    const normal = along(() => random() - 0.5);
    const scale = 2 / dot(normal, normal);
    const reflect = (x: Vector): number[] => {
      const share = scale * dot(normal, x);
      return x.map((y, i) => y - share * (normal[i] as number));
    };
    const half = matrix.map(reflect);
    matrix = along((j) => reflect(half.map((row) => row[j] as number)));
  }
  return Float64Array.from(matrix.flat());
}

/** Writes the noisy gradients of all runs. Returns the mean of their losses. */
function differentiate(matrix: Float64Array, { value, gradient }: Variable, random: () => number): number {
  let loss = 0;
  for (let start = 0; start < value.length; start += kDimensions)
    for (let i = 0; i < kDimensions; i++) {
      let slope = 0;
      for (let j = 0; j < kDimensions; j++)
        slope += (matrix[i * kDimensions + j] as number) * (value[start + j] as number);
      loss += (slope * (value[start + i] as number)) / 2;
      gradient[start + i] = slope + kNoise * (random() - 0.5);
    }
  return loss / kRuns;
}

/**
 * The loss from the point of ones on, as means over the steps from one of `at` to the next.
 *
 * @param optimizer new
 * @param at ascending step numbers, from 1
 */
export function descend(optimizer: Optimizer, at: readonly number[]): number[] {
  const random = mulberry32(1);
  const matrix = hessian(random);
  const weights = new Variable(new Float64Array(kRuns * kDimensions).fill(1));
  optimizer.build([weights]);
  let last = 0;
  return at.map((end) => {
    let sum = 0;
    for (let t = last; t < end; t++) {
      sum += differentiate(matrix, weights, random);
      optimizer.apply();
    }
    const mean = sum / (end - last);
    last = end;
    return mean;
  });
}
