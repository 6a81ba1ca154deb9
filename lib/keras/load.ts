// An optimizer from a file of Keras: its class and config from config.json, its state from the weights.
import { CheckpointError } from '../checkpoint/errors.ts';
import { buildWith } from '../checkpoint/load.ts';
import { pathOf, type FilePath } from '../checkpoint/save.ts';
import { awaitState } from '../checkpoint/state_to_come.ts';
import { isPlainObject, ownEntries } from '../configurable.ts';
import { describe, typeError } from '../errors.ts';
import { Optimizer } from '../optimizer.ts';
import { LossScaleOptimizer } from '../optimizers/loss_scale_optimizer.ts';
import { deserialize, get, type CustomObjects } from '../serialization.ts';
import type { Trainable } from '../trainables.ts';
import { contentOfFile, kConfig, objectIn, withFile, type KerasFile } from './file.ts';
import { variablesOf } from './model.ts';
import { kVars, sizesIn, stateIn } from './groups.ts';
import { refusal } from './refusal.ts';
import { placed, type Found } from './state.ts';
import type { KerasVariable } from './types.ts';

/** What `loadKerasOptimizer` may be told. */
export interface LoadKerasOptions {
  /**
   * The optimizer that the state is for: one that is not built, or its serialized form. A .weights.h5 does not say which optimizer
   * it has, so that it is needed there; of a .keras file it replaces class and config.
   */
  readonly optimizer?: unknown;
  /** Classes and functions that the config names. */
  readonly custom_objects?: CustomObjects | undefined;
  /**
   * Build with these variables at once, and give them the weights of the file: it has to say which ones are trained, and in which order
   * (`place` of the variables that are returned).
   */
  readonly variables?: readonly Trainable[] | undefined;
  /** The version of Keras that wrote a .weights.h5, where the shapes in it fit two orders: `3.9`. */
  readonly keras_version?: string | undefined;
}

/** What there is in a file of Keras. */
export interface LoadedKeras {
  /** With its config, counter and learning rate; the rest of its state is put in when it is built. */
  readonly optimizer: Optimizer;
  /** The weights of the model: in the order of its layers, as far as the file says it. */
  readonly variables: readonly KerasVariable[];
  /** Of Keras; undefined where the file does not say it. */
  readonly keras_version: string | undefined;
}

/**
 * Reads the optimizer of a .keras or .weights.h5 file that Keras 3.0 to 3.15 wrote, and the weights of the model. Without
 * `variables` the optimizer is not built yet; `build`, or the first `apply` with variables, takes the state if it fits, or throws. Needs the package h5wasm.
 *
 * @param path the file; what is in it, not its name, says which kind it is
 * @param options `optimizer`, `custom_objects`, `variables`, `keras_version`
 * @throws (rejects) CheckpointError `ERR_CKPT_IO`, `ERR_CKPT_FORMAT`, `ERR_CKPT_HASH` for a member with a wrong CRC, `ERR_CKPT_LAYOUT`,
 *   `ERR_CKPT_CLASS`, `ERR_CKPT_CONFIG`, `ERR_CKPT_MISMATCH`, `ERR_CKPT_PEER` without h5wasm; TypeError `ERR_OPT_CONFIG_TYPE` for other options
 * @example
 * const { optimizer, variables } = await loadKerasOptimizer('model.keras');
 * const weights = variables.filter(({ place }) => place !== undefined).map(({ value, shape }) => new Variable(value, { shape }));
 * optimizer.apply(gradients, weights);
 */
export async function loadKerasOptimizer(path: FilePath, options: LoadKerasOptions = {}): Promise<LoadedKeras> {
  checkOptions(options);
  const file = await withFile(pathOf(who, path), contentOfFile);
  return loaded(file, options);
}

const known = ['optimizer', 'custom_objects', 'variables', 'keras_version'];
const who = 'loadKerasOptimizer';

function checkOptions(options: unknown): void {
  if (!isPlainObject(options))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects an object of options, got ${describe(options)}`);
  const unknown = ownEntries(options).find(([name]) => !known.includes(name));
  if (unknown !== undefined)
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects only ${known.join(', ')}, got "${unknown[0]}"`);
  const { keras_version: version, variables } = options;
  if (variables !== undefined && !Array.isArray(variables))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects variables to be an array, got ${describe(variables)}`);
  if (version !== undefined && !(typeof version === 'string' && /^\d+\.\d+/.test(version)))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects keras_version to be like "3.9", got ${describe(version)}`);
}

/** What a file that has been read gives. */
function loaded(file: KerasFile, options: LoadKerasOptions): LoadedKeras {
  const { path } = file;
  const keras_version = options.keras_version ?? file.version;
  const arrays = stateIn(file);
  if (file.format === '.weights.h5') checkFinite(file);
  const optimizer = optimizerOf(file, options);
  const found: Found = { path, version: keras_version, sizes: sizesIn(file, optimizer) };
  const { state, shapes } = placed(found, optimizer, arrays);
  const variables = variablesOf(file, shapes);
  const trained = trainedIn(variables);
  const isSure = trained.length > 0 && (shapes ?? options.variables) !== undefined; // without shapes it follows from layers alone
  awaitState(optimizer, isSure ? { ...state, trained } : state);
  if (options.variables !== undefined) build(path, optimizer, options.variables, trained);
  return { optimizer, variables, keras_version };
}

/** The variables that the optimizer trains in its order, as far as they are known. */
export const trainedIn = (variables: readonly KerasVariable[]): KerasVariable[] =>
  variables.filter(({ place }) => place !== undefined).sort((a, b) => (a.place as number) - (b.place as number));

function build(
  path: string,
  optimizer: Optimizer,
  variables: readonly Trainable[],
  trained: readonly KerasVariable[],
): void {
  if (trained.length === 0)
    throw refusal(
      'ERR_CKPT_LAYOUT',
      path,
      'to be loaded without the option variables, as it does not say which weights are trained',
      'the option',
    );
  if (trained.length !== variables.length)
    throw refusal('ERR_CKPT_MISMATCH', path, `${trained.length} variables`, `${variables.length}`);
  buildWith(
    optimizer,
    variables,
    trained.map(({ value, ...rest }) => ({ ...rest, numbers: value as Float32Array })),
  );
}

/** Nothing else tells whether a bare HDF5 file has been altered. */
function checkFinite({ path, arrays }: KerasFile): void {
  for (const { path: name, value } of arrays.values()) {
    if (!(value instanceof Float32Array || value instanceof Float64Array)) continue;
    const at = value.findIndex((x) => !Number.isFinite(x));
    if (at >= 0)
      throw refusal('ERR_CKPT_LAYOUT', path, `"${name}" to have finite numbers`, `${value[at]} at index ${at}`);
  }
}

/** The optimizer, not built: the one that is given, or that of the config. */
function optimizerOf(file: KerasFile, { optimizer, custom_objects }: LoadKerasOptions): Optimizer {
  const { path, names } = file;
  const form = optimizer ?? formIn(file);
  if (Optimizer.is(form)) return form;
  let made: unknown;
  try {
    made = typeof form === 'string' ? get(form) : deserialize(form, custom_objects);
  } catch (cause) {
    throw new CheckpointError('ERR_CKPT_CONFIG', `${path}: ${(cause as Error).message}`, cause);
  }
  if (!Optimizer.is(made)) throw refusal('ERR_CKPT_CLASS', path, 'an optimizer', describe(form));
  const isScaled = names.has('optimizer/inner_optimizer/vars') && !(made instanceof LossScaleOptimizer);
  // A model of mixed_float16 wraps its optimizer when it is compiled, which is not in the config.
  return isScaled ? new LossScaleOptimizer({ inner_optimizer: made, name: names.get(kVars) ?? null }) : made;
}

/** What config.json says of the optimizer: a serialized form, or the name of a class. */
export function formIn({ path, config }: Pick<KerasFile, 'path' | 'config'>): unknown {
  if (config === undefined)
    throw refusal('ERR_CKPT_CLASS', path, 'the option optimizer, as a .weights.h5 does not say which it has', 'none');
  const { compile_config: compiled } = objectIn(path, kConfig, config);
  const form = isPlainObject(compiled) ? compiled.optimizer : undefined;
  if (typeof form === 'string' || isPlainObject(form)) return form;
  throw refusal('ERR_CKPT_CLASS', path, 'a compiled model, with an optimizer', describe(form));
}
