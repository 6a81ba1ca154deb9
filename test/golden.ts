// Reads the goldens and replays their cases. test/golden/README.md describes the format.
import { readFileSync } from 'node:fs';

import { deserialize, IndexedSlices, Variable, type Gradient, type Optimizer } from '../lib/index.ts';
import type { Dtype } from '../lib/native.ts';

export type Value = number | 'NaN' | 'Infinity' | '-Infinity';
export interface Problem {
  readonly variables: readonly {
    readonly name: string;
    readonly shape: readonly number[];
    readonly initial: number[];
  }[];
  readonly steps: readonly (readonly Value[])[][];
  readonly cycle?: number;
  readonly count?: number;
}
export interface Run {
  readonly at: readonly number[];
  readonly params: readonly (readonly (readonly Value[])[])[];
  readonly iterations?: readonly number[];
  readonly learningRate?: readonly number[];
  readonly variables?: readonly {
    readonly path?: string;
    readonly shape: readonly number[];
    readonly dtype: string;
    readonly value: readonly Value[];
  }[];
  readonly finalized?: readonly (readonly Value[])[];
  readonly uProduct?: number;
}
/** A gradient of some rows of a variable. */
export interface Sparse {
  readonly indices: readonly number[];
  readonly values: readonly Value[];
}
interface Action {
  readonly learningRate?: number;
  readonly nullGradients?: readonly number[];
}
export interface Case {
  readonly id: string;
  readonly class: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly problem: string;
  /** Of the cases with sparse gradients, in place of the problem's. */
  readonly steps?: readonly (readonly (readonly Value[] | Sparse)[])[];
  readonly actions?: Readonly<Record<string, Action>>;
  readonly excludeFromWeightDecay?: { readonly variables: readonly string[]; readonly names: readonly string[] };
  readonly finalize?: boolean;
  readonly config: { readonly config: Readonly<Record<string, unknown>> };
  readonly float32: Run;
  readonly float64?: Run;
  readonly exact64?: Run;
}
export interface GoldenFile {
  readonly problems: Readonly<Record<string, Problem>>;
  readonly cases: readonly Case[];
}

export const readGolden = <T = GoldenFile>(name: string): T =>
  JSON.parse(readFileSync(new URL(`golden/${name}.json`, import.meta.url), 'utf8')) as T;

export const numbers = (list: readonly Value[]): number[] => list.map(Number);

/** What a replayed case leaves behind. */
export interface Replay {
  readonly optimizer: Optimizer;
  readonly variables: readonly Variable[];
  /** Values of every variable after each recorded update. */
  readonly params: readonly (readonly number[])[][];
  readonly iterations: readonly number[];
  readonly rates: readonly number[];
}

export const variablesOf = (problem: Problem, dtype: Dtype): Variable[] =>
  problem.variables.map(({ name, shape, initial }) => new Variable(initial, { name, shape, dtype }));

/** How a sparse gradient is given. */
export type Given = (slices: IndexedSlices) => Gradient;

export function gradientsAt(
  { steps, variables }: Pick<Problem, 'variables'> & { readonly steps: NonNullable<Case['steps']> },
  t: number,
  dtype: Dtype,
  given: Given = (slices) => slices,
): Gradient[] {
  const type = dtype === 'float32' ? Float32Array : Float64Array;
  return (steps[(t - 1) % steps.length] ?? []).map((gradient, i) =>
    'indices' in gradient
      ? given(new IndexedSlices(type.from(numbers(gradient.values)), gradient.indices, variables[i]?.shape ?? []))
      : type.from(numbers(gradient)),
  );
}

/** Where a problem is replayed. */
export interface Setting {
  /** The variables of a problem. */
  readonly make: (problem: Problem) => Variable[];
  /** Their values. */
  readonly read: (variable: Variable) => number[];
}
const onHost = (dtype: Dtype): Setting => ({
  make: (problem) => variablesOf(problem, dtype),
  read: ({ value }) => [...value],
});

/** Runs `optimizer` on a problem, with what a case does before single updates. */
export function replay(
  optimizer: Optimizer,
  problem: Problem,
  dtype: Dtype,
  at: readonly number[],
  { actions = {}, excludeFromWeightDecay, steps = problem.steps }: Partial<Case> = {},
  given?: Given,
  { make, read } = onHost(dtype),
): Replay {
  const variables = make(problem);
  if (excludeFromWeightDecay !== undefined)
    optimizer.exclude_from_weight_decay({
      var_list: variables.filter(({ name }) => excludeFromWeightDecay.variables.includes(name)),
      var_names: excludeFromWeightDecay.names,
    });
  const result = { params: [] as number[][][], iterations: [] as number[], rates: [] as number[] };
  for (let t = 1; t <= (at.at(-1) ?? 0); t++) {
    const { learningRate, nullGradients = [] } = actions[t] ?? {};
    if (learningRate !== undefined) optimizer.learning_rate = learningRate;
    result.rates.push(optimizer.learning_rate);
    const gradients = gradientsAt({ ...problem, steps }, t, dtype, given).map((g, i) =>
      nullGradients.includes(i) ? null : g,
    );
    optimizer.apply(gradients, variables);
    if (at.includes(t)) {
      result.params.push(variables.map(read));
      result.iterations.push(optimizer.iterations);
    }
  }
  return { optimizer, variables, ...result };
}

/** A case of Keras's, run on `dtype`. */
export function replayCase(file: GoldenFile, c: Case, dtype: Dtype, given?: Given, setting?: Setting): Replay {
  const optimizer = deserialize({ class_name: c.class, config: c.args }) as Optimizer;
  const run = (dtype === 'float32' ? c.float32 : c.exact64) as Run;
  return replay(optimizer, file.problems[c.problem] as Problem, dtype, run.at, c, given, setting);
}

/** The bits of float32 numbers, every NaN as one, so that -0 and 0 differ and NaN equals NaN. */
export const bits = (list: Iterable<number>): string[] =>
  [...list].map((x) => (Number.isNaN(x) ? 'NaN' : Object.is(x, -0) ? '-0' : String(Math.fround(x))));

export const ulp32 = (x: number): number => 2 ** (Math.max(-126, Math.floor(Math.log2(Math.abs(x)) || -126)) - 23);
export const distance = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - (b[i] as number)) || 0), 0);
