// In which order a file has the arrays of one optimizer, and to which variable each belongs. Keras writes `optimizer.variables` by their
// numbers alone, and the order has changed once: up to 3.9 Nadam's product stood before the moments, and with both averages and
// accumulators those of one variable stood together. Only shapes, and the version of Keras where they fit both, tell which it is.
import type { Layout } from '../state.ts';
import type { Variable } from '../variable.ts';
import type { Stored } from './h5.ts';
import { refusal } from './refusal.ts';

/** What an optimizer keeps. */
export interface Kept {
  /** For messages. */
  readonly who: string;
  readonly layout: Pick<Layout, 'averages' | 'accumulators' | 'blocks' | 'slotOf'>;
  /** Whether it carries a number from step to step, Nadam's product. */
  readonly running: boolean;
  /** A wrapper's Keras does not save that number, nor places that hold nothing. */
  readonly wrapped: boolean;
}

/** The file as messages need it. */
export interface Told {
  readonly path: string;
  /** Of Keras; undefined where the file does not say it. */
  readonly version: string | undefined;
}

/** The arrays of an optimizer in the order of today's Keras. */
export interface Arranged {
  readonly arrays: readonly (Stored | undefined)[];
  /** Shapes of the variables, where the arrays tell them. */
  readonly shapes: readonly (readonly number[])[];
}

/** A place in the order: what is there, and for which variable. */
interface Role {
  readonly kind: string;
  readonly variable: number | undefined;
}
type Order = 'old' | 'new';

/** Arrays of classes that keep the same for every variable. Undefined stands for Nadam's product where the file does not have it. */
export function arranged(told: Told, kept: Kept, arrays: readonly Stored[]): Arranged {
  const { averages, accumulators, blocks } = kept.layout;
  const width = Number(averages) + Number(accumulators) + blocks.flat().length;
  const products = kept.running ? (kept.wrapped && arrays.length % width === 0 ? 0 : 1) : 0;
  const count = width === 0 ? 0 : (arrays.length - products) / width;
  if (!Number.isInteger(count) || count < 0 || count * width + products !== arrays.length)
    throw refusal(
      'ERR_CKPT_LAYOUT',
      told.path,
      `the state of ${kept.who}: ${width} arrays for each variable${products ? ' and one number' : ''}, after its own numbers`,
      `${arrays.length}, the first is ${arrays[0] === undefined ? 'missing' : shown(arrays[0])}`,
    );
  const hasProduct = products === 1;
  const fitting = (order: Order) => fit(kept, rolesOf(kept, count, order, hasProduct), arrays);
  const found = { new: fitting('new'), old: fitting('old') };
  const { roles, shapes } = found[orderOf(told, kept, found)];
  const places = new Map(roles.map((role, i) => [keyOf(role), arrays[i]]));
  const ordered = rolesOf(kept, count, 'new', kept.running).map((role) => places.get(keyOf(role)));
  return { arrays: ordered, shapes };
}

const keyOf = ({ kind, variable }: Role): string => `${kind}/${variable}`;

function rolesOf({ layout }: Kept, count: number, order: Order, product: boolean): Role[] {
  const indices = Array.from({ length: count }, (_, i) => i);
  const block = (kinds: readonly string[]) => indices.flatMap((variable) => kinds.map((kind) => ({ kind, variable })));
  const own = [...(layout.averages ? ['average'] : []), ...(layout.accumulators ? ['gradient_accumulator'] : [])];
  const before = order === 'old' ? block(own) : own.flatMap((kind) => block([kind]));
  const slots = layout.blocks.flatMap(block);
  const running = product ? [{ kind: 'product', variable: undefined }] : [];
  return order === 'old' ? [...before, ...running, ...slots] : [...before, ...slots, ...running];
}

/** Roles of the arrays with the shapes that follow, and the first array that does not fit. */
interface Fitting {
  readonly roles: readonly Role[];
  readonly shapes: readonly (readonly number[])[];
  readonly wrong: { readonly expected: string; readonly got: string } | undefined;
}

function fit({ layout }: Kept, roles: readonly Role[], arrays: readonly Stored[]): Fitting {
  const last = layout.blocks.flat().at(-1); // of the shape of the variable, in every class
  const shapes: (readonly number[])[] = [];
  roles.forEach(({ kind, variable }, i) => {
    if (variable !== undefined && (kind === last || shapes[variable] === undefined))
      shapes[variable] = (arrays[i] as Stored).shape;
  });
  const wanted = ({ kind, variable }: Role): readonly number[] => {
    if (variable === undefined) return [];
    const shape = shapes[variable] as readonly number[];
    if (!layout.blocks.flat().includes(kind)) return shape;
    return layout.slotOf(kind, { shape, name: '', path: '' } as Variable)?.shape ?? shape;
  };
  const at = roles.findIndex((role, i) => !sameShape(wanted(role), (arrays[i] as Stored).shape));
  if (at < 0) return { roles, shapes, wrong: undefined };
  const [role, array] = [roles[at] as Role, arrays[at] as Stored];
  const of = role.variable === undefined ? role.kind : `${role.kind} of variable ${role.variable}`;
  return {
    roles,
    shapes,
    wrong: { expected: `"${array.path}", the ${of}, to have shape ${text(wanted(role))}`, got: text(array.shape) },
  };
}

function orderOf({ path, version }: Told, { who }: Kept, found: Readonly<Record<Order, Fitting>>): Order {
  const [ofNew, ofOld] = [found.new, found.old];
  const written = orderIn(version);
  if (ofNew.wrong !== undefined && ofOld.wrong !== undefined) {
    const { expected, got } = found[written ?? 'new'].wrong as { expected: string; got: string };
    throw refusal('ERR_CKPT_LAYOUT', path, expected, got);
  }
  if (ofNew.wrong !== undefined) return 'old';
  if (ofOld.wrong !== undefined || ofNew.roles.every((role, i) => keyOf(role) === keyOf(ofOld.roles[i] as Role)))
    return 'new';
  if (written !== undefined) return written;
  throw refusal(
    'ERR_CKPT_LAYOUT',
    path,
    `keras_version to be given, as shapes alone do not tell in which of two orders the state of ${who} stands`,
    'undefined',
  );
}

/** The order that a version of Keras writes: 3.10 changed it. */
function orderIn(version: string | undefined): Order | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  if (major === undefined) return undefined;
  return Number(major) < 3 || (Number(major) === 3 && Number(minor) < 10) ? 'old' : 'new';
}

/**
 * Adafactor's arrays with what its wrapper leaves out: a variable of less than two dimensions has no rows and columns. The last array
 * of each variable is of its shape, so that they are told apart from the end.
 */
export function withPlaceholders({ path }: Told, { who, layout }: Kept, arrays: readonly Stored[]): Stored[] {
  if (arrays.some(({ dtype }) => dtype === 'int32')) return [...arrays];
  const before = Number(layout.averages) + Number(layout.accumulators);
  const groups: Stored[][] = [];
  let end = arrays.length;
  while (end > before * groups.length) {
    const last = arrays[end - 1] as Stored;
    const begin = end - (last.shape.length < 2 ? 1 : 3);
    if (begin < 0) break;
    const empty = [0, 1].map(() => ({ path: last.path, shape: [], dtype: 'int32', value: Int32Array.of(0) }));
    groups.unshift(begin === end - 1 ? [...empty, last] : arrays.slice(begin, end));
    end = begin;
  }
  if (end === before * groups.length) return [...arrays.slice(0, end), ...groups.flat()];
  throw refusal(
    'ERR_CKPT_LAYOUT',
    path,
    `the state of ${who}, one or three arrays for each variable`,
    `${arrays.length}`,
  );
}

export const sameShape = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((n, i) => n === b[i]);
const text = (shape: readonly number[]): string => `[${shape.join(', ')}]`;
const shown = ({ path, shape, dtype }: Stored): string => `"${path}" of shape ${text(shape)} and ${dtype}`;
