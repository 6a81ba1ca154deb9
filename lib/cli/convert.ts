// `keras-optimizers convert A B`: a state into another kind of file.
import { readFile, stat } from 'node:fs/promises';

import { writeAtomically } from '../checkpoint/atomic.ts';
import { CheckpointError } from '../checkpoint/errors.ts';
import { optimizerOf } from '../checkpoint/load.ts';
import { readCheckpoint } from '../checkpoint/read.ts';
import { awaitState } from '../checkpoint/state_to_come.ts';
import { Optimizer, Variable } from '../index.ts';
import { contentOfFile, withFile } from '../keras/file.ts';
import { loadKerasOptimizer, saveKerasOptimizer, type KerasWeight } from '../keras/index.ts';
import { piecesOf } from '../keras/source.ts';
import { UsageError, type Command } from './commands.ts';
import { describeFile, formatOf, type Description, type Format } from './description.ts';
import { printable } from './text.ts';

const options = {
  'from-file': { type: 'string' },
  optimizer: { type: 'string' },
  'keras-version': { type: 'string' },
  'state-only': { type: 'boolean' },
  force: { type: 'boolean' },
} as const;

export const convert: Command = {
  usage: 'convert A B [--from-file FILE] [--optimizer WHICH] [--keras-version VERSION] [--state-only] [--force]',
  help: `Writes what A holds into B: the state of the optimizer with its class and config, and the weights of the model, as far
as both files can hold them. The content of A and the name of B say which kinds they are: .safetensors, .keras, .weights.h5.

  B is a .safetensors           the state, and the variables that the optimizer trains, if A says which these are
  B is a .keras or .weights.h5  a copy of --from-file, a file that Keras has written for the same model, with the state and the
                                weights of A in it; Keras goes on from there with the same numbers
  A a .keras, B a .weights.h5   without --from-file: the weights file that is in A, byte by byte

Options:
  --from-file FILE         a .keras or .weights.h5 of the same model, whose copy B becomes; it may be B itself, with --force
  --optimizer WHICH        the class and config of a state that comes without, that in a .weights.h5: a name, as Nadam; the JSON of a
                           serialized optimizer; or a file, a .json, .safetensors or .keras
  --keras-version VERSION  which Keras wrote a .weights.h5, as 3.9: only where its shapes fit two orders
  --state-only             leave the weights of the model out
  --force                  replace B if it is there

Examples:
  keras-optimizers convert model.keras run.safetensors
  keras-optimizers convert model.weights.h5 run.safetensors --optimizer Nadam
  keras-optimizers convert run.safetensors trained.keras --from-file model.keras
`,
  options,
  expects: ['A', 'B'],
  async run([from = '', to = ''], values, { out, error }) {
    const task = await taskOf(from, to, values);
    const note = await perform(task);
    if (note !== undefined) error(printable(`note: ${note}\n`));
    out(printable(`${to}: ${summaryOf(await describeFile(to))}\n`));
  },
};

type Given = Partial<Readonly<Record<'from-file' | 'optimizer' | 'keras-version', string>>> &
  Partial<Readonly<Record<'state-only' | 'force', boolean>>>;

interface Task {
  readonly from: string;
  readonly to: string;
  readonly source: Format;
  readonly target: Format;
  readonly given: Given;
}

async function taskOf(from: string, to: string, given: Given): Promise<Task> {
  const target = formatFor(to);
  if (given['keras-version'] !== undefined && !/^\d+\.\d+/.test(given['keras-version']))
    throw new UsageError(`--keras-version expects a version as 3.9, got ${JSON.stringify(given['keras-version'])}`);
  const source = await formatOf(from);
  const task = { from, to, source, target, given };
  const fromFile = given['from-file'];
  if (target === '.safetensors' && source === '.safetensors')
    throw new UsageError(`expects files of two kinds, both are .safetensors`);
  if (target === '.safetensors' && fromFile !== undefined)
    throw new UsageError('expects --from-file only where B is a .keras or a .weights.h5');
  if (target !== '.safetensors' && fromFile === undefined && !isExtraction(task))
    throw new UsageError(
      `expects --from-file, a .keras or .weights.h5 of the same model, as ${source} does not hold one`,
    );
  if (given.force !== true && (await isThere(to)))
    throw new CheckpointError('ERR_CKPT_IO', `${to} is there already: --force replaces it`);
  return task;
}

function formatFor(path: string): Format {
  const found = (['.safetensors', '.keras', '.weights.h5'] as const).find((format) => path.endsWith(format));
  if (found !== undefined) return found;
  throw new UsageError(`expects B to end in .safetensors, .keras or .weights.h5, got ${JSON.stringify(path)}`);
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

const isExtraction = ({ source, target, given }: Pick<Task, 'source' | 'target' | 'given'>): boolean =>
  source === '.keras' && target === '.weights.h5' && given['from-file'] === undefined;

/** Returns what is worth to be said. */
async function perform(task: Task): Promise<string | undefined> {
  if (isExtraction(task)) return extract(task);
  const loaded = task.source === '.safetensors' ? await loadOurs(task) : await loadKeras(task);
  return task.target === '.safetensors' ? saveOurs(task, loaded) : saveKeras(task, loaded);
}

async function extract({ from, to, given }: Task): Promise<undefined> {
  if (given['state-only'] === true) throw new UsageError('expects --state-only only with --from-file');
  await withFile(from, async (file) => {
    await contentOfFile(file); // all of it can be read
    await writeAtomically(to, async (output) => {
      for await (const piece of piecesOf(file.weights)) await output.write(piece);
    });
  });
}

interface Weight {
  readonly path: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly value: ArrayLike<number | bigint>;
  readonly place: number | undefined;
}

/** An optimizer that waits for `build`, and the weights that came with it. */
interface Loaded {
  readonly optimizer: Optimizer;
  readonly weights: readonly Weight[];
}

async function loadOurs({ from, given }: Task): Promise<Loaded> {
  if (given.optimizer !== undefined)
    throw new UsageError('expects --optimizer only where A is a .keras or a .weights.h5');
  const checkpoint = await readCheckpoint(from);
  const optimizer = optimizerOf(Optimizer, from, checkpoint, null);
  awaitState(optimizer, checkpoint.state);
  const weights = (checkpoint.values ?? []).map(({ path = '', shape, dtype, numbers }, place) => {
    return { path, shape, dtype, value: numbers, place };
  });
  return { optimizer, weights };
}

async function loadKeras({ from, source, given }: Task): Promise<Loaded> {
  const form = await formOf(source, given);
  const { optimizer, variables } = await loadKerasOptimizer(from, {
    ...(form !== undefined && { optimizer: form }),
    keras_version: given['keras-version'],
  });
  return { optimizer, weights: variables };
}

/** What --optimizer says; for weights without a config also what --from-file says. */
async function formOf(source: Format, { optimizer, 'from-file': fromFile }: Given): Promise<unknown> {
  if (optimizer !== undefined) return formIn(optimizer);
  if (source !== '.weights.h5') return undefined;
  const form = fromFile === undefined ? undefined : (await describeFile(fromFile)).config;
  if (form !== undefined) return form;
  throw new UsageError('expects --optimizer, as a .weights.h5 does not say which class its optimizer has');
}

async function formIn(optimizer: string): Promise<unknown> {
  if (/^\w+$/.test(optimizer)) return optimizer;
  if (optimizer.startsWith('{')) return parsed('--optimizer', optimizer);
  if (optimizer.endsWith('.json')) return parsed(optimizer, await readFile(optimizer, 'utf8'));
  const { config } = await describeFile(optimizer);
  if (config !== undefined) return config;
  throw new CheckpointError('ERR_CKPT_CLASS', `${optimizer} does not say which class its optimizer has`);
}

function parsed(from: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new UsageError(`${from} expects the JSON of a serialized optimizer`);
  }
}

async function saveOurs({ from, to, given }: Task, { optimizer, weights }: Loaded): Promise<string | undefined> {
  const isKnown = Optimizer.runnerOf(optimizer).waiting?.trained !== undefined;
  if (given['state-only'] !== true && isKnown) {
    const trained = weights
      .filter(({ place }) => place !== undefined)
      .sort((a, b) => Number(a.place) - Number(b.place));
    optimizer.build(trained.map(variableOf));
    return optimizer.save(to, { variables: true }).then(() => undefined);
  }
  await optimizer.save(to);
  return given['state-only'] === true
    ? undefined
    : `only the state: ${from} does not say which weights are trained, and in which order`;
}

const variableOf = ({ value, shape, path }: Weight): Variable =>
  new Variable(value instanceof Float64Array ? value : Float32Array.from(value, Number), { shape, name: path });

async function saveKeras({ from, to, given }: Task, { optimizer, weights }: Loaded): Promise<string | undefined> {
  const isWhole = given['state-only'] !== true && weights.length > 0;
  await saveKerasOptimizer(optimizer, {
    from: given['from-file'] as string, // taskOf has seen it
    to,
    ...(isWhole && { variables: placed(weights) }),
  });
  if (isWhole || given['state-only'] === true) return undefined;
  return `only the state: ${from} has no weights, those of ${given['from-file']} stay as they are`;
}

/** By their paths, where these are Keras's; else in the order of the optimizer. */
function placed(weights: readonly Weight[]): readonly KerasWeight[] | ReadonlyMap<string, KerasWeight> {
  const entries = weights.map(({ path, value }) => [path, numbersOf(value)] as const);
  return weights.every(({ path }) => /(^|\/)vars\/\d+$/.test(path)) ? new Map(entries) : entries.map(([, own]) => own);
}

const numbersOf = (value: Weight['value']): KerasWeight =>
  value instanceof Float32Array || value instanceof Float64Array ? value : Array.from(value, Number);

function summaryOf({ class: name, iteration, optimizer, wrapped = [], variables }: Description): string {
  const state = optimizer.length + wrapped.reduce((sum, member) => sum + member.optimizer.length, 0);
  const weights = variables.filter(({ norm }) => norm !== undefined).length;
  const who = name ?? 'an optimizer';
  return `${who} at iteration ${iteration ?? 'unknown'}, ${state} arrays of state, ${weights} of weights`;
}
