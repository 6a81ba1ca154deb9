// The members of Nadam's family that the figure and docs/nadam.md show, and Adam beside them.
import { arithmetics } from '../../lib/arithmetic.ts';
import { Adam, Nadam, Variable, type Optimizer } from '../../lib/index.ts';
import type { Color } from '../../lib/charts/svg.ts';

/** A Nadam that shows its momentum. */
export class OpenNadam extends Nadam {
  /** The one of update `t`, from 1. */
  momentum(t: number): number {
    const { beta_1, beta_2, epsilon } = this;
    const before = { step: t - 1, learning_rate: 0, running: 1, rule: 'nadam' };
    return this.scalars({ beta_1, beta_2, epsilon } as never, before, arithmetics.float64).next_momentum;
  }
}

export interface Member<O extends Optimizer = Optimizer> {
  readonly name: string;
  readonly color: Color;
  readonly make: (options: { readonly learning_rate: number }) => O;
}

export const family: readonly Member<OpenNadam>[] = [
  { name: 'Keras 3', color: 'blue', make: (options) => new OpenNadam(options) },
  { name: 'PyTorch', color: 'orange', make: (options) => OpenNadam.pytorch(options) }, // and Keras 2's legacy one
  { name: 'optax', color: 'green', make: (options) => OpenNadam.optax(options) },
];
const adam: Member = { name: 'Adam', color: 'grey', make: (options) => new Adam(options) };

export const all: readonly Member[] = [adam, ...family];

/** How far each of the first `count` steps goes, in learning rates, when the gradient is always the same. */
export function stepLengths({ make }: Member, count: number): number[] {
  const variable = new Variable([0], { dtype: 'float64' });
  const optimizer = make({ learning_rate: 1 });
  optimizer.build([variable]);
  variable.gradient.fill(1);
  let before = 0;
  return Array.from({ length: count }, () => {
    optimizer.apply();
    const length = before - (variable.value[0] as number);
    before -= length;
    return length;
  });
}
