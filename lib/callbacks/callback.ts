import { classNameOf, isConfigurable } from '../configurable.ts';
import { describe, stateError, typeError } from '../errors.ts';
import type { Optimizer } from '../optimizer.ts';

/** What a callback is given to work on: anything that has an optimizer. */
export interface Model {
  /** What it is trained with. */
  readonly optimizer: Optimizer;
  /** Set to true, it asks a loop that looks at it to end; `model.fit` of TensorFlow.js does. */
  stop_training?: boolean;
}
/** Results of a batch or an epoch by their names, such as `loss` and `val_loss`; null stands for a missing one. */
export type Logs = Record<string, number | null | undefined>;
/** What a training loop says of itself; `epochs` is how many there will be. */
export interface Params {
  /** How many there will be. */
  readonly epochs?: number;
  readonly [name: string]: unknown;
}
/** An optimizer by its class and name, for messages. */
export const titleOf = (optimizer: Optimizer): string => `${classNameOf(optimizer.constructor)} "${optimizer.name}"`;

/** The arguments of most hooks. */
export type OfAll = [logs?: Logs | null];
/** The arguments of the hooks of a batch. */
export type OfBatch = [batch: number, logs?: Logs | null];
/** The arguments of the hooks of an epoch. */
export type OfEpoch = [epoch: number, logs?: Logs | null];

/**
 * The base of all callbacks: every hook, doing nothing. A training loop calls the hooks at their moments; extend the class and
 * override those that you want. Source: keras/src/callbacks/callback.py.
 *
 * @example
 * class Losses extends Callback {
 *   losses = [];
 *   on_epoch_end(epoch, logs) {
 *     this.losses.push(logs.loss);
 *   }
 * }
 */
export class Callback {
  /** What `set_params` was given last; null before. */
  params: Params | null = null;
  #model: Model | null = null;

  /** What `set_model` was given last; null before. */
  get model(): Model | null {
    return this.#model;
  }

  /**
   * Says what to work on. Call it before the first hook.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` if it has no optimizer of this package, or one that the callback cannot work on
   */
  set_model(model: Model): void {
    this.#checked(model);
    this.#model = model;
  }

  /**
   * Says what the loop knows of itself.
   *
   * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything but an object or null
   */
  set_params(params: Params | null): void {
    if (typeof params !== 'object')
      throw typeError('ERR_OPT_CONFIG_TYPE', `${this.who} expects params to be an object, got ${describe(params)}`);
    this.params = params;
  }

  /** Before the first epoch. */
  on_train_begin(..._: OfAll): void {}
  /** After the last epoch. */
  on_train_end(..._: OfAll): void {}
  /** Before an epoch; the first one is 0. */
  on_epoch_begin(..._: OfEpoch): void {}
  /** After an epoch and its validation; `logs` are its results, to which callbacks add `learning_rate`. */
  on_epoch_end(..._: OfEpoch): void {}
  /** Before an evaluation or a validation. */
  on_test_begin(..._: OfAll): void {}
  /** After an evaluation or a validation. */
  on_test_end(..._: OfAll): void {}
  /** Before a prediction. */
  on_predict_begin(..._: OfAll): void {}
  /** After a prediction. */
  on_predict_end(..._: OfAll): void {}
  /** Before a batch of an epoch. Calls `on_batch_begin`. */
  on_train_batch_begin(...batch: OfBatch): void {
    this.on_batch_begin(...batch);
  }
  /** After a batch of an epoch. Calls `on_batch_end`. */
  on_train_batch_end(...batch: OfBatch): void {
    this.on_batch_end(...batch);
  }
  /** Keras's older name of `on_train_batch_begin`. */
  on_batch_begin(..._: OfBatch): void {}
  /** Keras's older name of `on_train_batch_end`. */
  on_batch_end(..._: OfBatch): void {}
  /** Before a batch of an evaluation. */
  on_test_batch_begin(..._: OfBatch): void {}
  /** After a batch of an evaluation. */
  on_test_batch_end(..._: OfBatch): void {}
  /** Before a batch of a prediction. */
  on_predict_batch_begin(..._: OfBatch): void {}
  /** After a batch of a prediction. */
  on_predict_batch_end(..._: OfBatch): void {}

  /** The name of its class, for messages. */
  protected get who(): string {
    return classNameOf(this.constructor);
  }

  /**
   * The optimizer to work on, as the model has it now.
   *
   * @throws Error `ERR_OPT_NO_MODEL` before `set_model`; TypeError `ERR_OPT_CONFIG_TYPE` as `set_model`
   */
  protected get optimizer(): Optimizer {
    if (this.#model !== null) return this.#checked(this.#model);
    throw stateError(
      'ERR_OPT_NO_MODEL',
      `${this.who} expects set_model({ optimizer }) before its hooks, got no call of it`,
    );
  }

  /** Throws unless the callback can work on this optimizer. Subclasses say what they need. */
  protected check_optimizer(_optimizer: Optimizer): void {}

  #checked(model: unknown): Optimizer {
    const optimizer: unknown =
      typeof model === 'object' && model !== null ? (model as Partial<Model>).optimizer : model;
    if (typeof optimizer !== 'object' || !isConfigurable(optimizer))
      throw typeError(
        'ERR_OPT_CONFIG_TYPE',
        `${this.who} expects set_model({ optimizer }) with an optimizer of this package, got ${describe(optimizer)}`,
      );
    this.check_optimizer(optimizer as Optimizer);
    return optimizer as Optimizer;
  }
}
