// Configs: get_config and from_config of every class, and the registry behind serialize, deserialize and get.
import {
  classNameOf,
  isConfigurable,
  isPlainFunction,
  isPlainObject,
  ownEntries,
  type Config,
  type Configurable,
  type ConfigurableClass,
  type Fields,
} from './configurable.ts';
import { describe, rangeError, typeError } from './errors.ts';
import type { Optimizer } from './optimizer.ts';

/** The values as a config that JSON can carry and Keras can read. */
export function configOf(who: string, fields: Fields, values: Readonly<Record<string, unknown>>): Config {
  const config: Config = {};
  for (const [name, field] of Object.entries(fields)) {
    if (field.transient || (field.extension && Object.is(values[name], field.default))) continue;
    config[name] = plain(who, name, values[name]);
  }
  return config;
}

function plain(who: string, name: string, value: unknown): unknown {
  if (isConfigurable(value)) return serialize(value);
  if (Array.isArray(value)) return value.map((element: unknown) => plain(who, name, element));
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
  /** Keras's module of the class; null for one of the user's own. */
  module: string | null;
  /** Name of the class. */
  class_name: string;
  /** What its `get_config` gives. */
  config: Config;
  /** The name it is registered under; null for a class of Keras's. */
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
export type CustomObjects = Readonly<Record<string, unknown>> | ReadonlyMap<string, unknown> | null;

const maxDepth = 64;
let depth = 0; // levels being read: also through a from_config of the user's

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
  const instance = revive(config, custom_objects);
  if (isConfigurable(instance)) return instance;
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `deserialize expects { class_name, config } of an optimizer or a schedule, got ${describe(config)}`,
  );
}

/** Deserializes every nested `{ class_name, config }` of a value. */
function revive(value: unknown, custom: CustomObjects | undefined): unknown {
  if (depth >= maxDepth)
    throw rangeError('ERR_OPT_CONFIG_RANGE', `deserialize expects at most ${maxDepth} levels of nesting, got more`);
  depth++;
  try {
    return reviveLevel(value, custom);
  } finally {
    depth--;
  }
}

function reviveLevel(value: unknown, custom: CustomObjects | undefined): unknown {
  if (Array.isArray(value)) return Array.from(value as unknown[], (element) => revive(element, custom));
  if (!isPlainObject(value) || !Object.hasOwn(value, 'class_name')) return value;
  const { class_name, registered_name, config } = Object.fromEntries(ownEntries(value));
  if (class_name === 'function') return functionNamed(config, custom);
  return classNamed('deserialize', class_name, registered_name, custom).from_config(config ?? {}, custom);
}

const isMap = (custom: CustomObjects): custom is ReadonlyMap<string, unknown> => custom instanceof Map;

function customNamed(name: unknown, custom: CustomObjects | undefined): unknown {
  if (custom === undefined || custom === null || typeof name !== 'string') return undefined;
  if (isMap(custom)) return custom.get(name);
  return Object.hasOwn(custom, name) ? custom[name] : undefined;
}

/** A class of this package, or one that was registered; undefined if there is none. */
export const knownClass = (name: unknown, registeredName: unknown): ConfigurableClass | undefined =>
  (typeof registeredName === 'string' ? registered.get(registeredName)?.cls : undefined) ??
  (typeof name === 'string' ? builtins.get(name.toLowerCase())?.cls : undefined);

function classNamed(who: string, name: unknown, registeredName: unknown, custom?: CustomObjects): ConfigurableClass {
  const found = customNamed(registeredName, custom) ?? customNamed(name, custom) ?? knownClass(name, registeredName);
  if (typeof found === 'function' && isConfigurable(found.prototype)) return found as ConfigurableClass;
  const known = [...builtins.values()].map(({ cls }) => classNameOf(cls)).concat([...registered.keys()]);
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `${who} expects the name of a class (${known.join(', ')}) or one of custom_objects, got ${describe(name)}`,
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
): InstanceType<C> {
  const who = classNameOf(cls);
  if (!isPlainObject(config))
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who}.from_config expects an object, got ${describe(config)}`);
  const options = ownEntries(config).map(([key, value]) => [key, revive(value, custom)]);
  return new cls(Object.fromEntries(options) as never) as InstanceType<C>;
}

/**
 * null for null, an instance as it is, a default instance for a class name in any case (`"adamw"`), the described one
 * for a serialized form. Source: keras/src/optimizers/__init__.py.
 *
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else
 */
export function get(identifier: string): Optimizer;
export function get<C extends Configurable | null>(identifier: C): C;
export function get(identifier: unknown): Configurable | null;
export function get(identifier: unknown): Configurable | null {
  if (identifier === null || identifier === undefined) return null;
  if (isConfigurable(identifier)) return identifier;
  if (typeof identifier === 'string') return fromConfig(classNamed('get', identifier, undefined), {}) as Configurable;
  return deserialize(identifier);
}
