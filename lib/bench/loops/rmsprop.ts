import { constant, steps, type Options } from './loop.ts';

type Floats = Float32Array;

const mean = (before: number, x: number, rho: number): number => before * rho + x * (1 - rho);

function plain({ learning_rate, rho, epsilon }: Options, p: Floats, g: Floats, v: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const square = mean(v[i] as number, gradient * gradient, rho);
    v[i] = square;
    p[i] = (p[i] as number) - (learning_rate * gradient) / Math.sqrt(square + epsilon);
  }
}

function withMomentum(options: Options, p: Floats, g: Floats, v: Floats, m: Floats): void {
  const { learning_rate, rho, epsilon, momentum } = options;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const square = mean(v[i] as number, gradient * gradient, rho);
    const next = (m[i] as number) * momentum + (learning_rate * gradient) / Math.sqrt(square + epsilon);
    v[i] = square;
    m[i] = next;
    p[i] = (p[i] as number) - next;
  }
}

function centered({ learning_rate, rho, epsilon }: Options, p: Floats, g: Floats, v: Floats, a: Floats): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const square = mean(v[i] as number, gradient * gradient, rho);
    const average = mean(a[i] as number, gradient, rho);
    v[i] = square;
    a[i] = average;
    p[i] = (p[i] as number) - (learning_rate * gradient) / Math.sqrt(square - average * average + epsilon);
  }
}

function centeredWithMomentum(options: Options, p: Floats, g: Floats, v: Floats, m: Floats, a: Floats): void {
  const { learning_rate, rho, epsilon, momentum } = options;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const square = mean(v[i] as number, gradient * gradient, rho);
    const average = mean(a[i] as number, gradient, rho);
    const increment = (learning_rate * gradient) / Math.sqrt(square - average * average + epsilon);
    const next = (m[i] as number) * momentum + increment;
    v[i] = square;
    a[i] = average;
    m[i] = next;
    p[i] = (p[i] as number) - next;
  }
}

export const rmsprop = {
  rmsprop: steps(plain, constant),
  rmsprop_momentum: steps(withMomentum, constant),
  rmsprop_centered: steps(centered, constant),
  rmsprop_centered_momentum: steps(centeredWithMomentum, constant),
};
