import { constant, steps, type Options } from './loop.ts';

type Floats = Float32Array;

function plain({ learning_rate }: Options, p: Floats, g: Floats): void {
  for (let i = 0; i < p.length; i++) p[i] = (p[i] as number) - (g[i] as number) * learning_rate;
}

function withMomentum({ learning_rate, momentum }: Options, p: Floats, g: Floats, m: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const next = (m[i] as number) * momentum - (g[i] as number) * learning_rate;
    m[i] = next;
    p[i] = (p[i] as number) + next;
  }
}

export const sgd = { sgd: steps(plain, constant), sgd_momentum: steps(withMomentum, constant) };
