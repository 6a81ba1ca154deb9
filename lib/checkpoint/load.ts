// Makes an optimizer of a file of ours.
import { classNameOf, isPlainObject, readOptions, type Config, type Field } from '../configurable.ts';
import { describe } from '../errors.ts';
import type { Communicator } from '../distributed/communicator.ts';
import type { DistributeOptions } from '../distributed/distribute.ts';
import { together } from '../distributed/alive.ts';
import { isSharing } from '../distribution.ts';
import { Optimizer } from '../optimizer.ts';
import { deserialize, type CustomObjects } from '../serialization.ts';
import type { Trainable } from '../trainables.ts';
import { Variable } from '../variable.ts';
import { CheckpointError } from './errors.ts';
import { readCheckpoint, type Checkpoint } from './read.ts';
import { isFolder, readShards } from './shards.ts';
import { pathOf } from './save.ts';
import { awaitState, type SavedValue } from './state_to_come.ts';

/** Of an optimizer that shares its steps as soon as it is loaded. */
export interface LoadDistributeOptions extends DistributeOptions {
  /** Of `keras-optimizers/distributed`. */
  readonly communicator: Communicator;
}

/** Of `load`. */
export interface LoadOptions {
  /** What it is built with at once. */
  readonly variables?: readonly Trainable[] | undefined;
  /** Classes and functions by name; they come before the registered ones and Keras's own. */
  readonly custom_objects?: CustomObjects | undefined;
  /**
   * Shares its steps at once, before it is built: the communicator, and the options of `distribute`. All ranks load it together, and
   * of a state that is shared each of them reads its own part only.
   */
  readonly distribute?: LoadDistributeOptions | undefined;
}

const ofLoad: Readonly<Record<'variables' | 'custom_objects' | 'distribute', Field<unknown, false>>> = {
  variables: {
    required: false,
    default: null,
    expects: 'an array of variables',
    is: (x) => x === null || Array.isArray(x),
    allows: () => true,
  },
  custom_objects: {
    required: false,
    default: null,
    expects: 'an object or a Map of classes and functions',
    is: (x) => x === null || x instanceof Map || isPlainObject(x),
    allows: () => true,
  },
  distribute: {
    required: false,
    default: null,
    expects: 'an object with a communicator and options of distribute',
    is: (x) => x === null || (isPlainObject(x) && isSharing(x.communicator)),
    allows: () => true,
  },
};

/** `Optimizer.load` of a class. */
export async function load(cls: object, from: unknown, given: unknown): Promise<Optimizer> {
  const who = `${classNameOf(cls as typeof Optimizer)}.load`;
  const options = readOptions(who, ofLoad, [given]) as Required<LoadOptions>;
  const { communicator, ...settings } = options.distribute ?? {};
  const read = async () => {
    const path = pathOf(who, from);
    const checkpoint = await ((await isFolder(path)) ? readShards(path) : readCheckpoint(path));
    const optimizer = optimizerOf(cls, path, checkpoint, options.custom_objects);
    awaitState(optimizer, checkpoint.state);
    return { optimizer, values: checkpoint.values };
  };
  const { optimizer, values } = await (communicator === undefined ? read() : together(communicator, read));
  if (communicator !== undefined) await optimizer.distribute(communicator, settings);
  const build = () => options.variables && buildWith(optimizer, options.variables, values);
  if (communicator === undefined) build();
  else await together(communicator, build); // all have it, or none
  return optimizer;
}

export function optimizerOf(cls: object, path: string, { metadata }: Checkpoint, custom: CustomObjects): Optimizer {
  const config = parsed(path, metadata.config);
  const optimizer = revived(path, config, withOwn(cls, custom));
  const name = classNameOf(cls as typeof Optimizer);
  if (Optimizer.is(optimizer) && optimizer instanceof (cls as typeof Optimizer)) return optimizer;
  throw new CheckpointError(
    'ERR_CKPT_CLASS',
    `${path} has ${describe(metadata.class)}, ${name}.load expects ${name}: Optimizer.load takes any`,
  );
}

function parsed(path: string, text: string): Config {
  try {
    const config: unknown = JSON.parse(text);
    if (isPlainObject(config)) return config;
  } catch {
    // said below
  }
  throw new CheckpointError('ERR_CKPT_CONFIG', `${path} has a config that is none`);
}

/** A class of the user's need not be registered where it loads itself. */
function withOwn(cls: object, custom: CustomObjects): CustomObjects {
  const given = custom instanceof Map ? [...custom] : Object.entries(custom ?? {});
  return new Map<string, unknown>([[classNameOf(cls as typeof Optimizer), cls], ...(given as [string, unknown][])]);
}

function revived(path: string, config: Config, custom: CustomObjects): unknown {
  try {
    return deserialize(config, custom);
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    const unknown = message.startsWith('deserialize expects'); // a class or a function that nobody knows
    throw new CheckpointError(unknown ? 'ERR_CKPT_CLASS' : 'ERR_CKPT_CONFIG', `${path}: ${message}`, cause);
  }
}

/**
 * Builds with variables, and gives them the values of the file if it has them: both or, as in `build`, neither. The state that waits
 * says what was trained, so that values fit what has been built.
 */
export function buildWith(
  optimizer: Optimizer,
  given: readonly Trainable[],
  values: readonly SavedValue[] | undefined,
): void {
  optimizer.build(given);
  const { state } = Optimizer.runnerOf(optimizer);
  if (values === undefined || state === undefined) return;
  state.checkIdle();
  for (const variable of state.variables) Variable.checkAttached(variable);
  const all = values.map(({ numbers }) => numbers); // read, all of them, before the first is written
  all.forEach((numbers, i) => Variable.storageOf(state.variables[i] as Variable).write(numbers)); // as many of these shapes
}
