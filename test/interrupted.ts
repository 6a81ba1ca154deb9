// Training that is interrupted: what the tests of checkpoints share.
import {
  Adam,
  fields,
  MultiOptimizer,
  Nadam,
  Optimizer,
  OptimizerMap,
  RMSprop,
  SGD,
  Variable,
  type FloatArray,
  type Trainable,
} from '../lib/index.ts';
import { random, words } from './random.ts';

export const shapes = [[3, 4], [5], [], [2, 3, 2]];
export const numbers = (seed: string, shape: readonly number[]): Float32Array => {
  const next = random(seed);
  return Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next() - 0.5);
};
/** Variables of several shapes, each with the same numbers at every call. */
export const variablesOf = (dtype: 'float32' | 'float64' = 'float32'): Variable[] =>
  shapes.map((shape, i) => new Variable(numbers(`start ${i}`, shape), { shape, name: `layer_${i}/w`, dtype }));

/** Steps number `from` to `to`. */
export function train(optimizer: Optimizer, variables: readonly Variable[], from: number, to: number): void {
  for (let step = from; step < to; step++)
    optimizer.apply(
      variables.map(({ shape, dtype }, i) => {
        const gradient = numbers(`gradient ${step} ${i}`, shape);
        return dtype === 'float64' ? Float64Array.from(gradient) : gradient;
      }),
      variables,
    );
}

/** The words of all numbers. */
export const all = (optimizer: Optimizer, variables: readonly Variable[]): string[][] =>
  [...variables, ...optimizer.variables].map(({ value }) => words(value));
/** Variables of the same numbers and names. */
export const copies = (variables: readonly Variable[]): Variable[] =>
  variables.map(({ value, shape, path }) => new Variable(value, { shape, name: path }));

/** Variables of its own from the constructor, and from build. */
export class Own extends Optimizer<typeof Own.fields> {
  static override readonly fields = { ...fields.common(0.01) };
  static readonly className = 'Own';
  readonly calls = this.add_variable({ name: 'calls' });
  sums: Variable[] = [];
  override build(variables: readonly Trainable[]): void {
    if (this.built) return;
    super.build(variables);
    this.sums = this.add_optimizer_variables(variables, 'sum');
  }
  override update_step(gradient: FloatArray, variable: Variable, rate: number): void {
    const sum = (this.sums[this._get_variable_index(variable)] as Variable).value;
    this.calls.value[0] = (this.calls.value[0] as number) + 1;
    for (let i = 0; i < sum.length; i++) {
      sum[i] = (sum[i] as number) + (gradient[i] as number);
      variable.value[i] = (variable.value[i] as number) - rate * (sum[i] as number);
    }
  }
}

/** A function for a MultiOptimizer, which makes what it gives. */
export const selector = () => {
  const [adam, nadam] = [new Adam(), new Nadam()];
  return function select({ path }: Variable): Optimizer {
    return path.endsWith('1/w') ? adam : nadam;
  };
};
/** Three optimizers, one of them without variables. */
export const mapped = (): Optimizer => {
  const optimizer_map = { 'layer_[01]/w': new Nadam(), nothing: new SGD({ momentum: 0.5 }) };
  return new MultiOptimizer({ optimizer_map: new OptimizerMap({ default_optimizer: new RMSprop(), optimizer_map }) });
};
/** Common options that have a state. */
export const everything = { use_ema: true, gradient_accumulation_steps: 2, weight_decay: 0.1, clipnorm: 1 };
