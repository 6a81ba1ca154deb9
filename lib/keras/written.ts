// The state of an optimizer as the arrays that Keras 3.15 writes: in its order, without what it leaves out.
import type { StateOf } from '../checkpoint/state_of.ts';
import type { SavedValue } from '../checkpoint/state_to_come.ts';
import { Optimizer } from '../optimizer.ts';
import { LossScaleOptimizer } from '../optimizers/loss_scale_optimizer.ts';
import { isVariable, Variable } from '../variable.ts';
import type { Content } from './h5.ts';
import type { Written } from './h5_write.ts';
import { groupsOf, kVars } from './groups.ts';

type Source = Variable | SavedValue;

/** All arrays of an optimizer, those of wrapped ones twice, as Keras has them. */
export async function writtenOf(optimizer: Optimizer, state: StateOf, { arrays }: Content): Promise<Written[]> {
  const { own, members } = listed(optimizer, state, false);
  const all = await Promise.all([...own, ...members.flat()].map(numbersOf));
  const groups = groupsOf(optimizer);
  let begin = own.length;
  const inner = members.flatMap((member, i) => {
    const part = all.slice(begin, (begin += member.length));
    return named(groups[i] as string, part);
  });
  return [...named(kVars, all), ...inner].map((array) => ({ ...array, dtype: dtypeIn(arrays, array) }));
}

interface Listed {
  readonly own: readonly Source[];
  readonly members: readonly (readonly Source[])[];
}

function listed(optimizer: Optimizer, state: StateOf, wrapped: boolean): Listed {
  const { counter, learning_rate: rate, values } = state;
  const inner = Optimizer.runnerOf(optimizer).wrapped;
  const isScale = optimizer instanceof LossScaleOptimizer;
  const members = state.members.map((member, i) => listed(inner[i] as Optimizer, member, isScale).own);
  const count = { shape: [], dtype: 'int64', numbers: [counter] };
  const dtype = values.map((value) => floatOf(value.dtype)).find((dtype) => dtype !== undefined) ?? 'float32';
  const rates = rate === undefined ? [] : [{ shape: [], dtype, numbers: [rate] }];
  const kept = wrapped ? values.slice(0, Optimizer.runnerOf(optimizer).running ? -1 : undefined) : values;
  const own = wrapped ? kept.filter((value) => value.dtype !== 'int32') : kept;
  return { own: [count, ...rates, ...own], members };
}

/** The dtype that Keras has for a state of ours; undefined for whole numbers. */
const floatOf = (dtype: string): string | undefined =>
  dtype.includes('int') ? undefined : dtype === 'float64' ? 'float64' : 'float32';

async function numbersOf(source: Source): Promise<Omit<Written, 'path'>> {
  const dtype = floatOf(source.dtype) ?? source.dtype;
  return { shape: source.shape, dtype, numbers: await valuesOf(source) };
}

/** The numbers of a variable as they are inside, of a GPU as well; those of an array as they are. */
export async function valuesOf(source: Variable | ArrayLike<number> | SavedValue): Promise<ArrayLike<number>> {
  if (!isVariable(source)) return 'numbers' in source ? source.numbers : source;
  const storage = Variable.storageOf(source);
  const number = storage.number?.();
  return number === undefined ? source.read() : [number];
}

const named = (group: string, arrays: readonly Omit<Written, 'path'>[]): Written[] =>
  arrays.map((array, i) => ({ path: `${group}/${i}`, ...array }));

/** That of the file, where it has the same kind of array there: float16, or the int32 of other backends. */
function dtypeIn(arrays: Content['arrays'], { path, shape, dtype }: Written): string {
  const there = arrays.get(path);
  const alike = there?.dtype.includes('int') === dtype.includes('int') && String(there.shape) === String(shape);
  return alike ? there?.dtype : dtype;
}
