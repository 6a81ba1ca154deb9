// Keras's files, both ways: models that Keras saves go on here as there, and what is written into them Keras goes on with.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { deserialize, stringify, Variable, type Optimizer } from '../../lib/index.ts';
import { loadKerasOptimizer, saveKerasOptimizer } from '../../lib/keras/index.ts';
import { pattern } from '../../bench/inputs.ts';
import { variants } from '../optimizers.ts';
import { hasPower, type Configuration } from '../promise.ts';
import { sameOrNear, sizeOf } from './compare.ts';
import { decode, encode, type Keras, type ModelMoment } from './keras.ts';
import { Tally } from './tally.ts';
import { wrapped } from './wrappers.ts';

/** The trained variables of the model, keras_models.py. */
const shapes: readonly (readonly number[])[] = [[7, 5], [5], [5], [5], [5, 1], [1]];
const kSteps = 3; // before a file is written, and after it

const gradientsOf = (t: number): Float32Array[] =>
  shapes.map((shape, i) =>
    pattern(
      shape.reduce((a, b) => a * b, 1),
      5 * i + 11 * t + 40,
    ),
  );
const steps = (first: number): Float32Array[][] => Array.from({ length: kSteps }, (_, k) => gradientsOf(first + k));
const sent = (list: readonly (readonly Float32Array[])[]): string[][] => list.map((step) => step.map(encode));

type Moments = readonly ModelMoment<Float64Array>[];
const received = (moments: readonly ModelMoment<string>[]): Moments =>
  moments.map(({ values, state }) => ({ values: values.map(decode), state: state.map(decode) }));

const schedule = {
  class_name: 'ExponentialDecay',
  config: { initial_learning_rate: 0.1, decay_steps: 3, decay_rate: 0.5 },
};

/** What changes the layout of a file. */
const layouts: readonly object[] = [
  {},
  { learning_rate: schedule },
  { use_ema: true, ema_overwrite_frequency: 2 },
  { gradient_accumulation_steps: 2 },
  { use_ema: true, gradient_accumulation_steps: 2, learning_rate: schedule },
];

/** Configurations of a class: the first in all layouts, the others in the one that has most. */
export const saved = (name: string): readonly Configuration[] =>
  (variants[name] ?? []).flatMap((variant, i) =>
    layouts
      .slice(i === 0 ? 0 : -1)
      .map((layout) => ({ class: name, args: { name: 'optimizer', ...variant, ...layout } })),
  );

const isNadam = (c: Configuration): boolean => JSON.stringify(c).includes('"Nadam"');

/** Keras cannot save a MultiOptimizer in a LossScaleOptimizer: that has variables of its own for the second one only. */
export const savedWrappers: readonly Configuration[] = [
  ...(wrapped.LossScaleOptimizer ?? []).filter(({ args }) => !JSON.stringify(args).includes('MultiOptimizer')),
  ...['Nadam', 'Adafactor', 'Muon'].map((class_name) => ({
    class: 'LossScaleOptimizer',
    args: { name: 'optimizer', initial_scale: 8, inner_optimizer: { class_name, config: { name: 'inner' } } },
  })),
  ...[{}, { '(model/)?first/.*': { class_name: 'Nadam', config: { name: 'one' } } }].map((optimizer_map) => ({
    class: 'MultiOptimizer',
    args: {
      name: 'optimizer',
      optimizer_map: {
        class_name: 'OptimizerMap',
        config: { default_optimizer: { class_name: 'SGD', config: { name: 'other', momentum: 0.5 } }, optimizer_map },
      },
    },
  })),
];

/** The paths that Keras gives them, before it has loaded them with `model/` before: a MultiOptimizer asks. */
const names = ['first/kernel', 'first/bias', 'norm/gamma', 'norm/beta', 'last/kernel', 'last/bias'];

/** Steps of ours. */
function goOn(optimizer: Optimizer, variables: readonly Variable[], first: number): Moments {
  const copies = (list: readonly Variable[]) => list.map(({ value }) => Float64Array.from(value, Number));
  return steps(first).map((gradients) => {
    optimizer.apply(gradients, variables);
    return { values: copies(variables), state: copies(optimizer.variables) };
  });
}

/** Every number; a state that Keras does not have is left out. */
function same(c: Configuration, when: string, ours: Moments, keras: Moments, whole: boolean): void {
  keras.forEach(({ values, state }, k) => {
    const own = ours[k] as Moments[number]; // as many
    const t = 3 * kSteps;
    values.forEach((numbers, i) =>
      sameOrNear(inside(c), `variables[${i}] ${when}, step ${k}`, own.values[i] as Float64Array, numbers, t, t),
    );
    if (!whole || hasPower(c)) return;
    state.forEach((numbers, i) =>
      sameOrNear(inside(c), `state ${i} ${when}, step ${k}`, own.state[i] as Float64Array, numbers, sizeOf(numbers), t),
    );
  });
}

/** Of the class whose arithmetic it is. */
const inside = (c: Configuration): Configuration => {
  const { class_name, config } = (c.args.inner_optimizer ?? {}) as {
    class_name?: string;
    config?: Configuration['args'];
  };
  return class_name === undefined ? c : { class: class_name, args: config ?? {} };
};

interface Files {
  readonly path: string;
  readonly weights: string;
  readonly written: string;
  readonly writtenWeights: string;
}
const filesIn = (folder: string): Files => ({
  path: join(folder, 'model.keras'),
  weights: join(folder, 'model.weights.h5'),
  written: join(folder, 'written.keras'),
  writtenWeights: join(folder, 'written.weights.h5'),
});

/** A class whose state Keras does not save as a whole: it goes on with other numbers itself. */
const isForgotten = (c: Configuration, policy: string): boolean =>
  isNadam(c) && c.class !== 'MultiOptimizer' && (c.class === 'LossScaleOptimizer' || policy !== 'float32');

/** One configuration, both ways and by both kinds of files. */
async function checkFiles(keras: Keras, tally: Tally, c: Configuration, folder: string, policy: Policy): Promise<void> {
  const files = filesIn(folder);
  const text = stringify(deserialize({ class_name: c.class, config: c.args }));
  const { path, weights, written, writtenWeights } = files;
  const question = { text, policy, path, weights, before: sent(steps(0)), after: sent(steps(kSteps)) };
  const theirs = await tally.check('saved', c, () => keras.ask('save_model', question));
  if (theirs === undefined) return;
  const whole = c.class !== 'LossScaleOptimizer' && policy === 'float32';
  const ours = await tally.check('models of Keras', c, async () => {
    const { optimizer, variables } = await loadKerasOptimizer(path);
    const trained = shapes.map((shape, i) => {
      const there = variables.find(({ place }) => place === i);
      return new Variable(there?.value as Float32Array, { shape, name: `model/${names[i]}` });
    });
    same(c, 'of the model', goOn(optimizer, trained, kSteps), received(theirs.moments), whole);
    return { optimizer, trained };
  });
  if (ours === undefined) return;
  const { optimizer, trained } = ours;
  await tally.check('weights of Keras', c, async () => {
    const model = await loadKerasOptimizer(path);
    const { optimizer: other, variables } = await loadKerasOptimizer(weights, {
      optimizer: JSON.parse(textFor(optimizer)),
    });
    const again = shapes.map((shape, i) => {
      const at = model.variables.find(({ place }) => place === i)?.path;
      const there = variables.find((one) => one.path === at);
      return new Variable(there?.value as Float32Array, { shape, name: `model/${names[i]}` });
    });
    same(c, 'of the weights', goOn(other, again, kSteps), received(theirs.moments), whole);
    other.dispose();
  });
  await tally.check('written', c, async () => {
    await saveKerasOptimizer(optimizer, { from: path, to: written, variables: trained });
    const { variables } = await loadKerasOptimizer(path);
    const byPath = variables
      .filter(({ place }) => place !== undefined)
      .map((one) => [one.path, trained[one.place ?? 0]]);
    await saveKerasOptimizer(optimizer, {
      from: weights,
      to: writtenWeights,
      variables: Object.fromEntries(byPath) as Record<string, Variable>,
    });
  });
  const after = sent(steps(2 * kSteps));
  const own = goOn(optimizer, trained, 2 * kSteps);
  optimizer.dispose();
  if (isForgotten(c, policy)) return;
  const isMixed = policy !== 'float32'; // a policy that Keras itself does not find again in a .keras
  if (!isMixed)
    await tally.check('models for Keras', c, async () => {
      const { moments } = await keras.ask('load_model', { text, policy, path: written, weights: null, after });
      same(c, 'for Keras', own, received(moments), whole);
    });
  await tally.check('weights for Keras', c, async () => {
    const model = isMixed ? null : path;
    const { moments } = await keras.ask('load_model', { text, policy, path: model, weights: writtenWeights, after });
    same(c, 'for Keras by weights', own, received(moments), whole);
  });
}
type Policy = 'float32' | 'mixed_float16';
const textFor = (optimizer: Optimizer): string => stringify(optimizer);

/** All configurations of a class. */
export async function checkSaved(keras: Keras, who: string, all: readonly Configuration[], policy: Policy = 'float32') {
  const tally = new Tally(who);
  const folder = await mkdtemp(join(tmpdir(), 'keras-optimizers-'));
  try {
    for (const c of all) await checkFiles(keras, tally, c, folder, policy);
  } finally {
    await rm(folder, { recursive: true });
  }
  return tally;
}
