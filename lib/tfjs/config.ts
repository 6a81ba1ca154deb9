// Configs as TensorFlow.js keeps them: camelCase keys, which loading a model makes of any, and strings whose underscores it would
// drop. Keras's names come back by the fields of each class.
import { isPlainObject, type Config, type Configurable, type ConfigurableClass } from '../configurable.ts';
import { deserialize, knownClass, serialize } from '../serialization.ts';

/** As TensorFlow.js does it when it loads a model. */
export const camelCase = (name: string): string => name.replace(/_+(\w|$)/g, (_, next: string) => next.toUpperCase());

/** Loading a model makes "my_layer" to "myLayer", but for a `name`. */
const kept = (text: string): string => text.replace(/[%_]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);
const restored = (text: string): string =>
  text.replace(/%(25|5f)/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)));

/** An optimizer or a schedule as one string, in which nothing is lost. */
export const toText = (instance: Configurable): string => kept(JSON.stringify(serialize(instance)));
export const fromText = (text: string): Configurable => deserialize(JSON.parse(restored(text)));

/** A config of Keras's, in a form that survives `model.save` and `tf.loadLayersModel`. */
export function toTensorFlow(value: unknown, key?: string): unknown {
  if (typeof value === 'string') return key === 'name' ? value : kept(value);
  if (Array.isArray(value)) return value.map((element) => toTensorFlow(element, key));
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [camelCase(name), toTensorFlow(one, name)]));
}

/** The config of a class from what TensorFlow.js has kept; Keras's own names are taken as well. */
export function fromTensorFlow(config: Config, cls: ConfigurableClass | undefined): Config {
  const names = [...Object.keys(cls?.fields ?? {}), ...further];
  const named = (key: string) => names.find((name) => camelCase(name) === key) ?? key;
  const entries = Object.entries(config).filter(([key]) => key !== 'customObjects'); // which loading a model adds
  return Object.fromEntries(entries.map(([key, value]) => [named(key), revived(value, named(key))] as const));
}

/** Keys of a serialized object, which are no options. */
const further = ['class_name', 'registered_name'];

function revived(value: unknown, key: string): unknown {
  if (typeof value === 'string') return key === 'name' ? value : restored(value);
  if (Array.isArray(value)) return value.map((element) => revived(element, key));
  if (!isPlainObject(value)) return value;
  const object = fromTensorFlow(withoutConfig(value), undefined);
  const { config } = value;
  if (!Object.hasOwn(value, 'config')) return object;
  const cls = knownClass(object.class_name, object.registered_name);
  return { ...object, config: isPlainObject(config) ? fromTensorFlow(config, cls) : revived(config, 'config') };
}

const withoutConfig = ({ config: _, ...rest }: Config): Config => rest;
