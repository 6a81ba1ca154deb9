// Variables that an optimizer of the user's adds to its state: shape, dtype, first values, name.
import { arrays, sizeOf } from './arrays.ts';
import { nullable, oneOf, readOptions, text, type Field, type Values } from './configurable.ts';
import { describe, rangeError, typeError } from './errors.ts';
import type { Site } from './devices.ts';
import { dtypes, type Dtype } from './native.ts';
import { nativeStorage, places } from './storage.ts';
import { checkNumbers, isVariable, Variable, variableOver, type Numbers } from './variable.ts';

/** The first values of a variable: a name, or a function that gives as many numbers as the shape says. */
export type Initializer = 'zeros' | 'ones' | ((shape: readonly number[], dtype: Dtype) => Numbers);

const initializer: Field<Initializer, false> = {
  required: false,
  default: 'zeros',
  expects: '"zeros", "ones" or a function (shape, dtype) that gives numbers',
  is: (x) => typeof x === 'string' || typeof x === 'function',
  allows: (x) => typeof x === 'function' || ['zeros', 'ones'].includes(x),
};
const shape: Field<readonly number[], false> = {
  required: false,
  default: [],
  expects: 'an array of whole numbers >= 0',
  is: Array.isArray,
  allows: (x) => sizeOf(x) !== undefined,
  take: (x) => [...x],
};
const initialValue: Field<Numbers | Variable | null, false> = {
  required: false,
  default: null,
  expects: 'numbers, a variable or null',
  is: (x) => typeof x === 'object',
  allows: () => true,
};

const ofVariable = { shape, dtype: oneOf(dtypes), initializer, name: text('variable') };
const ofReference = { name: text('var'), shape: nullable(shape), initializer, initial_value: initialValue };

const isList = (x: unknown): x is readonly Initializer[] => Array.isArray(x);
const ofList = {
  initializer: {
    required: false,
    default: 'zeros',
    expects: `${initializer.expects}, or an array of these`,
    is: (x) => isList(x) || initializer.is(x),
    allows: (x) => isList(x) || initializer.allows(x), // the elements are looked at one by one
  } as Field<Initializer | readonly Initializer[], false>,
};

/** Of `add_optimizer_variables`. */
export interface ListSettings {
  /** The first values of all, or one for each; default zeros. */
  readonly initializer?: Initializer | readonly Initializer[] | undefined;
}
/** Of `add_variable`. */
export interface VariableSettings {
  /** Length of each dimension; default none: one number. */
  readonly shape?: readonly number[] | undefined;
  /** Default `'float32'`. */
  readonly dtype?: Dtype | undefined;
  /** The first values; default zeros. */
  readonly initializer?: Initializer | undefined;
  /** The last part of its path; default `variable`. */
  readonly name?: string | undefined;
}
/** Of `add_variable_from_reference`. */
export interface ReferenceSettings {
  /** The last part of its path; default `var`. */
  readonly name?: string | undefined;
  /** Length of each dimension; default those of the reference. */
  readonly shape?: readonly number[] | null | undefined;
  /** The first values; default zeros. */
  readonly initializer?: Initializer | undefined;
  /** The first values themselves. */
  readonly initial_value?: Numbers | Variable | null | undefined;
}

/** `who`: the method, for errors; `owner`: the name of the optimizer. */
export function addedVariable(who: string, owner: string, options: unknown): Variable {
  const { name, ...made } = readOptions(who, ofVariable, [options]);
  return create(who, { ...made, path: `${owner}/${name}`, initial_value: null });
}

export function addedFromReference(who: string, owner: string, reference: Variable, options: unknown): Variable {
  const { name, ...made }: Values<typeof ofReference> = readOptions(who, ofReference, [options]);
  const { dtype } = reference;
  if (dtype !== 'float32' && dtype !== 'float64')
    throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects a float32 or float64 variable, got ${dtype}`);
  if (made.initial_value !== null && made.initializer !== 'zeros')
    throw rangeError('ERR_OPT_CONFIG_RANGE', `${who} expects an initializer or an initial_value, got both`);
  const path = `${owner}/${reference.path.replaceAll('/', '_')}_${name}`;
  const { site } = Variable.storageOf(reference);
  return create(who, { ...made, shape: made.shape ?? reference.shape, dtype, path, site });
}

interface Made {
  readonly shape: readonly number[];
  readonly dtype: Dtype;
  readonly path: string;
  readonly site?: Site | undefined;
  readonly initializer: Initializer;
  readonly initial_value: Numbers | Variable | null;
}

function create(who: string, { shape, dtype, path, site, initializer, initial_value }: Made): Variable {
  const length = sizeOf(shape) as number; // checked as an option, or of a variable
  const values = initial_value ?? (typeof initializer === 'function' ? initializer([...shape], dtype) : null);
  const numbers = values === null ? null : checkNumbers(`${who} for "${path}"`, values, length);
  const storage = nativeStorage(dtype, length, places.slot(0), site, shape);
  if (numbers !== null) storage.write(numbers);
  else if (initializer === 'ones') storage.write(new arrays[dtype](length).fill(1));
  return variableOver(storage, { shape, name: path });
}

/** Names and initializers of `add_optimizer_variables`, pair by pair. */
export function checkNames(who: string, name: unknown, options: unknown): readonly (readonly [string, Initializer])[] {
  const { initializer: initializers } = readOptions(who, ofList, [options]);
  const names: unknown[] = Array.isArray(name) ? name : [name];
  if (names.length === 0 || !names.every((one) => typeof one === 'string'))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects name to be a string or strings, got ${describe(name)}`);
  const list: readonly Initializer[] = isList(initializers) ? initializers : names.map(() => initializers);
  if (list.length !== names.length)
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects ${names.length} initializers, one for each name, got ${list.length}`,
    );
  return names.map((one, i) => [one, list[i] as Initializer]);
}

/** A variable that may be a reference. */
export function checkReference(who: string, value: unknown): Variable {
  if (isVariable(value)) return value;
  throw typeError(
    'ERR_OPT_ARRAY_TYPE',
    `${who} expects a Variable, or an array that the optimizer was built with, got ${describe(value)}`,
  );
}
