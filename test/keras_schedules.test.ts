// Keras's own tests of schedules (learning_rate_schedule_test.py): its numbers, and its formulas written once more.
import { assert } from 'chai';

import {
  CosineDecay,
  CosineDecayRestarts,
  deserialize,
  ExponentialDecay,
  InverseTimeDecay,
  PiecewiseConstantDecay,
  PolynomialDecay,
  serialize,
  type LearningRateSchedule,
} from '../lib/index.ts';

const grid = [0, 250, 500, 750, 1000, 1250];
const upTo = (last: number) => Array.from({ length: last + 1 }, (_, i) => i);
const cosine = (fraction: number, alpha = 0) => (1 - alpha) * 0.5 * (1 + Math.cos(Math.PI * fraction)) + alpha;
const ended = (step: number) => Math.min(step / 1000, 1);

function restarts(step: number, first: number, { t_mul = 2, m_mul = 1, alpha = 0 }): number {
  let [start, length, factor] = [step, first, 1];
  while (start >= length) [start, length, factor] = [start - length, length * t_mul, factor * m_mul];
  return (1 - alpha) * factor * cosine(start / length) + alpha;
}

/** Keras's test, the schedule, and what it has to be at which steps. */
type Row = readonly [string, LearningRateSchedule, readonly number[], (step: number) => number];
const table = (pairs: Readonly<Record<number, number>>) =>
  [Object.keys(pairs).map(Number), (step: number) => pairs[step] as number] as const;

const exponential = { initial_learning_rate: 0.1, decay_steps: 3, decay_rate: 0.96, staircase: true };
const polynomial = { initial_learning_rate: 0.05, decay_steps: 10 };
const inverse = { initial_learning_rate: 0.1, decay_steps: 10, decay_rate: 0.96 };
const long = { initial_learning_rate: 1, decay_steps: 1000 };
const restarting = { initial_learning_rate: 1, first_decay_steps: 1000 };
const warming = { initial_learning_rate: 0, warmup_target: 10 };

const powers = [1, 0.5].flatMap((power): Row[] => {
  const name = power === 1 ? 'linear' : 'square root';
  const options = { ...polynomial, power };
  const half = 0.5 ** power;
  const quarter = 0.25 ** power;
  const end = { ...options, end_learning_rate: 0.001 };
  return [
    [
      `PolynomialDecay, ${name}, halfway to 0`,
      new PolynomialDecay({ ...options, end_learning_rate: 0 }),
      ...table({ 5: 0.05 * half }),
    ],
    [
      `PolynomialDecay, ${name}, halfway, at its end and beyond`,
      new PolynomialDecay(end),
      ...table({ 5: 0.049 * half + 0.001, 10: 0.001, 15: 0.001 }),
    ],
    [
      `PolynomialDecay, ${name}, in its second cycle`,
      new PolynomialDecay({ ...end, cycle: true }),
      ...table({ 0: 0.05, 15: 0.049 * quarter + 0.001 }),
    ],
  ];
});

const rows: readonly Row[] = [
  ['ExponentialDecay', new ExponentialDecay({ ...polynomial, decay_rate: 0.96 }), ...table({ 5: 0.05 * 0.96 ** 0.5 })],
  [
    'ExponentialDecay, staircase',
    new ExponentialDecay(exponential),
    ...table({ 1: 0.1, 2: 0.1, 100: 0.1 * 0.96 ** 33 }),
  ],
  [
    'PiecewiseConstantDecay',
    new PiecewiseConstantDecay({ boundaries: [100, 110, 120], values: [1, 0.1, 0.01, 0.001] }),
    ...table({ [-999]: 1, 100: 1, 105: 0.1, 110: 0.1, 120: 0.01, 999: 0.001 }),
  ],
  [
    'PiecewiseConstantDecay at each boundary',
    new PiecewiseConstantDecay({ boundaries: [1, 2, 3], values: [0.4, 0.5, 0.6, 0.7] }),
    ...table({ 0: 0.4, 1: 0.4, 2: 0.5, 3: 0.6, 4: 0.7 }),
  ],
  ...powers,
  ['InverseTimeDecay', new InverseTimeDecay(inverse), upTo(10), (i) => 0.1 / (1 + (i / 10) * 0.96)],
  [
    'InverseTimeDecay, staircase',
    new InverseTimeDecay({ ...inverse, staircase: true }),
    upTo(10),
    (i) => 0.1 / (1 + 0.96 * Math.floor(i / 10)),
  ],
  ['CosineDecay', new CosineDecay(long), grid, (step) => cosine(ended(step))],
  ['CosineDecay with alpha', new CosineDecay({ ...long, alpha: 0.1 }), grid, (step) => cosine(ended(step), 0.1)],
  [
    'CosineDecay, warming up',
    new CosineDecay({ ...warming, decay_steps: 10, warmup_steps: 1500 }),
    grid,
    (step) => (step / 1500) * 10,
  ],
  [
    'CosineDecay, warming up, then decaying',
    new CosineDecay({ ...warming, decay_steps: 1000, warmup_steps: 2000 }),
    upTo(11).map((i) => 250 * i),
    (step) => 10 * (step <= 2000 ? step / 2000 : cosine((step - 2000) / 1000)),
  ],
  ['CosineDecayRestarts', new CosineDecayRestarts(restarting), grid, (step) => restarts(step, 1000, {})],
  ...[{ alpha: 0.1 }, { m_mul: 0.9 }, { t_mul: 1 }].map((options): Row => [
    `CosineDecayRestarts ${JSON.stringify(options)}`,
    new CosineDecayRestarts({ ...restarting, ...options }),
    grid,
    (step) => restarts(step, 1000, options),
  ]),
];

describe("Keras's own tests of schedules", () => {
  for (const [name, schedule, steps, expected] of rows)
    it(name, () => {
      for (const step of steps) assert.closeTo(schedule(step), expected(step), 1e-15, `at ${step}`);
    });

  it('each comes back from its config, with a name of its own', () => {
    for (const [, schedule] of rows) {
      const form = serialize(schedule);
      const named = { ...form, config: { ...form.config, name: 'mine' } };
      assert.deepEqual(serialize(deserialize(named)), named);
    }
  });
});
