// One state out of the parts that several processes have saved.
import { arrays, sizeOf } from '../arrays.ts';
import { CheckpointError } from './errors.ts';
import type { Checkpoint } from './read.ts';
import type { SavedValue, StateToCome } from './state_to_come.ts';

/** Throws CheckpointError `ERR_CKPT_LAYOUT` for parts that are not all of it. */
export function merged(from: string, all: readonly [Checkpoint, ...Checkpoint[]]): Checkpoint {
  const [first] = all;
  if (all.some(({ metadata }) => metadata.class !== first.metadata.class))
    throw layout(from, 'has files of different optimizers');
  const values =
    first.values &&
    mergedValues(
      from,
      all.map((one) => one.values ?? []),
    );
  return {
    ...first,
    state: mergedState(
      from,
      all.map(({ state }) => state),
    ),
    values,
  };
}

function mergedState(from: string, states: readonly StateToCome[]): StateToCome {
  const [first] = states as [StateToCome];
  const values = mergedValues(
    from,
    states.map((state) => state.values),
  );
  const members = (first.members ?? []).map((_, i) =>
    mergedState(
      from,
      states.map((state) => state.members?.[i] ?? state),
    ),
  );
  return { ...first, from, values, members };
}

function mergedValues(from: string, lists: readonly (readonly SavedValue[])[]): readonly SavedValue[] {
  const [first = []] = lists;
  if (lists.some((list) => list.length !== first.length)) throw layout(from, 'has files of different states');
  return first.map((_, i) =>
    mergedValue(
      from,
      lists.map((list) => list[i] as SavedValue),
    ),
  );
}

/** What one of them has all of, or the parts of all of them. */
function mergedValue(from: string, list: readonly SavedValue[]): SavedValue {
  const whole = list.find(({ part }) => part === undefined);
  if (whole !== undefined) return whole;
  const { path, shape, dtype } = list[0] as SavedValue;
  const parts = list.filter(({ numbers }) => numbers.length > 0).toSorted((a, b) => firstOf(a) - firstOf(b));
  let end = 0;
  for (const part of parts) {
    if (firstOf(part) !== end || part.dtype !== dtype) break;
    end += part.numbers.length;
  }
  if (end !== sizeOf(shape) || list.some((one) => String(one.shape) !== String(shape)))
    throw layout(from, `has parts of "${path}" that are not all of it`);
  let numbers: Float32Array | Float64Array | undefined;
  return {
    ...(path === undefined ? {} : { path }),
    shape,
    dtype,
    get numbers() {
      if (numbers !== undefined) return numbers;
      numbers = new arrays[dtype === 'float64' ? 'float64' : 'float32'](end);
      for (const part of parts) numbers.set(part.numbers, firstOf(part));
      return numbers;
    },
  };
}

const firstOf = ({ part }: SavedValue): number => part ?? 0;

const layout = (from: string, what: string): CheckpointError =>
  new CheckpointError('ERR_CKPT_LAYOUT', `${from} ${what}`);
