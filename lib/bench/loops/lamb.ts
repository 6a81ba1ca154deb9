import { steps, withState, type Scalars } from './loop.ts';

type Floats = Float32Array;

interface LambScalars {
  readonly beta_1: number;
  readonly beta_2: number;
  readonly epsilon: number;
  readonly learning_rate: number;
  readonly first: number;
  readonly second: number;
}

const scalars: Scalars<LambScalars> =
  ({ learning_rate, beta_1, beta_2, epsilon }) =>
  (step) => ({
    learning_rate,
    beta_1,
    beta_2,
    epsilon,
    first: 1 / (1 - beta_1 ** step),
    second: 1 / (1 - beta_2 ** step),
  });

/** `d` is the direction; its length and the variable's say how far it goes. */
function loop(k: LambScalars, p: Floats, g: Floats, m: Floats, v: Floats, d: Floats): void {
  const { beta_1, beta_2, epsilon, learning_rate } = k;
  let [length, direction] = [0, 0];
  for (let i = 0; i < p.length; i++) {
    const [variable, gradient] = [p[i] as number, g[i] as number];
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    const way = (first * k.first) / (Math.sqrt(second * k.second) + epsilon);
    m[i] = first;
    v[i] = second;
    d[i] = way;
    length += variable * variable;
    direction += way * way;
  }
  const factor = learning_rate * (length > 0 && direction > 0 ? Math.sqrt(length / direction) : 1);
  for (let i = 0; i < p.length; i++) p[i] = (p[i] as number) - factor * (d[i] as number);
}

export const lamb = { lamb: withState(steps(loop, scalars), ([length = 0]) => [length]) };
