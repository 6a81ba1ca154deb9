// What is measured when no words say it.
import type { Driver, Trial } from './drivers.ts';
import { ruleNames } from '../lib/bench/rules.ts';
import { denseVariants } from './variants.ts';

/** Every combination is a trial. */
export interface Grid {
  readonly rules: readonly string[];
  readonly works: readonly string[];
  readonly variants: readonly string[];
  readonly threads: readonly number[];
}

export interface Plan {
  readonly about: string;
  readonly grids: readonly Grid[];
  /** Of the drivers that are measured. */
  readonly when: readonly Driver['when'][];
  /** Of these, the drivers that are not. */
  readonly without?: readonly string[];
  readonly rounds: number;
  /** Length of a sample. */
  readonly seconds: number;
  /** Large steps whose delay of the event loop is measured. */
  readonly steps: number;
}

const plain = { variants: ['plain'] };
const sizes = ['1K', '16K', '256K', '4M', '64M'];
const networks = ['resnet50', 'gpt2'];

export type PlanName = 'quick' | 'default' | 'rules' | 'full';

export const plans: Readonly<Record<PlanName, Plan>> = {
  quick: {
    about: 'adam and nadam, two sizes, without Python; seconds',
    grids: [{ ...plain, rules: ['adam', 'nadam'], works: ['1K', '256K'], threads: [1] }],
    when: ['quick'],
    rounds: 5,
    seconds: 0.001,
    steps: 5,
  },
  default: {
    about: 'nadam and adamw beside every peer; minutes',
    grids: [
      { ...plain, rules: ['nadam', 'adamw'], works: ['1K', '256K', '4M', 'resnet50'], threads: [1] },
      { ...plain, rules: ['nadam'], works: ['1000x1K'], threads: [1] },
    ],
    when: ['quick', 'default'],
    rounds: 11,
    seconds: 0.002,
    steps: 50,
  },
  rules: {
    about: 'every rule, at 16M and 1K elements, beside the peers; ten minutes',
    grids: [{ ...plain, rules: ruleNames, works: ['16M', '1K'], threads: [1] }],
    when: ['quick', 'default'],
    without: ['memcpy', 'ours:arrays', 'keras:eager'],
    rounds: 5,
    seconds: 0.002,
    steps: 0,
  },
  full: {
    about: 'everything; hours',
    grids: [
      {
        ...plain,
        rules: ['nadam', 'adamw', 'adam'],
        works: [...sizes, ...networks, '1000x1K', '200x16'],
        threads: [1, 2],
      },
      {
        ...plain,
        rules: ruleNames.filter((name) => !['nadam', 'adamw', 'adam'].includes(name)),
        works: ['16K', '256K', '4M', '64M', ...networks],
        threads: [1],
      },
      {
        rules: ['nadam', 'adamw'],
        works: ['256K', '4M', 'resnet50'],
        variants: denseVariants.filter((name) => name !== 'plain'),
        threads: [1, 2],
      },
      { rules: ['sgd', 'adagrad', 'adam'], works: ['embedding'], variants: ['sparse'], threads: [1, 2] },
    ],
    when: ['quick', 'default', 'full'],
    rounds: 15,
    seconds: 0.002,
    steps: 100,
  },
};

/** Each trial once, in the plan's order. */
export function trialsOf(grids: readonly Grid[]): Trial[] {
  const all = grids.flatMap(({ rules, works, variants, threads }) =>
    threads.flatMap((count) =>
      rules.flatMap((rule) =>
        variants.flatMap((variant) => works.map((work) => ({ rule, work, variant, threads: count }))),
      ),
    ),
  );
  return [...new Map(all.map((trial) => [JSON.stringify(trial), trial])).values()];
}
