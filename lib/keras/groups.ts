// The groups of a file in which the optimizers' arrays are, each array by its number.
import { Optimizer } from '../optimizer.ts';
import { LossScaleOptimizer } from '../optimizers/loss_scale_optimizer.ts';
import { MultiOptimizer } from '../optimizers/multi_optimizer.ts';
import type { KerasFile } from './file.ts';
import type { Stored } from './h5.ts';
import { snakeCase } from './model.ts';
import { refusal } from './refusal.ts';

export const kVars = 'optimizer/vars';

/** The arrays of the optimizer by their numbers. */
export function stateIn(file: KerasFile): Stored[] {
  const arrays = numbered(file, kVars);
  if (arrays.length === 0)
    throw refusal(
      'ERR_CKPT_CLASS',
      file.path,
      `the state of an optimizer in ${kVars}`,
      'none: was the model compiled?',
    );
  checkSame(file, arrays);
  return arrays;
}

function numbered({ path, arrays, others }: KerasFile, group: string): Stored[] {
  const own = [...arrays.values()].filter((array) => array.path.slice(0, array.path.lastIndexOf('/')) === group);
  const list = own.map((_, i) => arrays.get(`${group}/${i}`));
  const missing = list.findIndex((array) => array === undefined);
  const other = others.find((one) => one.startsWith(`${group}/`));
  if (missing >= 0 || other !== undefined)
    throw refusal(
      'ERR_CKPT_LAYOUT',
      path,
      `numbers in "${other ?? `${group}/${missing}`}"`,
      other ? 'others' : 'nothing',
    );
  return list as Stored[];
}

/** A wrapper's file has the states of those that it wraps twice; Keras reads both. */
function checkSame(file: KerasFile, arrays: readonly Stored[]): void {
  const groups = membersIn(file);
  const inner = groups.flatMap((group) => numbered(file, group));
  if (inner.length === 0) return;
  const own = arrays.slice(arrays.length - inner.length);
  const other = inner.findIndex((array, i) => !sameBytes(array, own[i]));
  if (other >= 0)
    throw refusal(
      'ERR_CKPT_LAYOUT',
      file.path,
      `"${inner[other]?.path}" to be the same as "${own[other]?.path ?? kVars}"`,
      'something else',
    );
}

const bytesOf = ({ value }: Stored) => Buffer.from(value.buffer, value.byteOffset, value.byteLength);
const sameBytes = (a: Stored, b: Stored | undefined): boolean =>
  b !== undefined && a.dtype === b.dtype && String(a.shape) === String(b.shape) && bytesOf(a).equals(bytesOf(b));

/** The groups of wrapped optimizers, in the order of the file. */
function membersIn({ names }: Pick<KerasFile, 'names'>): string[] {
  return [...names.keys()].filter((group) => /^optimizer\/(inner_optimizer|optimizers\/[^/]+)\/vars$/.test(group));
}

/** The group of each optimizer of a MultiOptimizer, as Keras names them. */
export function groupsOf(optimizer: Optimizer): string[] {
  if (optimizer instanceof LossScaleOptimizer) return ['optimizer/inner_optimizer/vars'];
  if (!(optimizer instanceof MultiOptimizer)) return [];
  const used = new Map<string, number>();
  return optimizer.optimizers.map((one) => {
    const name = snakeCase((one.constructor as typeof MultiOptimizer).className);
    const count = used.get(name) ?? 0;
    used.set(name, count + 1);
    return `optimizer/optimizers/${name}${count === 0 ? '' : `_${count}`}/vars`;
  });
}

/** How many arrays each optimizer that is wrapped has. */
export const sizesIn = (file: KerasFile, optimizer: Optimizer): number[] =>
  groupsOf(optimizer).map((group) => numbered(file, group).length);
