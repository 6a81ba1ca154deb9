// One state out of the parts that several processes have saved.
import { arrays, sizeOf } from '../arrays.ts';
import { CheckpointError } from './errors.ts';
import type { Checkpoint } from './read.ts';
import { lengthOf, rangeOf, type SavedValue, type StateToCome } from './state_to_come.ts';

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
  const parts = list.filter((one) => lengthOf(one) > 0).toSorted((a, b) => firstOf(a) - firstOf(b));
  let length = 0;
  for (const part of parts) {
    if (firstOf(part) !== length || part.dtype !== dtype) break;
    length += lengthOf(part);
  }
  if (length !== sizeOf(shape) || list.some((one) => String(one.shape) !== String(shape)))
    throw layout(from, `has parts of "${path}" that are not all of it`);
  const range = (first: number, count: number) => joined(parts, dtype, first, count);
  return {
    ...(path === undefined ? {} : { path }),
    shape,
    dtype,
    length,
    range,
    get numbers() {
      return range(0, length);
    },
  };
}

/** Elements [first, first + count) of what parts make up: of each, no more than that is read. */
function joined(parts: readonly SavedValue[], dtype: string, first: number, count: number): ArrayLike<number> {
  const numbers = new arrays[dtype === 'float64' ? 'float64' : 'float32'](count);
  for (const part of parts) {
    const begin = firstOf(part);
    const [from, to] = [Math.max(first, begin), Math.min(first + count, begin + lengthOf(part))];
    if (from < to) numbers.set(rangeOf(part, from - begin, to - from), from - first);
  }
  return numbers;
}

const firstOf = ({ part }: SavedValue): number => part ?? 0;

const layout = (from: string, what: string): CheckpointError =>
  new CheckpointError('ERR_CKPT_LAYOUT', `${from} ${what}`);
