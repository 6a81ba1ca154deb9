import { constant, steps, type Options } from './loop.ts';

type Floats = Float32Array;

function loop({ learning_rate, beta_1, beta_2 }: Options, p: Floats, g: Floats, m: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const momentum = m[i] as number;
    p[i] = (p[i] as number) - learning_rate * Math.sign(momentum * beta_1 + gradient * (1 - beta_1));
    m[i] = momentum * beta_2 + gradient * (1 - beta_2);
  }
}

export const lion = { lion: steps(loop, constant) };
