// The gradients of one process as arrays of numbers, one for each variable: what is summed.
import { allocated, type AnyArray, type FloatArray } from '../arrays.ts';
import { isSpace, nameOf, type GpuIndex } from '../devices.ts';
import { stateError, typeError } from '../errors.ts';
import { giveToOwners, gradientOnSite, letGoOf, waitForOwners, type Borrowed } from '../foreign.ts';
import { checkGradients, gradientArray } from '../gradients.ts';
import { IndexedSlices } from '../indexed_slices.ts';
import { fromBfloat16, fromFloat16 } from '../halves.ts';
import { addon, type Dtype, type Half } from '../native.ts';
import type { Given } from '../parts.ts';
import type { Roster } from '../roster.ts';
import type { Runner } from '../runner.ts';
import { SparseGradients } from '../rows.ts';
import { Variable } from '../variable.ts';
import { statesIn } from '../wrapping.ts';
import { DeviceNumbers, type Numbers } from './numbers.ts';

/** The gradients of a step, by variable. */
export interface Dense {
  readonly arrays: readonly (Numbers | null)[];
  /** They have been copied, or are about to be by what a GPU has got: what is somebody else's is theirs again. */
  readonly giveBack: () => void;
}

/**
 * Checks the gradients of a step; those of variables that have none are null. Sparse gradients become dense. Arrays are the caller's
 * own where they fit as they are; of a GPU they are what is there after all that it has been given.
 */
export function denseGradients(who: string, runner: Runner, { gradients, variables }: Given): Dense {
  const roster = runner.built('apply_async');
  if (isSpace(roster.site))
    throw typeError(
      'ERR_OPT_DEVICE',
      `${who} is distributed and expects variables on the cpu or a GPU, they are on ${nameOf(roster.site)}`,
    );
  if (!roster.asyncSafe)
    throw typeError(
      'ERR_OPT_NOT_ASYNC_SAFE',
      `${who} is distributed and expects variables that own their memory, got plain arrays: use Variable`,
    );
  const indices = roster.indicesOf(variables);
  const list = checkGradients(who, gradients, indices.length);
  const arrays: (Numbers | null)[] = roster.variables.map(() => null);
  const borrowed: Borrowed[] = [];
  const giveBack = () => {
    for (const array of arrays) if (array instanceof DeviceNumbers) array.forget();
    giveToOwners(roster.site, borrowed);
  };
  try {
    indices.forEach((index, i) => {
      const variable = roster.variables[index] as Variable;
      const gradient: unknown = list === undefined ? variable.gradient : list[i];
      arrays[index] = onGpu(roster, gradient, i, variable, borrowed) ?? denseArray(gradient, i, variable, runner);
    });
    checkSome(who, arrays);
    waitForOwners(roster.site, borrowed);
  } catch (error) {
    letGoOf(borrowed);
    throw error;
  }
  return { arrays, giveBack };
}

function checkSome(who: string, arrays: readonly (Numbers | null)[]): void {
  if (arrays.every((array) => array === null))
    throw stateError('ERR_OPT_NO_GRADIENT', `${who} expects a gradient for at least one variable, got none`);
}

/** The numbers of a gradient on the GPU of the variables; undefined for one on the host. */
function onGpu(
  { site }: Pick<Roster, 'site'>,
  gradient: unknown,
  i: number,
  variable: Variable,
  borrowed: Borrowed[],
): Numbers | undefined {
  const reader = { site, gradient_dtype: false, checkMemoryApart: () => {} } as const; // it is copied before anything is written
  const found = gradientOnSite(reader, gradient, i, variable, borrowed);
  if (found === undefined || ArrayBuffer.isView(found)) return found as FloatArray | undefined;
  return new DeviceNumbers(found, variable.dtype as Dtype, Variable.storageOf(variable).length, site as GpuIndex);
}

function denseArray(gradient: unknown, i: number, variable: Variable, runner: Runner): FloatArray | null {
  const slices = IndexedSlices.partsOf(gradient);
  if (slices === undefined) {
    const half = halfOf(runner, variable);
    return widened(gradientArray(gradient, i, variable, half), half);
  }
  const merged = new SparseGradients(undefined);
  const { columns, rows, values } = merged.take(slices, i, 0, variable);
  const { array } = allocated(variable.dtype as Dtype, Variable.storageOf(variable).length);
  addon.putRows(array, rows, columns, values);
  merged.release();
  return array;
}

/** The format of the 16-bit gradients of a variable, which the optimizer of it says. */
const halfOf = (runner: Runner, variable: Variable): Half | null =>
  statesIn(runner).find(({ variables }) => variables.includes(variable))?.gradient_dtype ?? null;

/** Gradients of 16 bits as they are summed: in float32. */
function widened(array: AnyArray | null, half: Half | null): FloatArray | null {
  if (!(array instanceof Uint16Array)) return array;
  return half === 'bfloat16' ? fromBfloat16(array) : fromFloat16(array);
}
