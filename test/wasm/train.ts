// A training that is run here and in a page, with the classes that there are.
import type { Lamb, Nadam, Variable } from '../../lib/index.ts';

/** The variables after it. */
export async function train(First: typeof Nadam, Second: typeof Lamb, Numbers: typeof Variable): Promise<number[]> {
  const start = Float32Array.from({ length: 600 }, (_, i) => Math.fround((i % 251) / 100 - 1));
  const variables = [First, Second].map(() => new Numbers(start, { shape: [20, 30] }));
  const optimizers = [
    new First({ learning_rate: 0.1, clipnorm: 1, use_ema: true }),
    new Second({ learning_rate: 0.1, weight_decay: 0.01 }),
  ];
  for (const [i, optimizer] of optimizers.entries()) {
    const variable = variables[i] as Variable;
    const gradient = () => (variable.value as Float32Array).map((x) => 2 * (x - 1));
    for (let step = 0; step < 20; step++) optimizer.apply([gradient()], [variable]);
    await optimizer.apply_async([gradient()], [variable]);
  }
  return variables.flatMap(({ value }) => [...(value as Float32Array)]);
}
