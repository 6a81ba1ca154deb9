// The optimizers of this package as those of TensorFlow.js: a class for each, and a function like those of tf.train.
import * as keras from '../index.ts';
import { isPlainObject, type Config, type ConfigurableClass } from '../configurable.ts';
import { describe, typeError } from '../errors.ts';
import { Optimizer } from '../optimizer.ts';
import type { Tape } from '../pairs.ts';
import { adapterFor, type TfOptimizer } from './adapter.ts';
import { fromTensorFlow, fromText, toText } from './config.ts';
import { tapeOf, type TensorLoss } from './tape.ts';
import type { TensorFlow } from './tensorflow.ts';

const { SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam } = keras;
const { Ftrl, Lion, Lamb, Adafactor, Muon, ScheduleFreeAdamW } = keras;
const classes = {
  ...{ SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam },
  ...{ Ftrl, Lion, Lamb, Adafactor, Muon, ScheduleFreeAdamW },
};
/** Keras's classes. */
export type KerasClasses = typeof classes;
type Name = keyof KerasClasses;

const moments = ['learning_rate', 'beta_1', 'beta_2', 'epsilon'] as const;
/** The functions: what they make, and what their arguments in order are; TensorFlow.js's order where it has the function. */
const factories = {
  sgd: ['SGD', ['learning_rate']],
  momentum: ['SGD', ['learning_rate', 'momentum', 'nesterov']],
  rmsprop: ['RMSprop', ['learning_rate', 'rho', 'momentum', 'epsilon', 'centered']],
  adagrad: ['Adagrad', ['learning_rate', 'initial_accumulator_value']],
  adadelta: ['Adadelta', ['learning_rate', 'rho', 'epsilon']],
  adam: ['Adam', moments],
  adamW: ['AdamW', ['learning_rate', 'weight_decay', 'beta_1', 'beta_2', 'epsilon']],
  adamax: ['Adamax', [...moments, 'decay']],
  nadam: ['Nadam', moments],
  ftrl: ['Ftrl', ['learning_rate', 'learning_rate_power', 'initial_accumulator_value']],
  lion: ['Lion', ['learning_rate', 'beta_1', 'beta_2']],
  lamb: ['Lamb', moments],
  adafactor: ['Adafactor', ['learning_rate']],
  muon: ['Muon', ['learning_rate']],
  scheduleFreeAdamW: ['ScheduleFreeAdamW', ['learning_rate']],
} as const satisfies Record<string, readonly [Name, readonly string[]]>;
/** The functions: the class of each, and its arguments in TensorFlow.js's order. */
export type Factories = typeof factories;

/** The class of an optimizer for TensorFlow.js. */
export interface TfOptimizerClass<K extends Optimizer, O> {
  /** @param options with Keras's names */
  new (options?: O): TfOptimizer<K>;
  /** What TensorFlow.js registers it as: "Keras" and Keras's name, since some of these names are taken. */
  readonly className: string;
  /**
   * What `tf.loadLayersModel` calls.
   *
   * @param config of `getConfig`: names in camelCase, or Keras's
   */
  fromConfig(cls: unknown, config: object): TfOptimizer<K>;
}
/** The class for TensorFlow.js of a class of Keras's. */
export type TfClassOf<C> = C extends new (options?: infer O) => infer K
  ? K extends Optimizer
    ? TfOptimizerClass<K, O>
    : never
  : never;

/** Values of options by their order. */
export type Positional<C, P extends readonly string[]> = C extends new (options?: infer O) => unknown
  ? { [I in keyof P]?: NonNullable<O>[P[I] & keyof NonNullable<O>] }
  : never;
/** A function that makes an optimizer of one object with Keras's names, or of arguments in TensorFlow.js's order. */
export type TfFactoryOf<C, P extends readonly string[]> = C extends new (options?: infer O) => infer K
  ? K extends Optimizer
    ? { (options?: O): TfOptimizer<K>; (...args: Positional<C, P>): TfOptimizer<K> }
    : never
  : never;

/** What `optimizers(tf)` returns. */
export type Optimizers = { readonly [N in keyof KerasClasses]: TfClassOf<KerasClasses[N]> } & {
  readonly [F in keyof Factories]: TfFactoryOf<KerasClasses[Factories[F][0]], Factories[F][1]>;
} & {
  /**
   * Any optimizer of this package for TensorFlow.js: a `LossScaleOptimizer`, a `MultiOptimizer`, one of your own.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else, or one that is built
   */
  readonly wrap: <K extends Optimizer>(optimizer: K) => TfOptimizer<K>;
  /**
   * TensorFlow.js's differentiation for `minimize` and `compute_gradients` of an optimizer on its own variables.
   *
   * @example adam.minimize((w, b) => x.matMul(w).add(b).sub(y).square().mean(), [w, b], tape);
   */
  readonly tape: Tape<TensorLoss>;
};

const made = new WeakMap<object, Optimizers>(); // by tf.Optimizer

/**
 * The optimizers for your TensorFlow.js. It also registers them, so that `tf.loadLayersModel` knows them: call it before.
 *
 * @param tf what you import as TensorFlow.js; called again with the same one, it returns the same classes
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else
 * @example
 * import * as tf from '@tensorflow/tfjs';
 * import { optimizers } from 'keras-optimizers/tfjs';
 *
 * const { nadam } = optimizers(tf);
 * model.compile({ optimizer: nadam({ learning_rate: 0.002, clipnorm: 1 }), loss: 'meanSquaredError' });
 */
export function optimizers(tf: TensorFlow): Optimizers {
  const base: unknown = (tf as Partial<TensorFlow> | null | undefined)?.Optimizer;
  if (typeof base !== 'function')
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `optimizers expects TensorFlow.js, as in import * as tf from '@tensorflow/tfjs', got ${describe(tf)}`,
    );
  const all = made.get(base) ?? make(tf);
  made.set(base, all);
  return all;
}

type AnyClass = (new (options?: unknown) => TfOptimizer) & { readonly className: string };

function make(tf: TensorFlow): Optimizers {
  const Adapter = adapterFor(tf);

  const classFor = (name: Name): AnyClass => {
    const Keras = classes[name] as unknown as ConfigurableClass & (new (options?: unknown) => Optimizer);
    class Made extends Adapter {
      static readonly className: string = `Keras${name}`;
      constructor(options?: unknown) {
        super((options instanceof Keras ? options : new Keras(options)) as Optimizer);
      }
      static fromConfig(cls: new (keras: unknown) => Made, config: Config): Made {
        return new cls(Keras.from_config(fromTensorFlow(config, Keras)));
      }
    }
    register(tf, Made, name);
    return Made;
  };

  class Wrapped extends Adapter {
    static readonly className: string = 'KerasOptimizer';
    override getConfig() {
      return { optimizer: toText(this.keras) };
    }
    static fromConfig(cls: new (keras: unknown) => Wrapped, { optimizer }: Config): Wrapped {
      return new cls(checkUnbuilt(fromText(String(optimizer))));
    }
  }
  register(tf, Wrapped);

  const made = Object.fromEntries(Object.keys(classes).map((name) => [name, classFor(name as Name)]));
  const wrap = (optimizer: unknown) => {
    const keras = checkUnbuilt(optimizer);
    const known = Object.entries(classes).find(([, cls]) => cls === keras.constructor)?.[0];
    return known === undefined ? new Wrapped(keras) : new (made[known] as AnyClass)(keras);
  };
  const functions = Object.entries(factories).map(([name, [cls, names]]) => [
    name,
    (...args: unknown[]) => new (made[cls] as AnyClass)(optionsOf(name, names, args)),
  ]);
  return { ...made, ...(Object.fromEntries(functions) as object), wrap, tape: tapeOf(tf) } as unknown as Optimizers;
}

/** Registers a class, also under Keras's name where TensorFlow.js does not have that: models that Python saved have it. */
function register(tf: TensorFlow, cls: unknown, name?: Name): void {
  const registered = tf.serialization.registerClass(cls as Parameters<typeof tf.serialization.registerClass>[0]);
  const { classNameMap } = tf.serialization.SerializationMap.getMap();
  if (name !== undefined) classNameMap[name] ??= [registered, registered.fromConfig];
}

/** One object as it is, or what the arguments in order are; null is a default, as for TensorFlow.js. */
function optionsOf(who: string, names: readonly string[], args: readonly unknown[]): unknown {
  if (args.length === 0 || (args.length === 1 && isPlainObject(args[0]))) return args[0];
  if (args.length > names.length)
    throw typeError(
      'ERR_OPT_CONFIG_TYPE',
      `${who} expects ${names.join(', ')}, or one object of options, got ${args.length} arguments`,
    );
  return Object.fromEntries(args.map((value, i) => [names[i], value ?? undefined]));
}

function checkUnbuilt(optimizer: unknown): Optimizer {
  if (Optimizer.is(optimizer) && !optimizer.built) return optimizer;
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `wrap expects an optimizer of this package that is not built yet, got ${describe(optimizer)}`,
  );
}
