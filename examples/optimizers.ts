// The optimizers by the names of the command line, and what they train this network with unless it says something else.
import * as library from 'keras-optimizers';
import { schedules, type Choice } from './schedules.ts';

export interface Setting {
  /** The highest one of the schedule. */
  readonly rate: number;
  /** A key of `schedules`. */
  readonly schedule: string;
}

const kSchedule = 'exponential';

/** docs/optimizers-on-mnist.md says how the rates were found, and why two stay constant. */
const settings: Readonly<Record<string, Setting>> = {
  adadelta: { rate: 10, schedule: kSchedule },
  adafactor: { rate: 0.1, schedule: kSchedule },
  adagrad: { rate: 0.3, schedule: kSchedule },
  adam: { rate: 0.01, schedule: kSchedule },
  adamax: { rate: 0.03, schedule: kSchedule },
  adamw: { rate: 0.01, schedule: kSchedule },
  ftrl: { rate: 0.1, schedule: 'constant' },
  lamb: { rate: 0.01, schedule: kSchedule },
  lion: { rate: 0.001, schedule: kSchedule },
  muon: { rate: 0.03, schedule: kSchedule },
  nadam: { rate: 0.01, schedule: kSchedule },
  rmsprop: { rate: 0.01, schedule: kSchedule },
  schedulefreeadamw: { rate: 0.01, schedule: 'constant' },
  sgd: { rate: 1, schedule: kSchedule },
};

type OptimizerClass = typeof library.Adam;
const isOptimizer = (value: unknown): value is OptimizerClass =>
  typeof value === 'function' && value.prototype instanceof library.Optimizer;
/** Those that wrap others want to be given them. */
const isWhole = ({ fields }: OptimizerClass): boolean => !Object.values(fields).some(({ required }) => required);

/** All that the library exports and that need no other one. */
export const optimizers: readonly string[] = Object.entries(library)
  .flatMap(([name, value]) => (isOptimizer(value) && isWhole(value) ? [name.toLowerCase()] : []))
  .sort();

/** Of one of `optimizers`; for a name that the table does not have, the optimizer's own rate. */
export const settingOf = (name: string): Setting =>
  settings[name] ?? { rate: library.get(name).learning_rate, schedule: kSchedule };

/** As `new Nadam({ learning_rate: new ExponentialDecay({ ... }) })`; `steps` of the whole training. */
export function makeOptimizer(name: string, { rate, schedule }: Setting, steps: number): library.Optimizer {
  const made = library.get(name);
  made.learning_rate = (schedules[schedule] as Choice).make(rate, steps); // readOptions has checked both names
  return made;
}
