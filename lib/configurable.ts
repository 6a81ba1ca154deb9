// Descriptors: a hyper-parameter is declared once (name, default, check), and its TypeScript type, validation, error
// message, get_config and from_config (serialization.ts) follow.
import { describe, isClass, rangeError, stateError, typeError } from './errors.ts';

/** One hyper-parameter. */
export interface Field<V, R extends boolean = boolean> {
  /** Whether it must be given. */
  readonly required: R;
  /** What it is when it is not given. */
  readonly default: V;
  /** What the error message says it expects: "a number in [0, 1]". */
  readonly expects: string;
  /** The right kind? If not, a TypeError. */
  is(value: unknown): boolean;
  /** A value of that kind that is allowed? If not, a RangeError. */
  allows(value: V): boolean;
  /** What is kept of an allowed value: a frozen copy of an array, say. */
  take?(value: V): V;
  /** Other names it is accepted under. */
  readonly aliases?: readonly string[];
  /** Left out of the config while it has its default. */
  readonly extension?: boolean;
  /** Only for the constructor: neither a property nor in the config. */
  readonly transient?: boolean;
  /** Counts something: Python may want an int where it wants a float of other numbers. */
  readonly counts?: boolean;
}

/** Hyper-parameters by name. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the one place where fields of every type meet
export type Fields = Readonly<Record<string, Field<any>>>;
/** What an instance has of them. */
export type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer V> ? V : never };
/** Those that must be given. */
export type RequiredKeys<F extends Fields> = { [K in keyof F]: F[K]['required'] extends true ? K : never }[keyof F];
/** Other names they are accepted under. */
export type AliasesOf<F extends Fields> = {
  [K in keyof F]: F[K] extends Readonly<Record<'aliases', readonly (infer A extends string)[]>> ? A : never;
}[keyof F];
/** What its constructor takes. */
export type Options<F extends Fields> = { readonly [K in RequiredKeys<F>]: Values<F>[K] } & {
  readonly [K in Exclude<keyof F, RequiredKeys<F>>]?: Values<F>[K] | undefined;
} & { readonly [A in AliasesOf<F>]?: number };

/** The arguments of a constructor: the object may be left out if nothing in it is required. */
export type Arguments<F extends Fields> =
  Record<never, never> extends Options<F> ? [options?: Options<F>] : [options: Options<F>];

/** A function of no arguments that a hyper-parameter is asked for at every step. */
export type Callable = () => number;

function numeric(value: number | undefined, expects: string, allows: (x: number) => boolean): Field<number, boolean> {
  return {
    required: value === undefined,
    default: value ?? NaN,
    expects,
    is: (x) => typeof x === 'number',
    allows: (x) => Number.isFinite(x) && allows(x),
  };
}
/** One that is a number; required without a default. */
export type Numeric<D> = Field<number, D extends number ? false : true>;
const any = (): boolean => true;
/** A finite number. */
export const finite = <D extends number | undefined = undefined>(value?: D): Numeric<D> =>
  numeric(value, 'a finite number', any) as Numeric<D>;
/** A number in [0, 1]. */
export const fraction = (value: number) =>
  numeric(value, 'a number in [0, 1]', (x) => x >= 0 && x <= 1) as Numeric<number>;
/** A number in (0, 1]. */
export const positiveFraction = (value: number) =>
  numeric(value, 'a number in (0, 1]', (x) => x > 0 && x <= 1) as Numeric<number>;
/** A number >= 0. */
export const nonNegative = (value: number) => numeric(value, 'a number >= 0', (x) => x >= 0) as Numeric<number>;
/** A number > 0. */
export const positive = <D extends number | undefined = undefined>(value?: D): Numeric<D> =>
  numeric(value, 'a number > 0', (x) => x > 0) as Numeric<D>;

/** A field that counts something: steps, updates. */
export const counting = <F extends { readonly counts?: boolean }>(field: F): F => ({ ...field, counts: true });
/** A whole number >= 0. */
export const whole = (value: number) =>
  counting(numeric(value, 'a whole number >= 0', (x) => Number.isSafeInteger(x) && x >= 0)) as Numeric<number>;

const plainly = { required: false, allows: any } as const;
/** True or false. */
export const flag = (value: boolean): Field<boolean, false> => ({
  ...plainly,
  default: value,
  expects: 'true or false',
  is: (x) => typeof x === 'boolean',
});
/** A string. */
export const text = (value: string): Field<string, false> => ({
  ...plainly,
  default: value,
  expects: 'a string',
  is: (x) => typeof x === 'string',
});

/** One of some names, the first by default. */
export const oneOf = <const N extends string>(names: readonly N[]): Field<N, false> => ({
  required: false,
  default: names[0] as N,
  expects: names.map((name) => `"${name}"`).join(' or '),
  is: (x) => typeof x === 'string',
  allows: (x) => names.includes(x),
});

/** A field that is left out of the config while it has its default. */
export const extension = <V>(field: Field<V, false>): Field<V, false> => ({ ...field, extension: true });

/** A field that may also be null, which is its default. */
export const nullable = <V>(field: Field<V>): Field<V | null, false> => ({
  ...field,
  required: false,
  default: null,
  expects: `${field.expects} or null`,
  is: (x) => x === null || field.is(x),
  allows: (x) => x === null || field.allows(x),
});

/** A field that may also be a function of no arguments; what it returns is checked like a number that was given. */
export const orCallable = (field: Field<number, false>): Field<number | Callable, false> => ({
  ...field,
  expects: `${field.expects} or a function of no arguments`,
  is: (x) => typeof x === 'number' || isPlainFunction(x),
  allows: (x) => typeof x === 'function' || field.allows(x),
});

/** A name that is known for what it meant elsewhere: `instead` says what it is here. */
export const refused = (instead: string): Field<undefined, false> => ({
  required: false,
  default: undefined,
  expects: `left out: ${instead}`,
  is: () => false,
  allows: any,
  transient: true,
});

/** A non-empty list, kept as a frozen copy. */
export const listOf = <V>(expects: string, is: (x: unknown) => boolean, allows: (x: readonly V[]) => boolean = any) =>
  ({
    required: true,
    default: [],
    expects,
    is: (x) => Array.isArray(x) && x.every(is),
    allows,
    take: (x) => Object.freeze([...x]),
  }) as Field<readonly V[], true>;

/** A function that is neither a class nor one of our callable objects. */
export const isPlainFunction = (value: unknown): value is (...args: never[]) => unknown =>
  typeof value === 'function' && !isConfigurable(value) && !isClass(value);

const brand = Symbol.for('keras-optimizers.configurable');

/** What optimizers and schedules share. Recognized by a brand, so that two copies of this package understand each other. */
export interface Configurable {
  /** The options that `from_config` makes an equal one of. */
  get_config(): Config;
}
/** What `get_config` returns: options by Keras's names, as JSON can carry them. */
export type Config = Record<string, unknown>;
/** A class of optimizers or schedules. */
export type ConfigurableClass = (new (options: never) => Configurable) & {
  /** What configs and messages call it, whatever a minifier makes of its name. */
  readonly className?: string;
  /** The descriptors of its options. */
  readonly fields?: Fields | undefined;
  /** An equal one from a config. */
  from_config(config: unknown, custom_objects?: unknown): Configurable;
};

export function markConfigurable(prototype: object): void {
  Object.defineProperty(prototype, brand, { value: true });
}
export const isConfigurable = (value: unknown): value is Configurable =>
  (typeof value === 'object' || typeof value === 'function') &&
  value !== null &&
  brand in value &&
  typeof (value as { get_config?: unknown }).get_config === 'function';

/** The name a class is serialized under: its own `className`, which survives minifiers, else its name. */
export const classNameOf = (cls: { readonly className?: unknown; readonly name: string }): string =>
  Object.hasOwn(cls, 'className') && typeof cls.className === 'string' ? cls.className : cls.name;

/** An object literal or a parsed JSON object, of whatever realm. */
export function isPlainObject(value: unknown): value is Config {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Own enumerable properties, each read once. */
export function ownEntries(value: Config): [string, unknown][] {
  return Object.keys(value).map((key) => [key, value[key]]);
}

/** The arguments of a constructor with other defaults: what is given wins. It says itself what is wrong with the rest. */
export function withDefaults(defaults: Config, args: readonly unknown[]): readonly unknown[] {
  const [options = {}, ...rest] = args;
  if (!isPlainObject(options)) return args;
  const given = ownEntries(options).filter(([, value]) => value !== undefined);
  return [{ ...defaults, ...Object.fromEntries(given) }, ...rest];
}

/** Checks options against fields and fills in the defaults. Reads every option once; keeps nothing of the given object. */
export function readOptions<F extends Fields>(who: string, fields: F, args: readonly unknown[]): Values<F> {
  const [options = {}] = args;
  if (args.length > 1 || !isPlainObject(options)) throw positionalCall(who, fields, args);
  const given = new Map<string, unknown>();
  for (const [key, value] of ownEntries(options)) {
    const name = nameOf(who, fields, key);
    if (given.has(name)) throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects ${name} once, got it as ${key} too`);
    if (value !== undefined) given.set(name, value);
  }
  const values = Object.entries(fields).map(([name, field]) => [name, readField(who, name, field, given)]);
  return Object.fromEntries(values) as Values<F>;
}

function nameOf(who: string, fields: Fields, key: string): string {
  if (Object.hasOwn(fields, key)) return key;
  const entry = Object.entries(fields).find(([, field]) => field.aliases?.includes(key));
  if (entry !== undefined) return entry[0];
  const known = Object.keys(fields)
    .filter((name) => fields[name]?.transient !== true)
    .join(', ');
  throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects only options that it knows (${known}), got ${describe(key)}`);
}

function readField(who: string, name: string, field: Field<unknown>, given: ReadonlyMap<string, unknown>): unknown {
  if (!given.has(name)) {
    if (field.required) throw notGiven(who, name, field);
    return field.default;
  }
  return checkField(who, name, field, given.get(name));
}

export const notGiven = (who: string, name: string, field: Field<unknown>): TypeError =>
  typeError('ERR_OPT_CONFIG_TYPE', `${who} expects ${name}, ${field.expects}, got nothing`);

/** The value as it is kept, or an error that says who expects what, and what came. */
export function checkField<V>(who: string, name: string, field: Field<V>, value: unknown): V {
  const message = () => `${who} expects ${name} to be ${field.expects}, got ${describe(value)}`;
  if (!field.is(value)) throw typeError('ERR_OPT_CONFIG_TYPE', message());
  if (!field.allows(value as V)) throw rangeError('ERR_OPT_CONFIG_RANGE', message());
  return field.take === undefined ? (value as V) : field.take(value as V);
}

function positionalCall(who: string, fields: Fields, args: readonly unknown[]): TypeError {
  const first = Object.keys(fields).find((name) => name !== 'name') ?? 'name';
  const shown = `${first}: ${typeof args[0] === 'number' ? args[0] : '...'}${args.length > 1 ? ', ...' : ''}`;
  const got = args.map(describe).join(', ');
  const call = who.includes('.') ? who : `new ${who}`; // a method, or a class
  return typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects one object of options, as in ${call}({ ${shown} }), got (${got})`,
  );
}

/** For a method that a subclass has to write. */
export const notImplemented = (who: string, method: string): Error =>
  stateError('ERR_OPT_NOT_IMPLEMENTED', `${who} must implement ${method}`);
