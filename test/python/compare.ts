// How the two sides are compared: forms key by key, numbers to the bit or within the tolerance.
import { assert, config } from 'chai';

import type { Serialized } from '../../lib/index.ts';
import { distance } from '../golden.ts';
import { hasPower, isInexact, tolerance, type Configuration } from '../promise.ts';
import type { Training } from './keras.ts';
import { beginning, type Numbers } from './training.ts';

config.truncateThreshold = 0; // a message says all

/** The same keys in the same order, with the same values; Keras echoes numeric learning rates through float32. */
export function sameForm(ours: Serialized, keras: Serialized): void {
  const keys = (form: Serialized) => JSON.stringify({ ...form, config: Object.keys(form.config) });
  assert.equal(keys(ours), keys(keras));
  const echo = (key: string, value: unknown): unknown =>
    key === 'learning_rate' && typeof value === 'number' ? Math.fround(value) : value;
  for (const [key, value] of Object.entries(ours.config))
    assert.equal(JSON.stringify({ [key]: value }, echo), JSON.stringify({ [key]: keras.config[key] }), key);
}

type Bound = (keras: number) => number;
const toTheBit: Bound = () => -1; // two zeros of different sign are not near enough

function sameNumbers(who: string, ours: Numbers, keras: Numbers, bound: Bound): void {
  assert.lengthOf(ours, keras.length, who);
  for (const [i, expected] of [...keras].entries()) {
    const x = ours[i] as number; // as many
    const right = Object.is(x, expected) || Math.abs(x - expected) <= bound(expected);
    assert(right, `${who}[${i}] is ${x}, in Keras ${expected}`);
  }
}

export const sizeOf = (numbers: Numbers): number => distance([...numbers], Array<number>(numbers.length).fill(0));

/** How far the numbers of variables[i] were from their beginning, at most: averages keep what came of that. */
const farthest = (moments: Training<Numbers>['moments'], i: number): number =>
  Math.max(...moments.map(({ values }) => distance([...(values[i] as Numbers)], [...(beginning[i] as Numbers)])));

/** Inside a wrapper Keras puts the names of more optimizers, or none, before that of a variable. */
const shown =
  ({ class: name }: Configuration) =>
  ({ path, ...rest }: Training<Numbers>['kept'][number]) =>
    /^(LossScale|Multi)Optimizer$/.test(name)
      ? { path: path.slice(path.lastIndexOf('/') + 1), ...rest }
      : { path, ...rest };

/** Numbers that are the same, or as near as is promised of a class after t steps. */
export function sameOrNear(
  c: Configuration,
  who: string,
  ours: Numbers,
  keras: Numbers,
  size: number,
  t: number,
): void {
  sameNumbers(who, ours, keras, isInexact(c) ? (x) => tolerance(x, size, t) : toTheBit);
}

/** Every number of two runs that go on after some steps. */
export function sameRun(c: Configuration, after: number, ours: Training<Numbers>, keras: Training<Numbers>): void {
  assert.equal(JSON.stringify(ours.kept.map(shown(c))), JSON.stringify(keras.kept.map(shown(c))));
  assert.lengthOf(ours.moments, keras.moments.length);
  const boundOf = (size: number, t: number): Bound => (isInexact(c) ? (x) => tolerance(x, size, t) : toTheBit);
  const way = (i: number, t: number): number => farthest(keras.moments.slice(0, t - after), i);
  const sameValues = (when: string, t: number, own: readonly Numbers[], theirs: readonly Numbers[]) =>
    theirs.forEach((numbers, i) =>
      sameNumbers(`variables[${i}] ${when}`, own[i] as Numbers, numbers, boundOf(way(i, t), t)),
    );
  const rates = keras.moments.map(({ rate }) => Math.abs(rate));
  keras.moments.forEach(({ rate, values, state }, k) => {
    const own = ours.moments[k] as Training<Numbers>['moments'][number]; // as many
    const t = after + k + 1;
    assert.closeTo(own.rate, rate, 1e-6 * Math.max(...rates), `learning rate of step ${t}`);
    sameValues(`after step ${t}`, t, own.values, values);
    if (hasPower(c)) return; // a slot has differences of powers over the learning rate, in which their roundings grow
    state.forEach((numbers, i) => {
      const bound = boundOf(sizeOf(numbers), t);
      sameNumbers(`${ours.kept[i]?.path} after step ${t}`, own.state[i] as Numbers, numbers, bound);
    });
  });
  sameValues('finalized', after + keras.moments.length, ours.finalized, keras.finalized);
}
