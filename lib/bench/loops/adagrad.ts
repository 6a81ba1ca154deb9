import { constant, steps, type Options } from './loop.ts';

type Floats = Float32Array;

export function startAccumulator({ initial_accumulator_value }: Options, _p: Floats, _g: Floats, a: Floats): void {
  a.fill(initial_accumulator_value);
}

function loop({ learning_rate, epsilon }: Options, p: Floats, g: Floats, a: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const sum = (a[i] as number) + gradient * gradient;
    a[i] = sum;
    p[i] = (p[i] as number) - (learning_rate * gradient) / Math.sqrt(sum + epsilon);
  }
}

export const adagrad = { adagrad: steps(loop, constant, startAccumulator) };
