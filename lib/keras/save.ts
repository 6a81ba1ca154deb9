// Writes an optimizer into a copy of a file of Keras.
import { writeAtomically } from '../checkpoint/atomic.ts';
import { whileSaved, pathOf, type FilePath } from '../checkpoint/save.ts';
import { stateOf, type StateOf } from '../checkpoint/state_of.ts';
import { classNameOf, isPlainObject, ownEntries } from '../configurable.ts';
import { describe, stateError, typeError } from '../errors.ts';
import { Optimizer } from '../optimizer.ts';
import type { CustomObjects } from '../serialization.ts';
import { checkNumbers, isVariable, Variable } from '../variable.ts';
import { sameShape } from './arrangement.ts';
import { configFor } from './config.ts';
import { contentOfFile, kConfig, kWeights, withFile, type KerasFile, type OpenFile } from './file.ts';
import { changed, type Written } from './h5_write.ts';
import { groupsOf, kVars, stateIn } from './groups.ts';
import { trainedIn } from './load.ts';
import { variablesOf } from './model.ts';
import { refusal } from './refusal.ts';
import { allOf } from './source.ts';
import { shapesIn } from './state.ts';
import { valuesOf, writtenOf } from './written.ts';
import { writeArchive } from './zip_write.ts';

/** A weight for a model: a variable or an array. */
export type KerasWeight = Variable | Float32Array | Float64Array | readonly number[];

/** What `saveKerasOptimizer` needs. */
export interface SaveKerasOptions {
  /** A file that Keras has written, with the model: a .keras or a .weights.h5. */
  readonly from: FilePath;
  /** Where to write; it may be `from`. What was there stays intact until the new file is complete. */
  readonly to: FilePath;
  /**
   * Weights of the model: those that the optimizer trains, in its order, where the file says which they are (`place` of what
   * `loadKerasOptimizer` gives); or an object or Map by their paths, `{ 'layers/dense/vars/0': kernel }`. The others stay as they are.
   */
  readonly variables?:
    readonly KerasWeight[] | ReadonlyMap<string, KerasWeight> | Readonly<Record<string, KerasWeight>>;
  /** Classes and functions that the config names. */
  readonly custom_objects?: CustomObjects | undefined;
}

/**
 * Writes an optimizer, and weights of the model, into a copy of a file of Keras, so that `keras.models.load_model` or `load_weights`
 * goes on with the same numbers. Class and config in a .keras file are replaced if they differ; all else there stays, byte by byte.
 * Keras knows neither our extensions, nor the running product of a Nadam inside a LossScaleOptimizer: it starts that at 1 again. Needs
 * the package h5wasm. Until it has ended, `apply` is refused with `ERR_OPT_BUSY`.
 *
 * @param optimizer one that is built, or that was loaded and waits for that
 * @param options `from`, `to`, `variables`, `custom_objects`
 * @throws (rejects) as `loadKerasOptimizer` for `from`; CheckpointError `ERR_CKPT_IO` for `to`, `ERR_CKPT_CONFIG` for an option or a class
 *   that Keras does not have, `ERR_CKPT_MISMATCH` for weights or a state that do not fit the model, `ERR_CKPT_LAYOUT` for a file that cannot be changed so;
 *   Error `ERR_OPT_BUSY`, `ERR_OPT_NOT_BUILT`, `ERR_OPT_DISPOSED`; TypeError `ERR_OPT_CONFIG_TYPE` for other options,
 *   `ERR_OPT_ARRAY_TYPE` for weights that are no numbers
 * @example await saveKerasOptimizer(optimizer, { from: 'model.keras', to: 'trained.keras', variables: weights });
 */
export async function saveKerasOptimizer(optimizer: Optimizer, options: SaveKerasOptions): Promise<void> {
  const { from, to, variables, custom_objects } = checked(optimizer, options);
  const own = () => variablesIn(variables);
  Optimizer.runnerOf(optimizer).checkWhole('save');
  await whileSaved(classNameOf(optimizer.constructor), optimizer, own, async () => {
    const state = stateOf(optimizer);
    if (!state.built)
      throw stateError(
        'ERR_OPT_NOT_BUILT',
        'saveKerasOptimizer expects build(variables) or a first apply(gradients, variables) before it',
      );
    await withFile(from, async (file) =>
      write(file, to, await edited(file, optimizer, state, variables, custom_objects)),
    );
  });
}

const known = ['from', 'to', 'variables', 'custom_objects'];
const who = 'saveKerasOptimizer';

function checked(optimizer: unknown, options: unknown) {
  if (!Optimizer.is(optimizer))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects an optimizer, got ${describe(optimizer)}`);
  if (!isPlainObject(options))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects { from, to }, got ${describe(options)}`);
  const unknown = ownEntries(options).find(([name]) => !known.includes(name));
  if (unknown !== undefined)
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects only ${known.join(', ')}, got "${unknown[0]}"`);
  const { variables, custom_objects } = options as unknown as SaveKerasOptions;
  if (variables !== undefined && (typeof variables !== 'object' || variables === null))
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects variables to be a list or an object, got ${describe(variables)}`,
    );
  return {
    from: pathOf(`${who}, as from,`, options.from),
    to: pathOf(`${who}, as to,`, options.to),
    variables,
    custom_objects,
  };
}

function variablesIn(given: SaveKerasOptions['variables']): Variable[] {
  const all: readonly unknown[] = Array.isArray(given)
    ? given
    : Object.values(Object.fromEntries(entriesOf(given ?? {})));
  const found = all.filter(isVariable);
  Variable.checkIdle(found);
  return found;
}

/** The parts of a file that become others. */
interface Edited {
  readonly config: string | undefined;
  readonly weights: Uint8Array;
}

async function edited(
  open: OpenFile,
  optimizer: Optimizer,
  state: StateOf,
  variables: SaveKerasOptions['variables'],
  custom: CustomObjects | undefined,
): Promise<Edited> {
  const file = await contentOfFile(open);
  stateIn(file); // it has one that fits together
  checkModel(file, shapesIn(optimizer, state) ?? []);
  const { config } = file;
  const text = config === undefined ? undefined : configFor({ ...file, config }, optimizer, custom);
  const arrays = [
    ...(await writtenOf(optimizer, state, file)),
    ...(await weightsOf(file, optimizer, state, variables)),
  ];
  const names = new Map([kVars, ...groupsOf(optimizer)].map((group, i) => [group, nameOf(optimizer, i)]));
  const change = { arrays, owned: 'optimizer', names };
  return { config: text, weights: await changed(open.path, await allOf(open.weights), file, change) };
}

/** What the optimizer trains has to be in the model, or in its optimizer: layers may save another thing than what is trained. */
function checkModel({ path, arrays }: KerasFile, shapes: readonly (readonly number[])[]): void {
  const there = [...arrays.values()];
  const at = shapes.findIndex((shape) => !there.some((one) => sameShape(one.shape, shape)));
  if (at >= 0)
    throw refusal(
      'ERR_CKPT_MISMATCH',
      path,
      'an optimizer of the model that it has',
      `one whose variable ${at} has shape [${shapes[at]?.join(', ')}], as nothing there has`,
    );
}

const nameOf = (optimizer: Optimizer, i: number): string =>
  i === 0 ? optimizer.name : (Optimizer.runnerOf(optimizer).wrapped[i - 1]?.name ?? '');

async function write({ path, members, partOf }: OpenFile, to: string, { config, weights }: Edited): Promise<void> {
  if (members !== undefined && weights.length >= 2 ** 32 - 1)
    throw refusal('ERR_CKPT_LAYOUT', path, 'weights of less than 4 GiB', `${weights.length} bytes`);
  const replaced = new Map([[kWeights, weights]]);
  if (config !== undefined) replaced.set(kConfig, Buffer.from(config));
  await writeAtomically(to, (output) =>
    members === undefined ? output.write(weights) : writeArchive(output, members, replaced, partOf),
  );
}

/** The weights that are to be written, each with what is written. */
async function weightsOf(
  file: KerasFile,
  optimizer: Optimizer,
  state: StateOf,
  given: SaveKerasOptions['variables'],
): Promise<Written[]> {
  if (given === undefined) return [];
  const own = variablesOf(file, shapesIn(optimizer, state));
  const entries = Array.isArray(given) ? placedIn(file, own, given as KerasWeight[]) : entriesOf(given);
  return Promise.all(
    entries.map(async ([path, weight]) => {
      const there = own.find((one) => one.path === path);
      if (there === undefined)
        throw refusal(
          'ERR_CKPT_MISMATCH',
          file.path,
          `weights that it has (${own.map((v) => v.path).join(', ')})`,
          path,
        );
      const numbers = await valuesOf(isVariable(weight) ? weight : checkNumbers(`${who} for "${path}"`, weight));
      const { shape, dtype } = there;
      const fits = isVariable(weight) ? sameShape(weight.shape, shape) : numbers.length === there.value.length;
      if (fits) return { path, shape, dtype, numbers };
      const got = isVariable(weight) ? `[${weight.shape.join(', ')}]` : `${numbers.length} numbers`;
      throw refusal('ERR_CKPT_MISMATCH', file.path, `"${path}" to have shape [${shape.join(', ')}]`, got);
    }),
  );
}

const entriesOf = (given: NonNullable<SaveKerasOptions['variables']>): (readonly [string, KerasWeight])[] =>
  given instanceof Map
    ? [...(given as Map<string, KerasWeight>)]
    : Object.entries(given as Record<string, KerasWeight>);

function placedIn(
  { path }: KerasFile,
  own: ReturnType<typeof variablesOf>,
  given: readonly KerasWeight[],
): (readonly [string, KerasWeight])[] {
  const trained = trainedIn(own);
  if (trained.length === 0)
    throw refusal('ERR_CKPT_LAYOUT', path, 'variables by their paths, as it does not say which are trained', 'a list');
  if (trained.length !== given.length)
    throw refusal('ERR_CKPT_MISMATCH', path, `${trained.length} variables`, `${given.length}`);
  return trained.map((one, i) => [one.path, given[i] as KerasWeight] as const);
}
