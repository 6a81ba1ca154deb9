// All numbers of an optimizer, as they are where they lie: what is saved.
import type { Dtype } from '../native.ts';
import { Optimizer } from '../optimizer.ts';
import { Variable } from '../variable.ts';
import { rateOf, type SavedValue, type StateToCome, type TrainedVariable } from './state_to_come.ts';

/** What there is now; `numbers` of a variable are read when it is written. */
export interface StateOf extends Omit<StateToCome, 'from' | 'values' | 'members'> {
  readonly name: string;
  readonly built: boolean;
  readonly values: readonly (Variable | SavedValue)[];
  readonly members: readonly StateOf[];
}

/** The state of an optimizer, and of those that it wraps; of one that waits for `build` that which waits. */
export function stateOf(optimizer: Optimizer): StateOf {
  const { name } = optimizer;
  const runner = Optimizer.runnerOf(optimizer);
  const { counter, waiting, wrapped, tracked, state } = runner;
  const rate = rateOf(optimizer);
  const learning_rate = rate && Variable.storageOf(rate).number?.();
  const own = { name, counter, ...(learning_rate === undefined ? {} : { learning_rate }) };
  const later = (waiting?.members ?? []).slice(wrapped.length).map(unknownMember); // a function of the user's gives them
  const members = [...wrapped.map(stateOf), ...later];
  if (waiting !== undefined) return { ...waiting, ...own, built: true, members };
  const trained = state?.variables.map(trainedVariable);
  const running = known(runner.running);
  return {
    ...own,
    built: state !== undefined,
    values: tracked,
    members,
    ...(trained === undefined ? {} : { trained }),
    ...(running === undefined ? {} : { running }),
  };
}

const unknownMember = (state: StateToCome): StateOf => ({
  ...state,
  name: '',
  built: state.built ?? true,
  members: (state.members ?? []).map(unknownMember),
});

const trainedVariable = ({ path, shape, dtype }: Variable): TrainedVariable => ({ path, shape, dtype });

/** Without the dtypes that do not occur; undefined before `build`. */
function known(running: Readonly<Record<Dtype, number>> | undefined): Partial<Record<Dtype, number>> | undefined {
  const entries = Object.entries(running ?? {}).filter(([, number]) => !Number.isNaN(number));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
