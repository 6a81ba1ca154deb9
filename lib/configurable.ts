// Descriptors: a hyper-parameter is declared once (name, default, check), and its TypeScript type, validation, error
// message, get_config and from_config follow. And the registry: serialize, deserialize, get.
import { describe, isClass, rangeError, stateError, typeError } from './errors.ts';

/** One hyper-parameter. */
export interface Field<V, R extends boolean = boolean> {
  /** Whether it must be given. */
  readonly required: R;
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
  /** Accepted, warned about with this text, and ignored. */
  readonly ignored?: string;
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the one place where fields of every type meet
export type Fields = Readonly<Record<string, Field<any>>>;
export type Values<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer V> ? V : never };
type RequiredKeys<F extends Fields> = { [K in keyof F]: F[K]['required'] extends true ? K : never }[keyof F];
export type Options<F extends Fields> = { readonly [K in RequiredKeys<F>]: Values<F>[K] } & {
  readonly [K in Exclude<keyof F, RequiredKeys<F>>]?: Values<F>[K] | undefined;
};

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
type Numeric<D> = Field<number, D extends number ? false : true>;
const any = (): boolean => true;
export const finite = <D extends number | undefined = undefined>(value?: D): Numeric<D> =>
  numeric(value, 'a finite number', any) as Numeric<D>;
export const fraction = (value: number) =>
  numeric(value, 'a number in [0, 1]', (x) => x >= 0 && x <= 1) as Numeric<number>;
export const nonNegative = (value: number) => numeric(value, 'a number >= 0', (x) => x >= 0) as Numeric<number>;
export const positive = <D extends number | undefined = undefined>(value?: D): Numeric<D> =>
  numeric(value, 'a number > 0', (x) => x > 0) as Numeric<D>;

const plainly = { required: false, allows: any } as const;
export const flag = (value: boolean): Field<boolean, false> => ({
  ...plainly,
  default: value,
  expects: 'true or false',
  is: (x) => typeof x === 'boolean',
});
export const text = (value: string): Field<string, false> => ({
  ...plainly,
  default: value,
  expects: 'a string',
  is: (x) => typeof x === 'string',
});

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
  get_config(): Config;
}
export type Config = Record<string, unknown>;
export type ConfigurableClass = (new (options: never) => Configurable) & { readonly className?: string };

export function markConfigurable(prototype: object): void {
  Object.defineProperty(prototype, brand, { value: true });
}
export const isConfigurable = (value: unknown): value is Configurable =>
  (typeof value === 'object' || typeof value === 'function') && value !== null && brand in value;

/** The name a class is serialized under: its own `className`, which survives minifiers, else its name. */
export const classNameOf = (cls: { readonly className?: string; readonly name: string }): string =>
  (Object.hasOwn(cls, 'className') ? cls.className : undefined) ?? cls.name;

/** An object literal or a parsed JSON object, of whatever realm. */
function isPlainObject(value: unknown): value is Config {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Own enumerable properties, each read once. */
function ownEntries(value: Config): [string, unknown][] {
  return Object.keys(value).map((key) => [key, value[key]]);
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
  const known = Object.keys(fields).join(', ');
  throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects only options that it knows (${known}), got ${describe(key)}`);
}

function readField(who: string, name: string, field: Field<unknown>, given: ReadonlyMap<string, unknown>): unknown {
  if (!given.has(name)) {
    if (field.required) throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects ${name}, ${field.expects}, got nothing`);
    return field.default;
  }
  if (field.ignored !== undefined) {
    process.emitWarning(`${who}: ${field.ignored}`);
    return field.default;
  }
  return checkField(who, name, field, given.get(name));
}

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
  return typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects one object of options, as in new ${who}({ ${shown} }), got (${got})`,
  );
}

/** The values as a config that JSON can carry and Keras can read. */
export function configOf(who: string, fields: Fields, values: Readonly<Record<string, unknown>>): Config {
  const config: Config = {};
  for (const [name, field] of Object.entries(fields)) {
    if (field.ignored !== undefined || (field.extension && Object.is(values[name], field.default))) continue;
    config[name] = plain(who, name, values[name]);
  }
  return config;
}

function plain(who: string, name: string, value: unknown): unknown {
  if (isConfigurable(value)) return serialize(value);
  if (Array.isArray(value)) return value.map((element) => plain(who, name, element));
  if (typeof value === 'function') return serializeFunction(who, name, value);
  return value === Infinity ? 'Infinity' : value;
}

function serializeFunction(who: string, field: string, { name }: { readonly name: string }): Config {
  if (name === '' || name === field)
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects ${field} to be a named function or a schedule when it is serialized, got an anonymous function`,
    );
  return { module: 'builtins', class_name: 'function', config: name, registered_name: 'function' };
}

interface Registration {
  readonly cls: ConfigurableClass;
  readonly module: string | null;
  readonly registered_name: string | null;
}
const builtins = new Map<string, Registration>();
const registered = new Map<string, Registration>();

/** Makes classes of this package known under Keras's module name, or under a package of registered classes. */
export function registerBuiltins(module: string, classes: readonly ConfigurableClass[], packageName?: string): void {
  for (const cls of classes) {
    const name = classNameOf(cls);
    const registered_name = packageName === undefined ? null : `${packageName}>${name}`;
    builtins.set(name.toLowerCase(), { cls, module, registered_name });
  }
}

/**
 * Makes a class of yours known to `deserialize` and `from_config` under `package>Name`, and returns it.
 * Source: keras/src/saving/object_registration.py.
 *
 * @param cls a schedule or optimizer class, with `get_config` and `from_config`
 * @param packageName what stands before the name, so that classes of the same name can live side by side
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` if it is no such class
 */
export function register_keras_serializable<C extends ConfigurableClass>(cls: C, packageName = 'Custom'): C {
  if (typeof cls !== 'function' || !isConfigurable(cls.prototype) || typeof packageName !== 'string')
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `register_keras_serializable expects a class of optimizers or schedules and a package name, got ${describe(cls)}`,
    );
  const registered_name = `${packageName}>${classNameOf(cls)}`;
  registered.set(registered_name, { cls, module: null, registered_name });
  return cls;
}

/** The serialized form that Keras reads. */
export interface Serialized {
  module: string | null;
  class_name: string;
  config: Config;
  registered_name: string | null;
}

/**
 * `{ module, class_name, config, registered_name }` of an optimizer or a schedule, as Keras writes it.
 * Source: keras/src/saving/serialization_lib.py.
 *
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else, and for an anonymous function inside
 */
export function serialize(instance: Configurable): Serialized {
  if (!isConfigurable(instance))
    throw typeError('ERR_OPT_CONFIG_TYPE', `serialize expects an optimizer or a schedule, got ${describe(instance)}`);
  const cls = instance.constructor as ConfigurableClass;
  const known = [...builtins.values(), ...registered.values()].find((registration) => registration.cls === cls);
  const class_name = classNameOf(cls);
  const { module, registered_name } = known ?? { module: null, registered_name: class_name };
  return { module, class_name, config: instance.get_config(), registered_name };
}

/** Classes and functions by the name a config calls them. */
export type CustomObjects = Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown>;

const maxDepth = 64;

/**
 * The optimizer or schedule that a serialized form describes. The given object is neither kept nor changed.
 * Source: keras/src/saving/serialization_lib.py.
 *
 * @param config what `serialize` or Keras wrote, or the short form with only `class_name` and `config`
 * @param custom_objects classes and functions by name; they come before the registered ones and Keras's own
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for an unknown class, RangeError `ERR_OPT_CONFIG_RANGE` for a bad value or
 *   more than 64 levels
 */
export function deserialize(config: unknown, custom_objects?: CustomObjects): Configurable {
  const instance = revive(config, custom_objects, 0);
  if (isConfigurable(instance)) return instance;
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `deserialize expects { class_name, config } of an optimizer or a schedule, got ${describe(config)}`,
  );
}

/** Deserializes every nested `{ class_name, config }` of a value. */
function revive(value: unknown, custom: CustomObjects | undefined, depth: number): unknown {
  if (depth > maxDepth)
    throw rangeError('ERR_OPT_CONFIG_RANGE', `deserialize expects at most ${maxDepth} levels of nesting, got more`);
  if (Array.isArray(value)) return Array.from(value as unknown[], (element) => revive(element, custom, depth + 1));
  if (!isPlainObject(value) || !Object.hasOwn(value, 'class_name')) return value;
  const { class_name, registered_name, config } = Object.fromEntries(ownEntries(value));
  if (class_name === 'function') return functionNamed(config, custom);
  return fromConfig(classNamed(class_name, registered_name, custom), config ?? {}, custom, depth + 1);
}

function customNamed(name: unknown, custom: CustomObjects | undefined): unknown {
  if (custom === undefined || typeof name !== 'string') return undefined;
  if (custom instanceof Map) return custom.get(name) as unknown;
  return Object.hasOwn(custom, name) ? (custom as Readonly<Record<string, unknown>>)[name] : undefined;
}

function classNamed(name: unknown, registeredName: unknown, custom?: CustomObjects): ConfigurableClass {
  const found =
    customNamed(registeredName, custom) ??
    customNamed(name, custom) ??
    registered.get(String(registeredName))?.cls ??
    (typeof name === 'string' ? builtins.get(name.toLowerCase())?.cls : undefined);
  if (typeof found === 'function' && isConfigurable(found.prototype)) return found as ConfigurableClass;
  const known = [...builtins.values()].map(({ cls }) => classNameOf(cls)).concat([...registered.keys()]);
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `deserialize expects class_name to be one of ${known.join(', ')}, or a class in custom_objects, got ${describe(name)}`,
  );
}

function functionNamed(name: unknown, custom: CustomObjects | undefined): unknown {
  const found = customNamed(name, custom);
  if (isPlainFunction(found)) return found;
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `deserialize expects the function ${describe(name)} in custom_objects, got nothing`,
  );
}

/** `from_config` of a class: nested configs come to life, then the constructor checks every value. */
export function fromConfig<C extends ConfigurableClass>(
  cls: C,
  config: unknown,
  custom?: CustomObjects,
  depth = 0,
): InstanceType<C> {
  const who = classNameOf(cls);
  if (!isPlainObject(config))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who}.from_config expects an object, got ${describe(config)}`);
  const options = ownEntries(config).map(([key, value]) => [key, revive(value, custom, depth + 1)]);
  return new cls(Object.fromEntries(options) as never) as InstanceType<C>;
}

/**
 * null for null, an instance as it is, a default instance for a class name in any case (`"adamw"`), the described one
 * for a serialized form. Source: keras/src/optimizers/__init__.py.
 *
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else
 */
export function get(identifier: unknown): Configurable | null {
  if (identifier === null || identifier === undefined) return null;
  if (isConfigurable(identifier)) return identifier;
  if (typeof identifier === 'string') return fromConfig(classNamed(identifier, undefined), {});
  return deserialize(identifier);
}

/** For a method that a subclass has to write. */
export const notImplemented = (who: string, method: string): Error =>
  stateError('ERR_OPT_NOT_IMPLEMENTED', `${who} must implement ${method}`);
