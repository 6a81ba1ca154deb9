import { steps, type Scalars, type Steps } from './loop.ts';

type Floats = Float32Array;

interface NadamScalars {
  readonly beta_1: number;
  readonly beta_2: number;
  readonly epsilon: number;
  readonly ofMoment: number;
  readonly ofGradient: number;
  readonly correction: number;
}

/** Keras's schedule of the momentum, or none. */
type MomentumAt = (beta_1: number, step: number) => number;

const scalars =
  (momentumAt: MomentumAt): Scalars<NadamScalars> =>
  ({ learning_rate: rate, beta_1, beta_2, epsilon }) => {
    let product = 1; // of the momenta of all steps so far
    return (step) => {
      const [now, next] = [momentumAt(beta_1, step), momentumAt(beta_1, step + 1)];
      product *= now;
      return {
        beta_1,
        beta_2,
        epsilon,
        ofMoment: (rate * next) / (1 - product * next),
        ofGradient: (rate * (1 - now)) / (1 - product),
        correction: 1 / (1 - beta_2 ** step),
      };
    };
  };

function loop(k: NadamScalars, p: Floats, g: Floats, m: Floats, v: Floats): void {
  const { beta_1, beta_2, epsilon, ofMoment, ofGradient, correction } = k;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    m[i] = first;
    v[i] = second;
    const direction = (ofMoment * first + ofGradient * gradient) / (Math.sqrt(second * correction) + epsilon);
    p[i] = (p[i] as number) - direction;
  }
}

const withMomentum = (momentumAt: MomentumAt): Steps => steps(loop, scalars(momentumAt));

export const nadam = {
  nadam: withMomentum((beta_1, step) => beta_1 * (1 - 0.5 * 0.96 ** step)),
  nadam_constant: withMomentum((beta_1) => beta_1),
};
