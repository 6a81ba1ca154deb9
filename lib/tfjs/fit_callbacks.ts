import type { Callback } from '../callbacks/callback.ts';
import { describe, typeError } from '../errors.ts';
import { Fit, has } from './fit.ts';
import { checkModel, optimizerOf, paramsOf, type FitModel } from './fit_model.ts';

/** Results by TensorFlow.js's names. */
export type FitLogs = Record<string, number>;
/** Hooks as `model.fit` of TensorFlow.js takes them. */
export interface FitHooks {
  /** Before the training. */
  readonly onTrainBegin?: (logs?: FitLogs) => void | Promise<void>;
  /** After it. */
  readonly onTrainEnd?: (logs?: FitLogs) => void | Promise<void>;
  /** Before an epoch; the first is 0. */
  readonly onEpochBegin?: (epoch: number, logs?: FitLogs) => void | Promise<void>;
  /** After an epoch and its validation. */
  readonly onEpochEnd?: (epoch: number, logs?: FitLogs) => void | Promise<void>;
  /** Before a batch. */
  readonly onBatchBegin?: (batch: number, logs?: FitLogs) => void | Promise<void>;
  /** After a batch. */
  readonly onBatchEnd?: (batch: number, logs?: FitLogs) => void | Promise<void>;
  /** When the event loop is let in. */
  readonly onYield?: (epoch: number, batch: number, logs: FitLogs) => void | Promise<void>;
}
/** A callback object of TensorFlow.js, such as what `tf.callbacks.earlyStopping` makes. */
export interface TensorFlowCallback {
  /** Told what the loop says of itself. */
  setParams(params: never): void;
  /** Told the model. */
  setModel(model: never): void;
}
/** One in the form of Keras, one of TensorFlow.js, or hooks. */
export type FitCallback = Callback | TensorFlowCallback | FitHooks;

const names = ['onTrainBegin', 'onTrainEnd', 'onEpochBegin', 'onEpochEnd', 'onBatchBegin', 'onBatchEnd'] as const;
type Hooks = Record<string, unknown>;
const isFunction = (value: unknown): value is (...args: unknown[]) => unknown => typeof value === 'function';

/**
 * Has `model.fit` and `model.fitDataset` of TensorFlow.js call callbacks in the form of Keras: those of keras-optimizers/callbacks and
 * your own heirs of `Callback`, among others of TensorFlow.js, in any order. They see Keras's params, with `steps`, and logs: numbers;
 * for a batch the means of the epoch so far. `this.model.optimizer` is the optimizer of this package (its variables are those of the
 * model), and `this.model.stop_training = true` ends the training. What a hook writes into the variables is in the model when it
 * returns. `on_test_begin` and `on_test_end` are called around the validation of an epoch, which `fit` does before the end of the last
 * batch; hooks of its batches are not called.
 *
 * @param model compiled with an optimizer of `optimizers(tf)`
 * @param callbacks one or a list
 * @returns for the `callbacks` of `fit`, alone, as often as you like
 * @throws TypeError `ERR_OPT_CONFIG_TYPE` for anything else; what `set_model` of a callback throws
 *
 * @example
 * const callbacks = fitCallbacks(model, [new ReduceLROnPlateau({ patience: 3 }), tf.callbacks.earlyStopping({ patience: 9 })]);
 * await model.fit(x, y, { epochs: 50, validationSplit: 0.1, callbacks });
 */
export function fitCallbacks(model: FitModel, callbacks: FitCallback | readonly FitCallback[]): FitHooks[] {
  const fit = new Fit(checkModel(model));
  optimizerOf(fit.inner);
  const list = (Array.isArray(callbacks) ? callbacks : [callbacks]) as readonly unknown[];
  const hooks = list.map((callback, i) => hooksOf(fit, callback, i));
  for (const callback of fit.callbacks) callback.set_model(fit.model);
  return [beginning(fit), ...hooks, { onTrainEnd: () => fit.end() }];
}

/** Before all others. Results of batches are asked for, which takes time, only where somebody wants them. */
function beginning(fit: Fit): FitHooks {
  const endBatch = (_: number, logs: FitLogs = {}): void => fit.endBatch(logs);
  return {
    onTrainBegin: () => fit.begin(),
    onEpochBegin: () => fit.beginEpoch(),
    onEpochEnd: (_, logs = {}) => fit.endEpoch(logs),
    ...(fit.callbacks.some((callback) => has(callback, 'on_train_batch_end')) && { onBatchEnd: endBatch }),
  };
}

/** TensorFlow.js takes either objects of its own class, or hooks: so all become hooks. */
function hooksOf(fit: Fit, callback: unknown, i: number): FitHooks {
  if (typeof callback === 'object' && callback !== null) {
    const hooks = callback as Hooks;
    if (isFunction(hooks.set_model) && isFunction(hooks.on_epoch_end)) return hooksOfKeras(fit, callback as Callback);
    if (isFunction(hooks.setModel) && isFunction(hooks.setParams)) return hooksOfTensorFlow(fit, hooks);
    if (names.some((name) => isFunction(hooks[name])) || isFunction(hooks.onYield)) return watched(fit, hooks);
  }
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `fitCallbacks expects callbacks[${i}] to be a callback of Keras's form, one of TensorFlow.js, or an object with hooks such as onEpochEnd, got ${describe(callback)}`,
  );
}

function hooksOfKeras(fit: Fit, callback: Callback): FitHooks {
  fit.callbacks.push(callback);
  const call = (...args: Parameters<Fit['call']> extends [unknown, ...infer Rest] ? Rest : never) =>
    fit.run(() => fit.call(callback, ...args));
  return {
    onTrainBegin: () => call('on_train_begin'),
    onTrainEnd: () => call('on_train_end', fit.logs),
    onEpochBegin: (epoch) => call('on_epoch_begin', epoch),
    onEpochEnd: (epoch) => call('on_epoch_end', epoch, fit.logs),
    ...(has(callback, 'on_train_batch_begin') && { onBatchBegin: (batch) => call('on_train_batch_begin', batch) }),
    ...(has(callback, 'on_train_batch_end') && { onBatchEnd: (batch) => call('on_train_batch_end', batch, fit.logs) }),
  };
}

/** It is told of the model and the params when the training begins, as the loop does. */
function hooksOfTensorFlow(fit: Fit, callback: Hooks): FitHooks {
  const { onTrainBegin, ...hooks } = watched(fit, callback);
  const tell = callback as unknown as { setParams(params: unknown): void; setModel(model: unknown): void };
  return {
    ...hooks,
    onTrainBegin: (logs) => {
      tell.setParams(fit.inner.history?.params ?? paramsOf(fit.inner));
      tell.setModel(fit.inner);
      return onTrainBegin?.(logs);
    },
  };
}

/** The hooks that there are, called on their object. */
function watched(fit: Fit, callback: Hooks): FitHooks {
  const hook = (name: string) => {
    const found = callback[name];
    return isFunction(found) ? [[name, (...args: unknown[]) => fit.run(() => found.apply(callback, args))]] : [];
  };
  const others = ['nowFunc', 'nextFrameFunc'].flatMap((name) => (name in callback ? [[name, callback[name]]] : []));
  return Object.fromEntries([...[...names, 'onYield'].flatMap(hook), ...others]) as FitHooks;
}
