// JSON for Python, which tells 0 from 0.0.
import { isPlainObject, type Config, type Configurable, type ConfigurableClass, type Fields } from './configurable.ts';
import { knownClass, serialize } from './serialization.ts';

/**
 * The JSON text of `serialize(instance)`, with a point in every number that is a float in Keras. Python Keras reads this text.
 * What `JSON.stringify` writes it may refuse, as `"momentum":0` and `"learning_rate":1`, or compute with in integers, as
 * `"initial_learning_rate":1`. What counts something, as `decay_steps`, and numbers of a class without fields have a point only
 * where they are not whole. `deserialize(JSON.parse(text))` reads it here. Source: keras/src/saving/serialization_lib.py.
 *
 * @throws as `serialize`
 * @example stringify(new SGD()); // ... "learning_rate":0.01 ... "momentum":0.0 ...
 */
export function stringify(instance: Configurable): string {
  return serializedText({ ...serialize(instance) }, (instance.constructor as ConfigurableClass).fields);
}

function serializedText(serialized: Config, fields: Fields = {}): string {
  return objectText(serialized, (key, value) =>
    key === 'config' && isPlainObject(value)
      ? objectText(value, (name, option) => valueText(option, isFloat(fields, name)))
      : valueText(value, false),
  );
}

const isFloat = (fields: Fields, name: string): boolean => Object.hasOwn(fields, name) && fields[name]?.counts !== true;

function objectText(object: Config, textOf: (key: string, value: unknown) => string | undefined): string {
  const members = Object.entries(object)
    .map(([key, value]) => [JSON.stringify(key), textOf(key, value)])
    .filter(([, text]) => text !== undefined);
  return `{${members.map((member) => member.join(':')).join(',')}}`;
}

/** Undefined for what JSON leaves out. */
function valueText(value: unknown, float: boolean): string | undefined {
  if (typeof value === 'number') return float ? floatText(value) : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((element) => valueText(element, float) ?? 'null').join(',')}]`;
  if (!isPlainObject(value)) return JSON.stringify(value);
  const { class_name, registered_name } = value;
  return serializedText(value, knownClass(class_name, registered_name)?.fields);
}

function floatText(value: number): string {
  const text = Object.is(value, -0) ? '-0' : JSON.stringify(value);
  return /^-?\d+$/.test(text) ? `${text}.0` : text;
}
