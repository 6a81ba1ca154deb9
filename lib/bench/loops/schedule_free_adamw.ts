import { steps, type Options, type Scalars } from './loop.ts';

type Floats = Float32Array;

interface ScheduleFreeScalars {
  readonly beta_1: number;
  readonly beta_2: number;
  readonly epsilon: number;
  readonly rate: number;
  readonly correction: number;
  /** Of z in the average. */
  readonly weight: number;
  /** The average is recovered with the z after its move, not before. */
  readonly moved: boolean;
}

const scalars =
  (moved: boolean): Scalars<ScheduleFreeScalars> =>
  ({ learning_rate: rate, beta_1, beta_2, epsilon }) =>
  (step) => ({ beta_1, beta_2, epsilon, rate, correction: 1 / (1 - beta_2 ** step), weight: 1 / step, moved });

function loop(k: ScheduleFreeScalars, p: Floats, g: Floats, z: Floats, v: Floats): void {
  const { beta_1, beta_2, epsilon, rate, correction, weight, moved } = k;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const before = z[i] as number;
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    const next = before - (rate * gradient) / (Math.sqrt(second * correction) + epsilon);
    const average = ((p[i] as number) - (1 - beta_1) * (moved ? next : before)) / beta_1;
    v[i] = second;
    z[i] = next;
    p[i] = (1 - beta_1) * next + beta_1 * ((1 - weight) * average + weight * next);
  }
}

function start(_: Options, p: Floats, _g: Floats, z: Floats): void {
  z.set(p);
}

export const scheduleFreeAdamW = {
  schedule_free_adamw: steps(loop, scalars(false), start),
  schedule_free_adamw_aliased: steps(loop, scalars(true), start),
};
