// The rules that are measured. Names and options are Keras's, so that every host makes the same optimizer of them.

export interface Rule {
  /** Of the class, here and in Keras; absent for a rule that no class of ours has, but a peer. */
  readonly className?: string;
  readonly options: Readonly<Record<string, number | boolean>>;
  /** Arrays of state of the size of the variable. */
  readonly slots: number;
  /** It looks at all of a variable before it changes it: two walks, of which the second reads a direction. */
  readonly directed?: true;
  /** By how much slots in bfloat16 may move the variable in a few steps, where that is more than `kNarrow` in variants.ts; null: it has none. */
  readonly narrow?: number | null;
}

const kLongSteps = 1e-3; // ten times those that kNarrow is for: momentum of steps of 0.003
const kWeights = 2e-2; // a slot is the variable in another form: a few times its 8 digits

const rate = { learning_rate: 0.001 };
const moments = { ...rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };
const scheduleFree = { ...moments, epsilon: 1e-8 };
const adafactor = { ...rate, beta_2_decay: -0.8, epsilon_1: 1e-30, epsilon_2: 1e-3, clip_threshold: 1 };
const accumulator = { initial_accumulator_value: 0.1 };

// PyTorch adds epsilon to the root, Keras under it. One so small makes no difference that the check would have to allow.
const rmsprop = (slots: number, momentum: number, centered: boolean): Rule => ({
  className: 'RMSprop',
  options: { ...rate, rho: 0.9, momentum, epsilon: 1e-10, centered },
  slots,
  ...(momentum > 0 && { narrow: kLongSteps }),
});

const ftrl = (learning_rate_power: number): Rule => ({
  className: 'Ftrl',
  options: {
    learning_rate: 0.05,
    learning_rate_power,
    ...accumulator,
    l1_regularization_strength: 0.01,
    l2_regularization_strength: 0.01,
  },
  slots: 2,
  narrow: kWeights,
});

export const rules: Readonly<Record<string, Rule>> = {
  sgd: { className: 'SGD', options: rate, slots: 0 },
  sgd_momentum: { className: 'SGD', options: { ...rate, momentum: 0.9 }, slots: 1 },
  rmsprop: rmsprop(1, 0, false),
  rmsprop_momentum: rmsprop(2, 0.9, false),
  rmsprop_centered: rmsprop(2, 0, true),
  rmsprop_centered_momentum: rmsprop(3, 0.9, true),
  adagrad: { className: 'Adagrad', options: { ...rate, ...accumulator, epsilon: 1e-7 }, slots: 1 },
  // The paper's rate is 1; with Keras's default nothing would move by as much as the check allows.
  adadelta: { className: 'Adadelta', options: { learning_rate: 0.5, rho: 0.95, epsilon: 1e-7 }, slots: 2 },
  adam: { className: 'Adam', options: moments, slots: 2 },
  adamw: { className: 'AdamW', options: { ...moments, weight_decay: 0.004 }, slots: 2 },
  adamax: { className: 'Adamax', options: moments, slots: 2 },
  nadam: { className: 'Nadam', options: moments, slots: 2 },
  lion: { className: 'Lion', options: { ...rate, beta_1: 0.9, beta_2: 0.99 }, slots: 1 },
  lamb: { className: 'Lamb', options: moments, slots: 2, directed: true },
  adafactor: { className: 'Adafactor', options: adafactor, slots: 1, directed: true, narrow: null },
  ftrl: ftrl(-0.5),
  ftrl_power: ftrl(-0.4),
  schedule_free_adamw: { className: 'ScheduleFreeAdamW', options: scheduleFree, slots: 2, narrow: kWeights },
  // The average recovered from a slot that has been written already: what Keras does on TensorFlow (lib/optimizers/
  // schedule_free_adamw.ts).
  schedule_free_adamw_aliased: { options: scheduleFree, slots: 2 },
  // Nesterov momentum without Keras's schedule of the momentum: what optax calls nadam.
  nadam_constant: { options: moments, slots: 2 },
};

/** The rules that words select: those with a class. */
export const ruleNames = Object.keys(rules).filter((name) => rules[name]?.className !== undefined);

export function ruleNamed(name: string): Rule {
  const rule = rules[name];
  if (rule === undefined) throw new RangeError(`no rule is named ${name}`);
  return rule;
}
