// Options made of descriptors: of what a field allows, values that show.
import type { Field } from '../../lib/index.ts';
import type { Random } from '../random.ts';

export type Args = Readonly<Record<string, unknown>>;
export interface Described {
  readonly className: string;
  readonly fields: Readonly<Record<string, Field<unknown>>>;
}

/** Values to try, of which a descriptor chooses: each is seen within six steps. */
const candidates: readonly unknown[] = [true, false, 0.5, 0, 1, -1, 2, 'mine'];
/** In their place, for options that count steps, and for those that must not make rates of 0 or infinity. */
const telling: Readonly<Record<string, readonly unknown[]>> = {
  alpha: [0.5, 1, 2],
  boundaries: [
    [1, 3],
    [2.5, 4],
  ],
  decay_rate: [0.5, 0, 2],
  decay_steps: [4, 2.5],
  ema_overwrite_frequency: [2, 3],
  end_learning_rate: [0.01],
  epsilon_1: [1e-6, 0.01], // with 0, Keras divides 0 by 0
  exclude_layers: [['kernel'], ['den.e/']],
  first_decay_steps: [2.5, 4],
  gradient_accumulation_steps: [2, 3],
  initial_learning_rate: [0.25, 1],
  loss_scale_factor: [1024, 0.3],
  momentum: [0.5, 0, 0.9],
  // such that five iterations stay finite
  muon_a: [3, 2.5],
  muon_b: [-3.5],
  muon_c: [1.5, 2],
  ns_steps: [2, 3, 0],
  power: [0.5, 0, 2],
  t_mul: [1.5, 1],
  values: [
    [0.5, 0.25, 1],
    [0, 0.1, 0.3],
  ], // one more than boundaries
  warmup_steps: [2, 3],
};
/** What an option does nothing without. */
const beside: Readonly<Record<string, Args>> = {
  ema_momentum: { use_ema: true },
  ema_overwrite_frequency: { use_ema: true },
  nesterov: { momentum: 0.5 },
  warmup_steps: { warmup_target: 0.5 },
};

const fits = (field: Field<unknown>, value: unknown): boolean =>
  field.is(value) && field.allows(value) && value !== field.default;

/** Every option that Keras may know, with values other than the default. */
export function choices({ fields }: Described): ReadonlyMap<string, readonly unknown[]> {
  const options = Object.entries(fields).filter(([, field]) => !field.extension);
  const values = (name: string, field: Field<unknown>) => (telling[name] ?? candidates).filter((x) => fits(field, x));
  return new Map(
    options.map(([name, field]) => [name, values(name, field)] as const).filter(([, list]) => list.length > 0),
  );
}

/** The first value of each of these options. */
export const firsts = (cls: Described, keep: (name: string) => boolean): Args =>
  Object.fromEntries([...choices(cls)].filter(([name]) => keep(name)).map(([name, [value]]) => [name, value]));

/** The least that a class takes, and each option changed alone, with `most` of its values. */
export function variations(cls: Described, most: number): readonly [least: Args, ...alone: Args[]] {
  const [options, least] = [choices(cls), firsts(cls, (name) => cls.fields[name]?.required === true)];
  const needed = (name: string) => Object.entries(beside[name] ?? {}).filter(([other]) => options.has(other));
  const alone = [...options].flatMap(([name, values]) =>
    values.slice(0, most).map((value) => ({ ...least, ...Object.fromEntries(needed(name)), [name]: value })),
  );
  return [least, ...alone];
}

export const pick = <T>(next: Random, list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;

/** Some options, each with one of its values, or a number between 0.001 and 10 where it may be one. */
export function randomArgs(next: Random, cls: Described): Args {
  const chosen = [...choices(cls)].filter(() => next() < 0.3);
  return Object.fromEntries(
    chosen.map(([name, values]) => {
      const number = 10 ** (4 * next() - 3);
      const field = cls.fields[name] as Field<unknown>;
      return [name, name in telling || next() < 0.5 || !fits(field, number) ? pick(next, values) : number];
    }),
  );
}
