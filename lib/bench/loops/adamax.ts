import { steps, type Scalars } from './loop.ts';

type Floats = Float32Array;

interface AdamaxScalars {
  readonly beta_1: number;
  readonly beta_2: number;
  readonly epsilon: number;
  readonly alpha: number;
}

const scalars: Scalars<AdamaxScalars> =
  ({ learning_rate, beta_1, beta_2, epsilon }) =>
  (step) => ({ beta_1, beta_2, epsilon, alpha: learning_rate / (1 - beta_1 ** step) });

function loop({ beta_1, beta_2, epsilon, alpha }: AdamaxScalars, p: Floats, g: Floats, m: Floats, u: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const norm = Math.max((u[i] as number) * beta_2, Math.abs(gradient));
    m[i] = first;
    u[i] = norm;
    p[i] = (p[i] as number) - (first * alpha) / (norm + epsilon);
  }
}

export const adamax = { adamax: steps(loop, scalars) };
