// The rules that are measured. Names and options are Keras's, so that every host makes the same optimizer of them.

export interface Rule {
  /** Of the class, here and in Keras; absent for a rule that no class of ours has, but a peer. */
  readonly className?: string;
  readonly options: Readonly<Record<string, number | boolean>>;
  /** Arrays of state beside the variable. */
  readonly slots: number;
}

const rate = { learning_rate: 0.001 };
const moments = { ...rate, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };

export const rules: Readonly<Record<string, Rule>> = {
  sgd: { className: 'SGD', options: rate, slots: 0 },
  sgd_momentum: { className: 'SGD', options: { ...rate, momentum: 0.9 }, slots: 1 },
  adam: { className: 'Adam', options: moments, slots: 2 },
  adamw: { className: 'AdamW', options: { ...moments, weight_decay: 0.004 }, slots: 2 },
  nadam: { className: 'Nadam', options: moments, slots: 2 },
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
