// Short runs of an optimizer on one variable, and what they leave.
import { assert } from 'chai';

import { Variable, type Optimizer } from '../lib/index.ts';

type List = readonly number[];

/** The values after each of the gradients. */
export function path(optimizer: Optimizer, start: List, gradients: readonly List[]): number[][] {
  const v = new Variable(start);
  return gradients.map((gradient) => (optimizer.apply([gradient], [v]), [...v.value]));
}

/** The numbers of those of an optimizer's variables whose path ends like this, one after the other. */
export const stateOf = (optimizer: Optimizer, ending = ''): number[] =>
  optimizer.variables.filter((v) => v.path.endsWith(ending)).flatMap(({ value }) => [...value].map(Number));

/** Asserts that numbers are equal within 1e-6, and 1e-6 of the number: Keras's own tolerances. */
export function close(ours: Iterable<number>, keras: List): void {
  const list = [...ours];
  assert.lengthOf(list, keras.length);
  keras.forEach((x, i) => assert.closeTo(list[i] as number, x, 1e-6 * (1 + Math.abs(x)), `${i}`));
}
