// The library itself.
import { readFileSync } from 'node:fs';

import * as library from 'keras-optimizers';
import { useBackend } from '../../dist/native.js';
import { timed } from '../../lib/bench/measure.ts';
import type { Instance, Task } from '../host.ts';
import { gradientOf, kBatches, narrowed, rowsOf, variableOf } from '../inputs.ts';
import { elementsOf, totalOf, type Shape } from '../work.ts';

type Class = new (options: Readonly<Record<string, unknown>>) => library.Optimizer;

/** Everything that a step needs, fresh. */
interface Made {
  readonly optimizer: library.Optimizer;
  readonly variables: readonly library.Trainable[];
  /** Of the steps in turn; undefined: those of the variables. */
  readonly gradients: readonly (readonly library.Gradient[] | undefined)[];
}

const kBackends = ['avx512', 'avx2', 'baseline'];

function fresh(task: Task, mode: string): Made {
  const Optimizer = (library as unknown as Readonly<Record<string, Class | undefined>>)[task.className ?? ''];
  if (Optimizer === undefined) throw new Error(`the library has no ${task.className}`);
  const optimizer = new Optimizer(mode === 'without' ? task.plain : task.options);
  const shapes = mode === 'flat' ? [[totalOf(task.shapes)]] : task.shapes;
  const lengths = shapes.map(elementsOf);
  const sparse = task.rows !== null && mode !== 'without';
  const narrow = mode === 'without' ? null : task.gradients;
  const values = sparse ? [] : lengths.map(gradientOf);
  const given = (narrow === null ? values : values.map((one) => narrowed(one, narrow))) as library.Gradient[];
  const variables = lengths.map(variableOf).map((data, i) => {
    return mode === 'arrays' ? data : new library.Variable(data, { shape: shapes[i] });
  });
  optimizer.build(variables);
  if (sparse) return { optimizer, variables, gradients: slicesOf(shapes, task.rows) };
  if (mode === 'arrays' || narrow !== null) return { optimizer, variables, gradients: [given] };
  variables.forEach((variable, i) => (variable as library.Variable).gradient.set(values[i] as Float32Array));
  return { optimizer, variables, gradients: [undefined] };
}

/** For every batch the sparse gradients of all tensors. */
function slicesOf(shapes: readonly Shape[], count: number): library.IndexedSlices[][] {
  const slices = (shape: Shape, i: number, batch: number) => {
    const rows = rowsOf(shape[0] as number, batch, count);
    return new library.IndexedSlices(gradientOf(rows.length * elementsOf(shape.slice(1)), i), rows, shape);
  };
  return Array.from({ length: kBatches }, (_, batch) => shapes.map((shape, i) => slices(shape, i, batch)));
}

function drop({ optimizer, variables }: Made): void {
  optimizer.dispose();
  for (const variable of variables) if (variable instanceof library.Variable) variable.dispose();
}

/** Every repetition with an optimizer that has been built and has not stepped. */
const firstSteps =
  (task: Task) =>
  (repetitions: number): number => {
    let seconds = 0;
    for (let i = 0; i < repetitions; i++) {
      const made = fresh(task, 'first');
      seconds += timed(() => made.optimizer.apply(made.gradients[0]))(1);
      drop(made);
    }
    return seconds;
  };

const asyncSteps =
  ({ optimizer, gradients }: Made, calls: number) =>
  async (repetitions: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < repetitions * calls; i++) await optimizer.apply_async(gradients[i % gradients.length]);
    return (performance.now() - start) / 1000;
  };

function steps({ optimizer, gradients }: Made, calls: number): Instance['run'] {
  let step = 0;
  return timed(() => {
    for (let call = 0; call < calls; call++) optimizer.apply(gradients[step++ % gradients.length]);
  });
}

const { version: number } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  readonly version: string;
};
const version = `keras-optimizers ${number}`;

export function make(task: Task, mode: string): Instance {
  if (kBackends.includes(mode)) useBackend(mode);
  if (mode === 'first') return { run: firstSteps(task), version };
  const made = fresh(task, mode);
  const run = mode === 'async' ? asyncSteps(made, task.calls) : steps(made, task.calls);
  const values = (): ArrayLike<number>[] =>
    made.variables.map((one) => (one instanceof library.Variable ? one.value : one) as Float32Array);
  return { run, values, drop: () => drop(made), version };
}
