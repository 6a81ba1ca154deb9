import { steps, type Scalars } from './loop.ts';

type Floats = Float32Array;

interface AdamScalars {
  readonly beta_1: number;
  readonly beta_2: number;
  readonly epsilon: number;
  readonly alpha: number;
  /** What the decay leaves of the variable. */
  readonly kept: number;
}

const scalars: Scalars<AdamScalars> = ({ learning_rate, beta_1, beta_2, epsilon, weight_decay = 0 }) => {
  const kept = 1 - weight_decay * learning_rate;
  return (step) => {
    const alpha = (learning_rate * Math.sqrt(1 - beta_2 ** step)) / (1 - beta_1 ** step);
    return { beta_1, beta_2, epsilon, alpha, kept };
  };
};

function loop({ beta_1, beta_2, epsilon, alpha, kept }: AdamScalars, p: Floats, g: Floats, m: Floats, v: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    m[i] = first;
    v[i] = second;
    p[i] = (p[i] as number) * kept - (first * alpha) / (Math.sqrt(second) + epsilon);
  }
}

export const adam = { adam: steps(loop, scalars), adamw: steps(loop, scalars) };
