// Saves an optimizer in a file of ours, while nobody writes what is being read.
import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';

import { classNameOf, flag, readOptions } from '../configurable.ts';
import { later, type Distribution } from '../distribution.ts';
import { describe, stateError, typeError } from '../errors.ts';
import { stringify } from '../json.ts';
import { Optimizer } from '../optimizer.ts';
import type { Runner } from '../runner.ts';
import { Variable } from '../variable.ts';
import { targetsIn } from '../wrapping.ts';
import { writeAtomically, type Output } from './atomic.ts';
import { headerOf, kFormat, kHashAt, kVersion } from './header.ts';
import { PieceHasher } from './pieces.ts';
import { describeState } from './saved_state.ts';
import { stateOf } from './state_of.ts';
import { piecesOf, type Tensor } from './tensors.ts';

const ofSave = { variables: flag(false) };
/** Of `save`. */
export interface SaveOptions {
  /** Whether the values of the variables are saved as well; default false. */
  readonly variables?: boolean | undefined;
}

/** A path, or a URL of a file. */
export type FilePath = string | URL;

export function pathOf(who: string, path: unknown): string {
  const given: unknown = path instanceof URL ? fileIn(path) : path;
  if (typeof given === 'string' && given !== '' && !given.includes('\0')) return given;
  throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects a path, or a file: URL, got ${describe(path)}`);
}

/** The path of a URL; undefined if it is of no file here. */
function fileIn(url: URL): string | undefined {
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

/** What `save` was called with. */
interface Asked {
  readonly path: string;
  readonly variables: () => readonly Variable[];
}

/** `Optimizer.save`; `who`: its class. */
export async function save(who: string, optimizer: Optimizer, to: unknown, given: unknown): Promise<void> {
  const runner = Optimizer.runnerOf(optimizer);
  const checked = (): Asked => {
    const path = pathOf(`${who}.save`, to);
    const { variables } = readOptions(`${who}.save`, ofSave, [given]);
    checkPlace(who, runner);
    return { path, variables: () => (variables ? variablesOf(who, runner) : []) };
  };
  if (runner.distribution !== undefined) return saveTogether(optimizer, runner.distribution, checked);
  const { path, variables } = checked();
  await whileSaved(who, optimizer, variables, async (found) => void (await write(optimizer, path, found)));
}

/** What keeps this process from it waits for its turn as well, in which the others hear of it. */
async function saveTogether(optimizer: Optimizer, distribution: Distribution, checked: () => Asked): Promise<void> {
  const asked = later(checked);
  await Optimizer.runnerOf(optimizer).queue.add(async () => {
    let isCalled = false; // the distribution tells of what happens in there
    try {
      const { path, variables } = asked();
      const found = variables();
      await whileRead(optimizer, found, () => {
        isCalled = true;
        return distribution.save(path, (to, hasher) => write(optimizer, to, found, hasher));
      });
    } catch (error) {
      if (isCalled) throw error;
      await distribution.refuse(error);
    }
  });
}

/** Throws where a save can neither run nor wait. */
function checkPlace(who: string, runner: Runner): void {
  runner.checkOpen();
  runner.checkAlone('save');
  runner.queue.checkPlace(who, 'save');
}

/** Waits for a step that runs; then `part` may read the numbers of an optimizer and of `variables`, which nobody writes meanwhile. */
export async function whileSaved(
  who: string,
  optimizer: Optimizer,
  variables: () => readonly Variable[],
  part: (variables: readonly Variable[]) => Promise<void>,
): Promise<void> {
  const runner = Optimizer.runnerOf(optimizer);
  checkPlace(who, runner);
  await runner.queue.add(async () => {
    const found = variables();
    await whileRead(optimizer, found, () => part(found));
  });
}

function variablesOf(who: string, runner: Runner): readonly Variable[] {
  if (runner.state === undefined)
    throw stateError('ERR_OPT_NOT_BUILT', `${who}.save expects build before { variables: true }: there are none yet`);
  runner.state.checkIdle();
  return targetsIn(runner);
}

/** Keeps all others away from the numbers of an optimizer, and of those that it wraps. */
async function whileRead(
  optimizer: Optimizer,
  variables: readonly Variable[],
  read: () => Promise<void>,
): Promise<void> {
  const runner = Optimizer.runnerOf(optimizer);
  const all = runnersIn(optimizer);
  const held: Runner[] = [];
  const used = [...all.flatMap(({ tracked }) => tracked), ...variables].filter((one) => Variable.hasMemory(one));
  try {
    for (const member of all.slice(1)) {
      member.hold(runner); // as in a step of the wrapper
      held.push(member);
    }
  } catch (error) {
    for (const member of held) member.release();
    throw error;
  }
  for (const variable of used) Variable.use(variable, 1);
  try {
    await read();
  } finally {
    for (const variable of used) Variable.use(variable, -1);
    for (const member of held) member.release();
  }
}

const runnersIn = (optimizer: Optimizer): Runner[] => {
  const runner = Optimizer.runnerOf(optimizer);
  return [runner, ...runner.wrapped.flatMap(runnersIn)];
};

/** Everything but the arrays is taken before the first await. Returns the file's hash; `pieces` hashes it as well. */
async function write(
  optimizer: Optimizer,
  path: string,
  variables: readonly Variable[],
  pieces?: PieceHasher,
): Promise<string> {
  const state = stateOf(optimizer);
  const { text, tensors } = describeState(state, variables);
  const metadata = {
    format: kFormat,
    version: kVersion,
    class: classNameOf(optimizer.constructor),
    config: stringify(optimizer),
    iteration: String(state.counter),
    state: text,
  };
  const { bytes, ordered } = headerOf(metadata, tensors);
  let sha256 = '';
  await writeAtomically(path, async (output) => {
    sha256 = await writeAll(output, bytes, ordered, pieces);
  });
  return sha256;
}

/** The hash, over the file with zeros in its place, is written last. */
async function writeAll(
  output: Output,
  header: Uint8Array,
  tensors: readonly Tensor[],
  pieces?: PieceHasher,
): Promise<string> {
  const hash = createHash('sha256').update(header);
  pieces?.update(header);
  await output.write(header);
  for (const tensor of tensors)
    for await (const piece of piecesOf(tensor)) {
      const written = output.write(piece);
      hash.update(piece); // while the system writes it
      pieces?.update(piece);
      await written;
    }
  const sha256 = hash.digest('hex');
  await output.writeAt(Buffer.from(sha256), kHashAt);
  return sha256;
}
