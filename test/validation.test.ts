// What Keras's constructors accept and refuse, and the two lists of where we differ.
import { assert } from 'chai';

import { deserialize } from '../lib/index.ts';
import { readGolden } from './golden.ts';
import { classes } from './optimizers.ts';

interface Row {
  readonly class: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly raises: string | null;
}
const rows = readGolden<{ readonly cases: readonly Row[] }>('validation').cases;
const schedules =
  'ExponentialDecay InverseTimeDecay PolynomialDecay CosineDecay CosineDecayRestarts PiecewiseConstantDecay';
const known = new Set([...classes.map(({ className }) => className), ...schedules.split(' '), 'LossScaleOptimizer']);
/** What a row leaves out. */
const inner: Readonly<Record<string, object>> = {
  LossScaleOptimizer: { inner_optimizer: { class_name: 'SGD', config: {} } },
};

/** Refused here, accepted by Keras: the value can only be a mistake. */
const stricter = [
  'Nadam {"beta_1":2}',
  'Nadam {"epsilon":-1}',
  'Nadam {"decay":0.1}', // which legacy Keras had for two things
  'RMSprop {"momentum":-1}',
  'RMSprop {"rho":2}',
  'Adagrad {"initial_accumulator_value":-1}',
  'Lion {"beta_2":2}',
];
/** Accepted here, refused by Keras: JavaScript has only numbers, so integers are fine. None of validation.json's rows. */
const kinder: string[] = [];

function refusal(row: Pick<Row, 'class' | 'args'>): Error | undefined {
  try {
    deserialize({ class_name: row.class, config: { ...inner[row.class], ...row.args } });
  } catch (error) {
    return error as Error;
  }
  return undefined;
}

describe('validation', () => {
  for (const row of rows.filter((r) => known.has(r.class))) {
    const name = `${row.class} ${JSON.stringify(row.args)}`;
    const refused = (row.raises !== null || stricter.includes(name)) && !kinder.includes(name);
    it(`${name} is ${refused ? 'refused' : 'accepted'}`, () => {
      const error = refusal(row);
      if (!refused) return assert.isUndefined(error);
      assert.match(String(error?.message), /expects .* got /s);
      assert.match(String((error as { code?: string } | undefined)?.code), /^ERR_OPT_CONFIG_(TYPE|RANGE)$/);
    });
  }

  it('knows every class of the rows', () => {
    assert.isEmpty(rows.filter((r) => !known.has(r.class)));
  });

  it('refuses what is not finite, out of range or of the wrong kind', () => {
    const fields = [
      'learning_rate',
      'beta_1',
      'beta_2',
      'epsilon',
      'weight_decay',
      'clipnorm',
      'clipvalue',
      'ema_momentum',
    ];
    for (const field of fields)
      for (const value of [NaN, Infinity, -Infinity])
        assert.instanceOf(refusal({ class: 'Nadam', args: { [field]: value } }), RangeError, `${field} ${value}`);
    for (const field of [...fields, 'name', 'use_ema', 'gradient_accumulation_steps'])
      for (const value of [Symbol('x'), [1], {}, 3n]) {
        const error = refusal({ class: 'Nadam', args: { [field]: value } });
        assert.instanceOf(error, TypeError, field);
        assert.include(error?.message, field);
      }
    for (const field of ['beta_1', 'beta_2'])
      for (const value of [-0.1, 1.1])
        assert.instanceOf(refusal({ class: 'Adam', args: { [field]: value } }), RangeError);
  });

  it('accepts integers where Keras wants a Python float', () => {
    for (const [name, args] of [
      ['SGD', { learning_rate: 1, momentum: 0 }],
      ['Adam', { learning_rate: 0, beta_1: 0, beta_2: 1 }],
      ['CosineDecay', { initial_learning_rate: 0, decay_steps: 10, warmup_target: 1, warmup_steps: 2 }],
    ] as const)
      assert.isUndefined(refusal({ class: name, args }), name);
  });
});
