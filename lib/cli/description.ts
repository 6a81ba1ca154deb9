// What a checkpoint holds, of each kind of file in the same form.
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

import { CheckpointError, systemError } from '../checkpoint/errors.ts';
import { readCheckpoint } from '../checkpoint/read.ts';
import type { SavedValue, StateToCome, TrainedVariable } from '../checkpoint/state_to_come.ts';
import { isPlainObject, type Config } from '../configurable.ts';
import { deserialize, LearningRateSchedule } from '../index.ts';
import { contentOfFile, withFile, type KerasFile } from '../keras/file.ts';
import type { Stored } from '../keras/h5.ts';
import { kVars } from '../keras/groups.ts';
import { formIn } from '../keras/load.ts';
import { variablesOf } from '../keras/model.ts';
import { normOf, numberOf } from './norm.ts';
import { rateIn } from './rate.ts';

export type Format = '.safetensors' | '.keras' | '.weights.h5';

/** An array in a file. */
export interface ArrayDescription {
  readonly path: string;
  /** The layer that it belongs to, where the file says it. */
  readonly layer?: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  /** Euclidean; NaN or Infinity if a number is. Left out where the file does not have the numbers. */
  readonly norm?: number;
  /** Of one that is a single number. */
  readonly value?: number;
  /** Its place among the variables that the optimizer trains, where the file says it. */
  readonly place?: number;
}

/** An optimizer that another one wraps; files of Keras have their arrays in the one outside. */
export interface MemberDescription {
  readonly iteration: number;
  readonly learning_rate?: number;
  readonly optimizer: readonly ArrayDescription[];
  readonly wrapped: readonly MemberDescription[];
}

/** All that is known of a file. What it does not have is left out. */
export interface Description {
  readonly file: string;
  readonly format: Format;
  readonly keras_version?: string;
  readonly class?: string;
  /** The serialized form: class_name, config, ... */
  readonly config?: Config;
  readonly iteration?: number;
  /** That of the next update, by a schedule as well. */
  readonly learning_rate?: number;
  /** The state of the optimizer. */
  readonly optimizer: readonly ArrayDescription[];
  readonly wrapped?: readonly MemberDescription[];
  /** The variables of the model. */
  readonly variables: readonly ArrayDescription[];
}

/**
 * Reads a file and describes it.
 *
 * @throws (rejects) CheckpointError, as the reader of that kind of file
 */
export async function describeFile(path: string): Promise<Description> {
  if ((await formatOf(path)) === '.safetensors') return ofOurs(path);
  return ofKeras(await withFile(path, contentOfFile));
}

/** Its first bytes say it; what is nothing else is taken for a safetensors file, whose reader says what is wrong. */
export async function formatOf(path: string): Promise<Format> {
  const first = Buffer.alloc(8);
  try {
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe would wait for a writer
    try {
      if (!(await file.stat()).isFile()) throw new CheckpointError('ERR_CKPT_FORMAT', `${path} is no file`);
      await file.read(first, 0, first.length, 0);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw systemError(`reading ${path}`, error);
  }
  if (first.toString('latin1', 0, 2) === 'PK') return '.keras';
  return first.toString('latin1') === '\x89HDF\r\n\x1a\n' ? '.weights.h5' : '.safetensors';
}

async function ofOurs(path: string): Promise<Description> {
  const { metadata, state, values } = await readCheckpoint(path);
  const config = configIn(metadata.config);
  const { optimizer, wrapped } = memberOf(state);
  const { iteration, learning_rate } = memberOf(onlyIn(state.members) ?? state);
  return {
    file: path,
    format: '.safetensors',
    class: metadata.class,
    ...(config && { config }),
    iteration,
    ...rateOf(config, iteration, learning_rate),
    optimizer,
    wrapped,
    variables: (values ?? state.trained ?? []).map((value, place) => ({ ...savedArray(value), place })),
  };
}

function configIn(text: string): Config | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isPlainObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What a LossScaleOptimizer wraps: that one has the counter and the learning rate. */
const onlyIn = (members: readonly StateToCome[] = []): StateToCome | undefined =>
  members.length === 1 ? members[0] : undefined;

const memberOf = ({ counter, learning_rate, values, members = [] }: StateToCome): MemberDescription => ({
  iteration: counter,
  ...(learning_rate !== undefined && { learning_rate }),
  optimizer: values.map(savedArray),
  wrapped: members.map(memberOf),
});

function savedArray(value: SavedValue | TrainedVariable): ArrayDescription {
  const { path = '', shape, dtype } = value;
  return { path, shape, dtype, ...('numbers' in value && measured(shape, value.numbers)) };
}

const measured = (shape: readonly number[], numbers: ArrayLike<number | bigint>) => ({
  norm: normOf(numbers),
  ...(shape.length === 0 && { value: numberOf(numbers) }),
});

function ofKeras(file: KerasFile): Description {
  const state = stateIn(file, kVars);
  const config = compiledIn(file);
  const inner = stateIn(file, 'optimizer/inner_optimizer/vars');
  const [first, second] = inner.length > 0 ? inner : state;
  const isCounter = first?.shape.length === 0 && first.dtype.includes('int');
  const hasRate = second?.shape.length === 0 && !second.dtype.includes('int') && !isSchedule(rateIn(config));
  const iteration = isCounter ? numberOf(first.value) : undefined;
  return {
    file: file.path,
    format: file.format,
    ...(file.version !== undefined && { keras_version: file.version }),
    ...(typeof config?.class_name === 'string' && { class: config.class_name, config }),
    ...(iteration !== undefined && { iteration }),
    ...rateOf(config, iteration, hasRate ? numberOf(second.value) : undefined),
    optimizer: state.map(storedArray),
    variables: variablesOf(file, undefined).map(({ place, layer, ...array }) => ({
      ...storedArray(array),
      ...(layer !== undefined && { layer }),
      ...(place !== undefined && { place }),
    })),
  };
}

/** The arrays of the optimizer by their numbers; another reader says whether they fit. */
const stateIn = ({ arrays }: KerasFile, group: string): Stored[] =>
  [...arrays.values()]
    .filter(({ path }) => path.startsWith(`${group}/`) && /^\d+$/.test(path.slice(group.length + 1)))
    .sort((a, b) => Number(a.path.slice(group.length + 1)) - Number(b.path.slice(group.length + 1)));

/** A model may not have been compiled. */
function compiledIn(file: KerasFile): Config | undefined {
  if (file.config === undefined) return undefined;
  try {
    const form = formIn(file);
    return isPlainObject(form) ? form : { class_name: form };
  } catch {
    return undefined;
  }
}

const storedArray = ({ path, shape, dtype, value }: Stored): ArrayDescription => ({
  path,
  shape,
  dtype,
  ...measured(shape, value),
});

const isSchedule = (rate: unknown): boolean => isPlainObject(rate);

/** The number that is kept, or what the schedule gives for the next update, if it is one of those that are known. */
function rateOf(form: Config | undefined, iteration: number | undefined, kept: number | undefined) {
  if (kept !== undefined) return { learning_rate: kept };
  try {
    const schedule = deserialize(rateIn(form));
    return schedule instanceof LearningRateSchedule ? { learning_rate: schedule.at(iteration ?? 0) } : {};
  } catch {
    return {};
  }
}
