import { startAccumulator } from './adagrad.ts';
import { steps, type Scalars, type Steps } from './loop.ts';

type Floats = Float32Array;

interface FtrlScalars {
  readonly rate: number;
  readonly l1: number;
  readonly l2: number;
  /** Of the sum of squared gradients. */
  readonly power: (sum: number) => number;
}

type PowerOf = (learning_rate_power: number) => FtrlScalars['power'];

const scalars =
  (powerOf: PowerOf): Scalars<FtrlScalars> =>
  (options) => {
    const { learning_rate: rate, l1_regularization_strength: l1, l2_regularization_strength: l2 } = options;
    const power = powerOf(options.learning_rate_power);
    return () => ({ rate, l1, l2, power });
  };

/** `z`: the sum of what every gradient has left to do. */
function loop({ rate, l1, l2, power }: FtrlScalars, p: Floats, g: Floats, n: Floats, z: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const sum = (n[i] as number) + gradient * gradient;
    const after = power(sum);
    const linear = (z[i] as number) + gradient - ((after - power(n[i] as number)) / rate) * (p[i] as number);
    n[i] = sum;
    z[i] = linear;
    p[i] = (Math.min(Math.max(linear, -l1), l1) - linear) / (after / rate + 2 * l2);
  }
}

const withPower = (powerOf: PowerOf): Steps => steps(loop, scalars(powerOf), startAccumulator);

export const ftrl = {
  ftrl: withPower(() => Math.sqrt),
  ftrl_power: withPower((power) => (sum) => sum ** -power),
};
