// The state of an optimizer as the metadata tell it: everything but the arrays, which it names.
import { isPlainObject } from '../configurable.ts';
import { Variable } from '../variable.ts';
import { CheckpointError } from './errors.ts';
import type { Described } from './header.ts';
import type { StateOf } from './state_of.ts';
import type { SavedValue, StateToCome, TrainedVariable } from './state_to_come.ts';
import { tensorOf, types, type Tensor } from './tensors.ts';

/** A variable in the metadata; `tensor`: the name of its array, where the file has that. */
interface Entry extends TrainedVariable {
  readonly tensor?: string;
  /** Of a part: its first element; the shape is that of all. */
  readonly part?: number;
}

/** An optimizer in the metadata. */
interface Node extends Omit<StateToCome, 'from' | 'values' | 'trained' | 'members'> {
  readonly name: string;
  readonly built: boolean;
  /** What `variables` has behind iteration and learning_rate. */
  readonly values: readonly Entry[];
  readonly trained?: readonly Entry[];
  readonly members: readonly Node[];
}

/** The metadata of a state, and its arrays with unique names: an optimizer may have several variables of one path. */
export function describeState(
  state: StateOf,
  variables: readonly Variable[],
): { readonly text: string; readonly tensors: readonly Tensor[] } {
  const tensors = new Map<string, Tensor>();
  const add = (kind: string, source: Variable | SavedValue): Entry => {
    const path = source.path ?? '';
    const tensor = tensorOf(unique(`${kind}/${path}`, tensors), source);
    tensors.set(tensor.name, tensor);
    const entry = { path, shape: source.shape, dtype: types[tensor.type].dtype, tensor: tensor.name };
    const part = source instanceof Variable ? Variable.storageOf(source).part : undefined;
    return part === undefined ? entry : { ...entry, shape: part.of, part: part.first };
  };
  const node = ({ name, counter, learning_rate, running, built, trained, ...rest }: StateOf): Node => ({
    name,
    built,
    counter,
    ...(learning_rate === undefined ? {} : { learning_rate }),
    ...(running === undefined ? {} : { running }),
    values: rest.values.map((value) => add('optimizer', value)),
    ...(trained === undefined ? {} : { trained: trained.map(({ path, shape, dtype }) => ({ path, shape, dtype })) }),
    members: rest.members.map(node),
  });
  const root = node(state);
  const written = variables.length > 0 ? { ...root, trained: variables.map((v) => add('variables', v)) } : root;
  return { text: JSON.stringify(written), tensors: [...tensors.values()] };
}

function unique(name: string, taken: ReadonlyMap<string, unknown>): string {
  let found = name;
  for (let i = 1; taken.has(found); i++) found = `${name}#${i}`;
  return found;
}

/** A state that was read. */
export interface ReadState {
  readonly state: StateToCome;
  /** The values of the trained variables, where the file has them. */
  readonly values: readonly SavedValue[] | undefined;
}

const kMostDepth = 8; // wrappers in wrappers

/** Puts a state together again from the metadata and the arrays. */
export function composeState(
  path: string,
  text: string,
  tensors: ReadonlyMap<string, Described>,
  valueOf: (path: string, tensor: string) => SavedValue,
): ReadState {
  const used = new Set<string>();
  const fail = (what: string): never => {
    throw new CheckpointError('ERR_CKPT_LAYOUT', `${path} tells of its state ${what}`);
  };
  const value = (entry: Entry): SavedValue => {
    const { tensor = '', part } = entry;
    const found = tensors.get(tensor);
    if (found === undefined || used.has(tensor))
      return fail(`an array that it does not have: ${JSON.stringify(tensor)}`);
    used.add(tensor);
    const fits = part === undefined ? String(found.shape) === String(entry.shape) : found.shape.length === 1;
    if (types[found.type].dtype !== entry.dtype || !fits)
      return fail(`another shape or dtype of ${JSON.stringify(tensor)}`);
    const own = valueOf(entry.path, tensor);
    return part === undefined ? own : partOf(own, entry.shape, part);
  };
  const node = (given: unknown, depth: number): StateToCome => {
    if (!isNode(given) || depth > kMostDepth) return fail('something that is none');
    const { values, members, trained, ...rest } = given;
    const plain = trained?.map(({ path, shape, dtype }) => ({ path, shape, dtype }));
    const own = { ...rest, from: path, ...(plain === undefined ? {} : { trained: plain }) };
    return { ...own, values: values.map(value), members: members.map((member) => node(member, depth + 1)) };
  };
  const root = parsed(text) ?? fail('no JSON');
  const state = node(root, 0);
  const { trained = [] } = root as Node;
  const values = trained.some(({ tensor }) => tensor !== undefined) ? trained.map(value) : undefined;
  if (used.size !== tensors.size) fail(`${used.size} arrays, it has ${tensors.size}`);
  return { state, values };
}

const partOf = (value: SavedValue, shape: readonly number[], part: number): SavedValue => ({
  path: value.path ?? '',
  shape,
  dtype: value.dtype,
  part,
  ...(value.length === undefined ? {} : { length: value.length }),
  ...(value.range === undefined ? {} : { range: value.range }),
  get numbers() {
    return value.numbers;
  },
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isNode(value: unknown): value is Node {
  if (!isPlainObject(value)) return false;
  const { name, counter, learning_rate: rate, running, built, values, trained, members } = value;
  return (
    [typeof name === 'string', typeof counter === 'number', typeof built === 'boolean', Array.isArray(members)].every(
      Boolean,
    ) &&
    (rate === undefined || typeof rate === 'number') &&
    (running === undefined || isRunning(running)) &&
    isList(values) &&
    (trained === undefined || isList(trained))
  );
}

const isRunning = (running: unknown): boolean =>
  isPlainObject(running) &&
  Object.entries(running).every(([dtype, x]) => ['float32', 'float64'].includes(dtype) && typeof x === 'number');

const isList = (list: unknown): boolean => Array.isArray(list) && list.every(isEntry);

function isEntry(entry: unknown): boolean {
  if (!isPlainObject(entry)) return false;
  const { path, shape, dtype, tensor, part } = entry;
  return (
    typeof path === 'string' &&
    typeof dtype === 'string' &&
    Array.isArray(shape) &&
    shape.every((n) => Number.isSafeInteger(n) && (n as number) >= 0) &&
    (tensor === undefined || typeof tensor === 'string') &&
    (part === undefined || (Number.isSafeInteger(part) && (part as number) >= 0))
  );
}
