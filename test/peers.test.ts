// Beyond Keras 3 on TensorFlow: PyTorch's NAdam, Adam and AdamW, optax's, Keras 2.9's and the legacy Nadam are the same classes with
// other options; and Keras on JAX.
import { assert } from 'chai';

import {
  Adam,
  Adamax,
  deserialize,
  Lamb,
  Lion,
  Nadam,
  type FloatArray,
  type Optimizer,
  type Variable,
} from '../lib/index.ts';
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

/** Our optimizer for a case of a peer's, and how its gradient is made of the recorded one. */
interface Translation {
  /** For update `t`; one of Nadam's family is the same for all. */
  readonly make: (t: number) => Optimizer;
  /** PyTorch's coupled weight decay, g + decay p, which Keras does not have. */
  readonly coupled?: number;
  readonly maximize?: boolean;
}

type Numbers = Readonly<Record<string, number | undefined>>; // undefined: the default of our class or preset

/** Their epsilon stands beside the corrected root, Keras's beside the uncorrected one, where it must shrink with it. */
function adam({ epsilon = 1e-8, beta_2 = 0.999, ...config }: Numbers, amsgrad?: unknown): Translation['make'] {
  const hat = (t: number) => epsilon * Math.sqrt(1 - beta_2 ** t);
  return (t) => Adam.from_config({ ...config, beta_2, epsilon: hat(t), amsgrad });
}

function fromTorch({ class: name, args }: Case): Translation {
  const { lr, eps, momentum_decay, weight_decay = name === 'AdamW' ? 0.01 : 0 } = args as Numbers;
  const { betas = [], amsgrad, maximize, decoupled_weight_decay = name === 'AdamW' } = args;
  const [beta_1, beta_2] = betas as number[];
  const [decay, coupled] = decoupled_weight_decay ? [weight_decay, 0] : [undefined, weight_decay];
  const config = { learning_rate: lr, beta_1, beta_2, epsilon: eps, weight_decay: decay };
  const make = name === 'NAdam' ? () => Nadam.pytorch({ ...config, momentum_decay }) : adam(config, amsgrad);
  return { make, coupled, maximize: maximize === true };
}

function fromOptax({ class: name, args }: Case): Translation {
  const { learning_rate = NaN, b1, b2, eps, weight_decay } = args as Numbers;
  const config = { learning_rate, beta_1: b1, beta_2: b2, epsilon: eps, weight_decay };
  if (name === 'lion')
    return { make: () => Lion.from_config({ weight_decay: 0.001, learning_rate, beta_1: b1, beta_2: b2 }) };
  if (name === 'lamb') return { make: () => Lamb.from_config({ ...config, epsilon: 1e-6 }) };
  if (name === 'adamax') return { make: () => Adamax.from_config({ ...config, epsilon: 1e-8 }) };
  return { make: name.startsWith('nadam') ? () => Nadam.optax(config) : adam(config) };
}

function fromKeras2({ class: name, args }: Case): Translation {
  const { schedule_decay, clipvalue, ...config } = args as Numbers;
  if (name === 'legacy') return { make: () => Nadam.keras2_legacy({ ...config, momentum_decay: schedule_decay }) };
  // Keras 2.9 ignores clipvalue beside clipnorm, Keras 3 refuses the pair
  return { make: () => Nadam.from_config('clipnorm' in config ? config : { ...config, clipvalue }) };
}

const fromKeras = ({ class: class_name, args: config }: Case): Translation => ({
  make: () => deserialize({ class_name, config }) as Optimizer,
});

const peers = [
  { file: 'torch', translate: fromTorch, without: [] },
  { file: 'optax', translate: fromOptax, without: [] },
  // Keras 2.9's average starts as a copy of the variable: another EMA than Keras 3's
  { file: 'keras2-nadam', translate: fromKeras2, without: ['use_ema'] },
  // of ScheduleFreeAdamW what Keras means, which it does not compute on TensorFlow
  { file: 'jax-backend', translate: fromKeras, without: [] },
];

/** For each step an Adam with the epsilon of that step, which takes over the state of the one before. */
function optimizerAt(
  t: number,
  { make }: Translation,
  before: Optimizer | undefined,
  variables: Variable[],
): Optimizer {
  if (before instanceof Nadam) return before;
  const optimizer = make(t);
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
    const gradients = gradientsAt(problem, t, dtype) as FloatArray[]; // none is sparse
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
