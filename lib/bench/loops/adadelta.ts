import { constant, steps, type Options } from './loop.ts';

type Floats = Float32Array;

/** `a`, `d`: mean squares of the gradients and of the steps. */
function loop({ learning_rate, rho, epsilon }: Options, p: Floats, g: Floats, a: Floats, d: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const square = (a[i] as number) * rho + gradient * gradient * (1 - rho);
    const step = gradient * Math.sqrt(((d[i] as number) + epsilon) / (square + epsilon));
    a[i] = square;
    d[i] = (d[i] as number) * rho + step * step * (1 - rho);
    p[i] = (p[i] as number) - learning_rate * step;
  }
}

export const adadelta = { adadelta: steps(loop, constant) };
