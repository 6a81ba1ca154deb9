import { steps, withState, type Options, type Scalars } from './loop.ts';

type Floats = Float32Array;

interface AdafactorScalars extends Pick<Options, 'epsilon_1' | 'epsilon_2' | 'clip_threshold'> {
  /** What the averages keep of the step before. */
  readonly kept: number;
  readonly rho: number;
}

const scalars: Scalars<AdafactorScalars> =
  ({ learning_rate, beta_2_decay, epsilon_1, epsilon_2, clip_threshold }) =>
  (step) => {
    const [kept, rho] = [1 - step ** beta_2_decay, Math.min(learning_rate, 1 / Math.sqrt(step))];
    return { epsilon_1, epsilon_2, clip_threshold, kept, rho };
  };

const squareOf = (k: AdafactorScalars, gradient: number): number => gradient * gradient + k.epsilon_1;

/** The means of rows and columns of one matrix, from an element on; and of those the second moments. */
function factor(k: AdafactorScalars, g: Floats, v: Floats, r: Floats, c: Floats, begin: number): void {
  const { kept } = k;
  for (let i = 0; i < r.length; i++) r[i] = (r[i] as number) * kept;
  for (let j = 0; j < c.length; j++) c[j] = (c[j] as number) * kept;
  for (let i = 0; i < r.length; i++) {
    let sum = 0;
    for (let j = 0; j < c.length; j++) {
      const square = squareOf(k, g[begin + i * c.length + j] as number);
      sum += square;
      c[j] = (c[j] as number) + ((1 - kept) * square) / r.length;
    }
    r[i] = (r[i] as number) + ((1 - kept) * sum) / c.length;
  }
  let mean = 0;
  for (let i = 0; i < r.length; i++) mean += (r[i] as number) / r.length;
  for (let i = 0; i < r.length; i++)
    for (let j = 0; j < c.length; j++) v[begin + i * c.length + j] = ((r[i] as number) / mean) * (c[j] as number);
}

/** Without rows and columns the moments are averaged element by element. */
function moments(k: AdafactorScalars, g: Floats, v: Floats, r: Floats, c: Floats): void {
  if (r.length === 0)
    for (let i = 0; i < v.length; i++) v[i] = (v[i] as number) * k.kept + (1 - k.kept) * squareOf(k, g[i] as number);
  const columns = v.length / r.length;
  const matrices = r.length === 0 ? 0 : c.length / columns;
  const rows = r.length / matrices;
  for (let m = 0; m < matrices; m++) {
    const [ofRows, ofColumns] = [r.subarray(m * rows, (m + 1) * rows), c.subarray(m * columns, (m + 1) * columns)];
    factor(k, g, v, ofRows, ofColumns, m * rows * columns);
  }
}

function loop(k: AdafactorScalars, p: Floats, g: Floats, v: Floats, r: Floats, c: Floats): void {
  moments(k, g, v, r, c);
  let [size, step] = [0, 0];
  for (let i = 0; i < p.length; i++) {
    const [variable, gradient] = [p[i] as number, g[i] as number];
    size += (variable * variable) / p.length;
    step += (gradient * gradient) / (v[i] as number) / p.length;
  }
  const alpha = Math.max(k.epsilon_2, Math.sqrt(size)) * k.rho;
  const factorOf = alpha / Math.max(1, Math.sqrt(step) / k.clip_threshold);
  for (let i = 0; i < p.length; i++)
    p[i] = (p[i] as number) - (factorOf * (g[i] as number)) / Math.sqrt(v[i] as number);
}

const product = (sides: readonly number[]): number => sides.reduce((all, side) => all * side, 1);
const factors = (shape: readonly number[]): number[] =>
  shape.length < 2 ? [0, 0] : [product(shape.slice(0, -1)), product([...shape.slice(0, -2), ...shape.slice(-1)])];

export const adafactor = { adafactor: withState(steps(loop, scalars), (_, shape) => factors(shape)) };
