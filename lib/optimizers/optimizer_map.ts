import {
  classNameOf,
  isPlainObject,
  markConfigurable,
  ownEntries,
  readOptions,
  type Config,
  type Field,
} from '../configurable.ts';
import { describe, rangeError, typeError } from '../errors.ts';
import { Optimizer } from '../optimizer.ts';
import { deserialize, serialize, type CustomObjects } from '../serialization.ts';
import { Wrapping } from '../wrapping.ts';

const isMember = (x: unknown): x is Optimizer => Optimizer.is(x) && !(Optimizer.runnerOf(x) instanceof Wrapping);
export const memberExpected = 'an optimizer of this package, and none that wraps others';

/** Optimizers by the path of a variable, or a regular expression for paths. */
export type OptimizersByPath = Readonly<Record<string, Optimizer>> | ReadonlyMap<string, Optimizer>;
const fields = {
  default_optimizer: {
    required: true,
    default: undefined as never, // it is required
    expects: memberExpected,
    is: (x) => Optimizer.is(x),
    allows: isMember,
  } as Field<Optimizer, true>,
  optimizer_map: {
    required: false,
    default: null,
    expects: 'an object or a Map of optimizers by path or pattern, or null',
    is: (x) => x === null || x instanceof Map || isPlainObject(x),
    allows: () => true,
  } as Field<OptimizersByPath | null, false>,
};

/** What an `OptimizerMap` is made of. */
export interface OptimizerMapOptions {
  /** Of the variables that nothing else is said of. */
  readonly default_optimizer: Optimizer;
  /** Optimizers by the path of a variable or a regular expression. */
  readonly optimizer_map?: OptimizersByPath | null | undefined;
}

/**
 * Which optimizer trains which variable, for a `MultiOptimizer`: by its path, else by the one regular expression that fits the whole
 * path (`"encoder/.*"`; `"encoder"` alone fits a variable of exactly that path), else the default.
 * Source: keras/src/optimizers/multi_optimizer.py.
 *
 * @example new OptimizerMap({ default_optimizer: new SGD(), optimizer_map: { 'encoder/.*': new Adam() } })
 */
export class OptimizerMap {
  /** What messages and configs call it, whatever a minifier makes of its name. */
  static readonly className: string = 'OptimizerMap';
  /** Of the variables that nothing else is said of. */
  readonly default_optimizer: Optimizer;
  readonly #map = new Map<string, Optimizer>();
  readonly #who: string;

  /**
   * @param args one object: `default_optimizer`, and `optimizer_map`, an object or a Map
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` for anything but optimizers, which may not wrap others
   */
  constructor(...args: [options: OptimizerMapOptions]) {
    this.#who = classNameOf(new.target);
    const { default_optimizer, optimizer_map } = readOptions(this.#who, fields, args);
    this.default_optimizer = default_optimizer;
    const entries = optimizer_map instanceof Map ? [...optimizer_map] : ownEntries((optimizer_map ?? {}) as Config);
    for (const [key, optimizer] of entries) this.set(key as string, optimizer as Optimizer);
  }

  /**
   * The optimizer of a path: of the key that it is, else of the only pattern that fits all of it, else the default one.
   *
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` if several patterns fit; TypeError `ERR_OPT_CONFIG_TYPE` for a path that is no string, or
   *   where a key is no regular expression
   */
  get(key: string): Optimizer {
    checkKey(this.#who, key);
    const exact = this.#map.get(key);
    if (exact !== undefined) return exact;
    const fitting = [...this.#map.keys()].filter((pattern) => fits(this.#who, pattern, key));
    if (fitting.length > 1)
      throw rangeError(
        'ERR_OPT_CONFIG_RANGE',
        `${this.#who} expects at most one pattern to fit ${describe(key)}, got ${fitting.map(describe).join(' and ')}`,
      );
    return this.#map.get(fitting[0] ?? '') ?? this.default_optimizer;
  }

  /**
   * Adds an optimizer for a path, or for all that a pattern fits. A `MultiOptimizer` looks when it is built.
   *
   * @throws RangeError `ERR_OPT_CONFIG_RANGE` for a key that is there, or an optimizer that wraps others; TypeError `ERR_OPT_CONFIG_TYPE`
   *   for a key that is no string, or anything but an optimizer
   */
  set(key: string, optimizer: Optimizer): this {
    checkKey(this.#who, key);
    if (this.#map.has(key))
      throw rangeError('ERR_OPT_CONFIG_RANGE', `${this.#who} expects each key once, got ${describe(key)} again`);
    this.#map.set(key, checkMember(`${this.#who}[${describe(key)}]`, optimizer));
    return this;
  }

  /** Whether there is this very key. */
  has(key: string): boolean {
    return this.#map.has(key);
  }
  /** Removes a key; says whether it was there. */
  delete(key: string): boolean {
    return this.#map.delete(key);
  }
  /** Number of keys. */
  get size(): number {
    return this.#map.size;
  }
  /** The keys in the order in which they were added. */
  keys(): MapIterator<string> {
    return this.#map.keys();
  }
  /** Their optimizers. */
  values(): MapIterator<Optimizer> {
    return this.#map.values();
  }
  /** Both. */
  entries(): MapIterator<[string, Optimizer]> {
    return this.#map.entries();
  }
  /** As `entries`. */
  [Symbol.iterator](): MapIterator<[string, Optimizer]> {
    return this.entries();
  }

  /** Its optimizers, serialized. */
  get_config(): Config {
    const optimizer_map = Object.fromEntries([...this].map(([key, optimizer]) => [key, serialize(optimizer)]));
    return { default_optimizer: serialize(this.default_optimizer), optimizer_map };
  }

  /**
   * From what `get_config` or Keras wrote.
   *
   * @throws TypeError, RangeError as the constructor and `deserialize`
   */
  static from_config(config: unknown, custom_objects?: CustomObjects): OptimizerMap {
    if (!isPlainObject(config))
      throw typeError(
        'ERR_OPT_CONFIG_TYPE',
        `${this.className}.from_config expects an object, got ${describe(config)}`,
      );
    const { default_optimizer, optimizer_map, ...rest } = Object.fromEntries(ownEntries(config));
    const revive = (form: unknown) => deserialize(form, custom_objects) as unknown as Optimizer;
    const entries = isPlainObject(optimizer_map) ? ownEntries(optimizer_map) : undefined;
    return new this({
      ...rest,
      default_optimizer: revive(default_optimizer),
      optimizer_map: entries
        ? new Map(entries.map(([key, form]) => [key, revive(form)]))
        : (optimizer_map as undefined),
    });
  }
}
markConfigurable(OptimizerMap.prototype);

function checkKey(who: string, key: unknown): void {
  if (typeof key !== 'string')
    throw typeError('ERR_OPT_CONFIG_TYPE', `${who} expects keys to be strings, got ${describe(key)}`);
}

/** As Python's re.fullmatch. */
function fits(who: string, pattern: string, path: string): boolean {
  try {
    return new RegExp(`^(?:${pattern})$`).test(path);
  } catch {
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects keys to be paths or regular expressions, got ${describe(pattern)}`,
    );
  }
}

/** An optimizer that may be one of several. */
export function checkMember(who: string, optimizer: unknown): Optimizer {
  const message = `${who} expects ${memberExpected}, got ${Optimizer.is(optimizer) ? classNameOf((optimizer as object).constructor) : describe(optimizer)}`;
  if (isMember(optimizer)) return optimizer;
  throw Optimizer.is(optimizer)
    ? rangeError('ERR_OPT_CONFIG_RANGE', message)
    : typeError('ERR_OPT_CONFIG_TYPE', message);
}
