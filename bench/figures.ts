// Numbers that follow from two or three drivers of the same rounds.
import { summary, type Samples, type Summary } from '../lib/bench/measure.ts';
import { variantNamed } from './variants.ts';
import type { Trial } from './drivers.ts';

export interface Figure extends Summary {
  readonly name: string;
  /** x: times; us: microseconds a call. */
  readonly unit: 'x' | 'us';
}

interface Definition {
  readonly name: (trial: Trial) => string;
  readonly unit: Figure['unit'];
  readonly of: readonly string[];
  /** Of the seconds that those took in a round. */
  readonly value: (...seconds: number[]) => number;
}

const difference = (a: number, b: number): number => 1e6 * (a - b);
const ratio = (a: number, b: number): number => a / b;

const definitions: readonly Definition[] = [
  {
    name: ({ variant }) => `a step with ${variant} / one without`,
    unit: 'x',
    of: ['ours', 'ours:without'],
    value: ratio,
  },
  {
    name: ({ variant }) => `what ${variant} adds / a loop that only reads the gradients`,
    unit: 'x',
    of: ['ours', 'ours:without', 'read'],
    value: (ours, without, read) => ratio(ours - without, read),
  },
  { name: () => 'apply_async - apply', unit: 'us', of: ['ours:async', 'ours'], value: difference },
  { name: () => 'the first step / a later one', unit: 'x', of: ['ours:first', 'ours'], value: ratio },
  { name: () => 'the list of Variables - one tensor', unit: 'us', of: ['ours', 'ours:flat'], value: difference },
  {
    name: () => 'the list of plain arrays - one tensor',
    unit: 'us',
    of: ['ours:arrays', 'ours:flat'],
    value: difference,
  },
];

/** Those whose drivers have all been measured. */
export function figuresOf(trial: Trial, samples: Samples): Figure[] {
  const { calls } = variantNamed(trial.variant);
  return definitions.flatMap(({ name, unit, of, value }) => {
    const columns = of.map((driver) => samples[driver]);
    if (columns.includes(undefined)) return [];
    const rounds = (columns as number[][])[0]?.map((_, round) =>
      value(...(columns as number[][]).map((column) => (column[round] as number) / calls)),
    );
    return [{ name: name(trial), unit, ...summary(rounds ?? []) }];
  });
}
