// Keras's save_own_variables and load_own_variables: the values of all variables by their number.
import { isPlainObject } from '../configurable.ts';
import { describe, typeError } from '../errors.ts';
import type { Optimizer } from '../optimizer.ts';
import { warn } from '../platform.ts';
import { Variable } from '../variable.ts';
import { copyOf, setWeights, type Weight, type WeightArray } from '../weights.ts';

/** Where the values of variables are kept, by "0", "1", ...: an object or a Map. */
export type OwnVariables<V = Weight> = Record<string, V> | Map<string, V>;

function entriesOf(who: string, store: unknown): [string, unknown][] {
  if (store instanceof Map) return [...(store as Map<string, unknown>)];
  if (isPlainObject(store)) return Object.entries(store);
  throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects a store, an object or a Map, got ${describe(store)}`);
}

export function saveOwnVariables(who: string, optimizer: Optimizer, store: unknown): void {
  entriesOf(who, store);
  const values = optimizer.variables.map((variable, i) => [String(i), valueOf(variable)] as const);
  if (store instanceof Map) for (const [key, value] of values) store.set(key, value);
  else for (const [key, value] of values) (store as Record<string, WeightArray>)[key] = value;
}

/** A copy of what is there; of a GPU as well. */
const valueOf = (variable: Variable): WeightArray => Variable.storageOf(variable).now?.() ?? copyOf(variable);

/** Keras's warning, and nothing else, where the store has another number of values. */
export function loadOwnVariables(who: string, optimizer: Optimizer, store: unknown): void {
  const { variables, name } = optimizer;
  const values = new Map(entriesOf(who, store));
  if (values.size !== variables.length) {
    const why = optimizer.built ? '' : ' This is likely because the optimizer has not been called/built yet.';
    warn(
      `Skipping variable loading for optimizer '${name}', because it has ${variables.length} variables whereas the saved optimizer has ${values.size} variables.${why}`,
    );
    return;
  }
  setWeights(
    who,
    variables,
    variables.map((_, i) => values.get(String(i))),
  );
}
