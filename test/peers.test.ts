// The Nadam family beyond Keras 3: PyTorch's NAdam, Adam and AdamW, optax's, Keras 2.9's and the legacy Nadam are the same
// classes with other options.
import { assert } from 'chai';

import { deserialize, type Optimizer, type Variable } from '../lib/index.ts';
import type { Dtype } from '../lib/native.ts';
import {
  distance,
  gradientsAt,
  numbers,
  readGolden,
  ulp32,
  variablesOf,
  type Case,
  type Problem,
  type Run,
} from './golden.ts';

type Args = Readonly<Record<string, unknown>>;

/** Our class and options for a case of a peer's, and how its gradient is made of the recorded one. */
interface Translation {
  readonly class_name: string;
  readonly config: Args;
  /** PyTorch's coupled weight decay, g + decay p, which Keras does not have. */
  readonly coupled?: number;
  readonly maximize?: boolean;
}

function fromTorch({ class: name, args }: Case): Translation {
  const { lr, betas, eps = 1e-8, weight_decay = name === 'AdamW' ? 0.01 : 0, amsgrad, maximize } = args;
  const [beta_1, beta_2] = (betas ?? [0.9, 0.999]) as number[];
  const decoupled = name === 'AdamW' || args.decoupled_weight_decay === true;
  const config = {
    learning_rate: lr ?? (name === 'NAdam' ? 2e-3 : 1e-3),
    beta_1,
    beta_2,
    epsilon: eps,
    weight_decay: decoupled ? weight_decay : null,
    ...(name === 'NAdam' ? { momentum_decay: args.momentum_decay ?? 0.004 } : { amsgrad: amsgrad ?? false }),
  };
  const class_name = name === 'NAdam' ? 'Nadam' : 'Adam';
  return { class_name, config, coupled: decoupled ? 0 : Number(weight_decay), maximize: maximize === true };
}

function fromOptax({ class: name, args }: Case): Translation {
  const { learning_rate, b1 = 0.9, b2 = 0.999, eps = 1e-8, weight_decay = null } = args;
  const config = { learning_rate, beta_1: b1, beta_2: b2, epsilon: eps, weight_decay };
  const nadam = name.startsWith('nadam');
  return { class_name: nadam ? 'Nadam' : 'Adam', config: nadam ? { ...config, momentum_decay: 'Infinity' } : config };
}

function fromKeras2({ class: name, args }: Case): Translation {
  const { schedule_decay = 0.004, ...rest } = args as Record<string, unknown>;
  if ('clipnorm' in rest) delete rest.clipvalue; // Keras 2.9 ignores it beside clipnorm, Keras 3 refuses the pair
  return { class_name: 'Nadam', config: name === 'legacy' ? { ...rest, momentum_decay: schedule_decay } : rest };
}

const peers = [
  { file: 'torch', translate: fromTorch, without: [] },
  { file: 'optax', translate: fromOptax, without: ['lion', 'lamb', 'adamax'] }, // classes to come
  // Keras 2.9's average starts as a copy of the variable: another EMA than Keras 3's
  { file: 'keras2-nadam', translate: fromKeras2, without: ['use_ema'] },
];

/**
 * Their epsilon stands beside Adam's corrected root, Keras's beside the uncorrected one, where it must shrink with it: for
 * each step an optimizer with the epsilon of that step, which takes over the state of the one before.
 */
function optimizerAt(
  t: number,
  { class_name, config }: Translation,
  before: Optimizer | undefined,
  variables: Variable[],
): Optimizer {
  if (class_name !== 'Adam' && before !== undefined) return before;
  const { epsilon, beta_2 } = config as { readonly epsilon: number; readonly beta_2: number };
  const hat = class_name === 'Adam' ? { epsilon: epsilon * Math.sqrt(1 - beta_2 ** t) } : {};
  const optimizer = deserialize({ class_name, config: { ...config, ...hat } }) as Optimizer;
  optimizer.build(variables);
  if (before !== undefined) optimizer.set_weights(before.variables);
  return optimizer;
}

/**
 * float64: PyTorch keeps Nadam's product in float32, Keras 2 its rate (1e-7): 1e-6 of the distance.
 * float32: other orders of operations on top, as in goldens.test.ts.
 */
const tolerance = (dtype: Dtype, travelled: number, x: number, t: number): number =>
  dtype === 'float64' ? 1e-6 * travelled : 1e-5 * travelled + 4 * ulp32(x) * Math.sqrt(t);

function check(problem: Problem, run: Run, dtype: Dtype, translation: Translation): void {
  const { coupled = 0, maximize } = translation;
  const variables = variablesOf(problem, dtype);
  let optimizer: Optimizer | undefined;
  for (let t = 1; t <= (run.at.at(-1) as number); t++) {
    optimizer = optimizerAt(t, translation, optimizer, variables);
    const gradients = gradientsAt(problem, t, dtype);
    gradients.forEach((g, v) =>
      g.forEach((x, i) => (g[i] = (maximize ? -x : x) + coupled * (variables[v]?.value[i] as number))),
    );
    optimizer.apply(gradients, variables);
    const recorded = run.at.indexOf(t);
    if (recorded < 0) continue;
    problem.variables.forEach(({ name, initial }, v) => {
      const theirs = numbers(run.params[recorded]?.[v] ?? []);
      const travelled = distance(theirs, initial);
      theirs.forEach((x, i) =>
        assert.closeTo(
          variables[v]?.value[i] as number,
          x,
          tolerance(dtype, travelled, x, t),
          `${name}[${i}] after ${t}`,
        ),
      );
    });
  }
}

for (const { file, translate, without } of peers) {
  describe(`the same numbers as ${file}`, () => {
    const { problems, cases } = readGolden(file);
    const read = cases.filter(({ id }) => !without.some((name) => id.includes(name)));
    it(`reads all cases but ${without.join(', ') || 'none'}`, () => {
      assert.lengthOf(read, cases.length - without.length);
    });
    for (const c of read)
      for (const dtype of ['float32', 'float64'] as const) {
        const run = c[dtype];
        if (run !== undefined)
          it(`${c.id}, ${dtype}`, () => check(problems[c.problem] as Problem, run, dtype, translate(c)));
      }
  });
}
