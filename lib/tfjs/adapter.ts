// A tf.Optimizer whose steps are those of an optimizer of this package. The class is made for the caller's TensorFlow.js, whose
// tf.Optimizer it extends. Over 200 lines: the whole face of it, most of it doc comments; how numbers come and go is in hosts/.
import type { NamedTensorMap, Optimizer as TensorFlowOptimizer, Scalar } from '@tensorflow/tfjs-core';

import { describe, rangeError, stateError, typeError } from '../errors.ts';
import { Optimizer } from '../optimizer.ts';
import type { LearningRate } from '../optimizers/common.ts';
import type { Variable } from '../variable.ts';
import { hostOf, type Host, type Hosts } from './hosts/index.ts';
import { toTensorFlow } from './config.ts';
import type { NamedTensor, Tensor, TensorFlow, TensorVariable } from './tensorflow.ts';

/** A `tf.Optimizer` of this package. */
export interface TfOptimizer<K extends Optimizer = Optimizer> extends TensorFlowOptimizer {
  /** The optimizer that does the steps. Its variables have the paths that TensorFlow.js gives to its own. */
  readonly keras: K;
  /** The learning rate of the next update; may be set to a number, a schedule or a function, as that of `keras`. */
  get learningRate(): number;
  /** Replaces a number by anything, a schedule or a function by another one. */
  set learningRate(value: LearningRate);
  /** As the property; the name that `tf.train.sgd` has for it. */
  setLearningRate(value: LearningRate): void;
  /**
   * Calls of `applyGradients`: with gradient accumulation more than there were updates. A `LossScaleOptimizer` counts none that it
   * leaves out.
   */
  readonly iterations: number;
  /**
   * Allocates the state for these variables, in this order. Without it the first `applyGradients` does so for the variables that it
   * gets gradients for.
   */
  build(variables: readonly TensorVariable[]): void;
  /**
   * Keeps the weight decay away from some variables: those of `varList`, and those in whose name one of the regular expressions
   * `varNames` is found. Replaces what was excluded before.
   */
  excludeFromWeightDecay(options: Excluded): void;
  /** With `use_ema`, puts the averages into the variables, for good. */
  finalizeVariableValues(): void;
  /** With `use_ema`, exchanges variables and averages; once more to have them back. */
  swapEmaWeights(): void;
  /** Runs what works on the variables of `keras`; TensorFlow.js sees what it writes there, if it is asynchronous at its end. */
  during<R>(part: () => R): R;
}

/** What the weight decay leaves out. */
export interface Excluded {
  /** These variables. */
  readonly varList?: readonly TensorVariable[];
  /** Those in whose name one of these regular expressions is found. */
  readonly varNames?: readonly string[];
}

const ours = new WeakSet<object>();

/** An optimizer that `optimizers(tf)` made; undefined for anything else. */
export const tfOptimizerOf = (value: unknown): TfOptimizer | undefined =>
  typeof value === 'object' && value !== null && ours.has(value) ? (value as TfOptimizer) : undefined;

/** The optimizer that counts the steps: one with a dynamic loss scale has the one inside do it. */
const counting = (keras: Optimizer): Optimizer =>
  'inner_optimizer' in keras ? counting(keras.inner_optimizer as Optimizer) : keras;

/** A value of the state, as setWeights got it. */
interface Saved {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** What is trained: TensorFlow.js's variable, and the one that stands for it. */
interface Trained {
  readonly shown: TensorVariable;
  readonly variable: Variable;
}

/** Made concrete: it has all that TensorFlow.js's abstract class asks for. */
export interface TfAdapter extends TfOptimizer {
  applyGradients(variableGradients: NamedTensorMap | NamedTensor[]): void;
  getConfig(): ReturnType<TensorFlowOptimizer['getConfig']>;
}
type AdapterClass = new (keras: Optimizer) => TfAdapter;

/** The class that all optimizers for a TensorFlow.js extend. */
export function adapterFor(tf: TensorFlow): AdapterClass {
  const hosts: Hosts = new Map();

  class Adapter extends tf.Optimizer implements TfOptimizer {
    readonly keras: Optimizer;
    readonly #who: string; // for errors
    #host: Host | undefined;
    #trained = new Map<string, Trained>(); // by the names of TensorFlow.js's variables, in the order of the state
    #pending: readonly Saved[] | undefined; // state that waits for the variables
    #given: readonly Tensor[] = []; // what getWeights gave away

    constructor(keras: Optimizer) {
      super();
      this.keras = keras;
      this.#who = this.getClassName();
      ours.add(this);
    }

    get learningRate(): number {
      return this.keras.learning_rate;
    }
    set learningRate(value: LearningRate) {
      this.keras.learning_rate = value;
    }

    setLearningRate(value: LearningRate): void {
      this.keras.learning_rate = value;
    }

    override get iterations(): number {
      return Optimizer.runnerOf(counting(this.keras)).counter;
    }

    /** Counts a step that did not happen. */
    protected override incrementIterations(): void {
      Optimizer.runnerOf(counting(this.keras)).counter++;
    }

    /**
     * The loss and its gradients. Where there is a loss scale, the gradients are those of the scaled loss, which `applyGradients`
     * expects; the loss is the one that `f` returned.
     */
    override computeGradients(f: () => Scalar, varList?: TensorVariable[]): { value: Scalar; grads: NamedTensorMap } {
      if (this.#pending && counting(this.keras) !== this.keras) this.#restoreScale(f, varList);
      const scale = this.keras.scale_loss(1);
      if (scale === 1) return super.computeGradients(f, varList);
      let value: Scalar | undefined;
      try {
        const { value: scaled, grads } = super.computeGradients(() => {
          const loss = f();
          value = tf.keep(loss.clone());
          return tf.mul<Scalar>(loss, scale);
        }, varList);
        scaled.dispose();
        return { value: value as unknown as Scalar, grads };
      } catch (error) {
        value?.dispose();
        throw error;
      }
    }

    /** The scale is in the state that waits for the variables: they are found out before the loss is scaled. */
    #restoreScale(f: () => Scalar, varList?: TensorVariable[]): void {
      if (varList) return this.build(varList);
      const { value, grads } = super.computeGradients(f);
      const variables = this.#checked(grads).map(([variable]) => variable);
      tf.dispose([value, ...Object.values(grads)]);
      this.build(variables);
    }

    /**
     * One step, whole or not at all.
     *
     * @param variableGradients by the names of the variables, which the first call, or `build`, decides; null or nothing where there
     *   is no gradient
     * @throws as `apply` of the optimizer; Error `ERR_OPT_UNKNOWN_VARIABLE` for a variable that TensorFlow.js does not have, or
     *   that was not there at the first call; TypeError `ERR_OPT_ARRAY_TYPE` for one, or a gradient, that is not float32, and for
     *   anything but gradients by name; Error `ERR_OPT_DISPOSED` for a gradient that has been disposed of
     */
    applyGradients(variableGradients: NamedTensorMap | NamedTensor[]): void {
      const pairs = this.#checked(variableGradients);
      this.build(pairs.map(([variable]) => variable));
      const trained = pairs.map(([{ name }]) => this.#trainedNamed(name));
      const host = this.#take();
      const gradients = pairs.map(([, gradient]) => (gradient ? host.gradient(gradient) : null));
      this.keras.apply(
        gradients,
        trained.map(({ variable }) => variable),
      );
      this.#give(host);
    }

    build(variables: readonly TensorVariable[]): void {
      if (this.#trained.size === 0 && variables.length > 0) this.#build(variables);
      if (this.#pending && this.#trained.size > 0) this.#restore(this.#pending);
      if (this.#trained.size > 0) this.#pending = undefined;
    }

    #build(variables: readonly TensorVariable[]): void {
      const host = hostOf(tf, hosts);
      const trained = variables.map((shown): Trained => {
        const variable = host.variable(checkVariable(this.#who, shown));
        host.take(shown, variable);
        return { shown, variable };
      });
      this.keras.build(trained.map(({ variable }) => variable));
      this.#host = host;
      this.#trained = new Map(trained.map((one) => [one.shown.name, one]));
    }

    excludeFromWeightDecay({ varList = [], varNames = [] }: Excluded): void {
      const exact = varList.map(({ name }) => `^${name.replace(/[^\w/]/g, '\\$&')}$`);
      this.keras.exclude_from_weight_decay({ var_names: [...varNames, ...exact] });
    }

    finalizeVariableValues(): void {
      this.during(() => this.keras.finalize_variable_values());
    }

    swapEmaWeights(): void {
      this.during(() => this.keras.swap_ema_weights());
    }

    during<R>(part: () => R): R {
      const host = this.#take();
      try {
        const result = part();
        return result instanceof Promise ? (result.finally(() => this.#give(host)) as R) : result;
      } finally {
        this.#give(host);
      }
    }

    /** Takes over what TensorFlow.js has in the variables. */
    #take(): Host {
      const host = (this.#host = hostOf(tf, hosts, this.#host)); // where TensorFlow.js will look for the values now
      for (const { shown, variable } of this.#there()) host.take(shown, variable);
      return host;
    }

    #give(host: Host): void {
      for (const { shown, variable } of this.#there()) host.give(variable, shown);
    }

    /** Those that TensorFlow.js still has: of two models that share the optimizer one may be gone. */
    #there(): readonly Trained[] {
      return [...this.#trained.values()].filter(({ shown }) => !shown.isDisposed);
    }

    #checked(given: NamedTensorMap | NamedTensor[]): readonly (readonly [TensorVariable, Tensor | null | undefined])[] {
      if (typeof given !== 'object' || (given as object | null) === null)
        throw typeError(
          'ERR_OPT_ARRAY_TYPE',
          `${this.#who}.applyGradients expects tensors by the names of their variables, or a list of { name, tensor }, got ${describe(given)}`,
        );
      const entries = Array.isArray(given)
        ? (given as (NamedTensor | null)[]).map((one) => [String(one?.name), one?.tensor] as const)
        : Object.entries(given);
      return entries.map(([name, gradient]) => {
        const variable = checkVariable(this.#who, tf.engine().registeredVariables[name], name);
        if (gradient) checkGradient(this.#who, variable, gradient);
        return [variable, gradient];
      });
    }

    #trainedNamed(name: string): Trained {
      const trained = this.#trained.get(name);
      if (trained?.shown === tf.engine().registeredVariables[name] && trained) return trained;
      throw stateError(
        'ERR_OPT_UNKNOWN_VARIABLE',
        `${this.#who} expects the variables of its first step (${[...this.#trained.keys()].join(', ')}), got "${name}": call build with all variables before, or make an optimizer for these`,
      );
    }

    #iter(): NamedTensor {
      return { name: 'iter', tensor: tf.scalar(this.iterations, 'int32') };
    }

    /** The first one of `getWeights`; the tensor is the caller's. */
    override saveIterations(): Promise<NamedTensor> {
      return Promise.resolve(this.#iter());
    }

    /** Whether `getWeights` gives a variable of the optimizer: not the counter, and not the rate, which is in the config. */
    #isSaved(variable: Variable, i: number): boolean {
      return i > 0 && variable.name !== 'learning_rate';
    }

    /**
     * The state: `iter`, the calls of `applyGradients`, then the variables of the optimizer in Keras's order, which belong to those of
     * the model by their place. The tensors are valid until the next call, or `dispose`.
     */
    override async getWeights(): Promise<NamedTensor[]> {
      tf.dispose([...this.#given]);
      const host = this.#host;
      const iter = this.#iter();
      const state = this.#pending
        ? this.#pending.map(({ name, shape, values }) => ({
            name,
            tensor: tf.tensor(Float32Array.from(values), [...shape]),
          }))
        : host &&
          this.keras.variables
            .filter(this.#isSaved)
            .map((variable) => ({ name: variable.path, tensor: host.tensorOf(variable) }));
      const weights = withUniqueNames([iter, ...(state ?? [])]);
      this.#given = weights.map(({ tensor }) => tensor);
      return Promise.resolve(weights);
    }

    /**
     * Takes what `getWeights` gave, of an optimizer of the same class and options for variables of the same shapes in the same
     * order. Before the first step it is kept for it.
     *
     * @throws (rejects; before `build` the first step throws) RangeError `ERR_OPT_LENGTH` for another number of tensors or
     *   other shapes
     */
    override async setWeights(weightValues: NamedTensor[]): Promise<void> {
      const read = async ({ name, tensor }: NamedTensor): Promise<Saved> => ({
        name,
        shape: tensor.shape,
        values: Float32Array.from(await tensor.data()),
      });
      const [iter, ...saved] = await Promise.all(weightValues.map(read));
      const count = Number(iter?.values[0] ?? NaN);
      if (!Number.isSafeInteger(count) || count < 0)
        throw rangeError(
          'ERR_OPT_CONFIG_RANGE',
          `${this.#who}.setWeights expects the number of iterations first, got ${describe(iter?.values[0])}`,
        );
      if (this.#trained.size > 0) this.#restore(saved);
      this.#pending = this.#trained.size === 0 && saved.length > 0 ? saved : undefined;
      Optimizer.runnerOf(counting(this.keras)).counter = count;
    }

    #restore(saved: readonly Saved[]): void {
      const { variables } = this.keras;
      const state = variables.filter(this.#isSaved);
      const who = `${this.#who}.setWeights`;
      if (state.length !== saved.length)
        throw rangeError(
          'ERR_OPT_LENGTH',
          `${who} expects ${state.length} tensors after iter, got ${saved.length}: make it with the same options, and if other variables were trained before, call build with those, in their order, first`,
        );
      const values = new Map(
        state.map((variable, i) => {
          const { shape, values } = saved[i] as Saved;
          if (variable.shape.join() === shape.join()) return [variable, values];
          const [expected, got] = [variable.shape.join(), shape.join()];
          throw rangeError(
            'ERR_OPT_LENGTH',
            `${who} expects "${variable.path}" to be of shape [${expected}], got [${got}]`,
          );
        }),
      );
      this.keras.set_weights(variables.map((variable) => values.get(variable) ?? variable));
    }

    /** The options with TensorFlow.js's names, in a form that `model.save` and `tf.loadLayersModel` keep. */
    getConfig(): ReturnType<TensorFlowOptimizer['getConfig']> {
      return toTensorFlow(this.keras.get_config()) as ReturnType<TensorFlowOptimizer['getConfig']>;
    }

    /** Frees the state. The variables keep their values. */
    override dispose(): void {
      tf.dispose([...this.#given]);
      this.#given = [];
      this.#pending = undefined;
      this.keras.dispose();
    }
  }
  return Adapter;
}

/** TensorFlow.js loads weights by their names, of which Adafactor has equal ones. */
function withUniqueNames(weights: readonly NamedTensor[]): NamedTensor[] {
  const seen = new Set<string>();
  return weights.map(({ name, tensor }) => {
    let unique = name;
    while (seen.has(unique)) unique += '_';
    seen.add(unique);
    return { name: unique, tensor };
  });
}

function checkVariable(who: string, variable: TensorVariable | undefined, name?: string): TensorVariable {
  if (variable === undefined || variable.isDisposed)
    throw stateError(
      'ERR_OPT_UNKNOWN_VARIABLE',
      `${who} expects names of variables that TensorFlow.js has, got ${describe(name ?? variable?.name)}`,
    );
  if (variable.dtype === 'float32') return variable;
  throw typeError('ERR_OPT_ARRAY_TYPE', `${who} expects variables of float32, "${variable.name}" is ${variable.dtype}`);
}

function checkGradient(who: string, { name, shape }: TensorVariable, gradient: Tensor): void {
  if (gradient.isDisposed)
    throw stateError('ERR_OPT_DISPOSED', `${who} expects gradients, that of "${name}" has been disposed of`);
  if (gradient.dtype !== 'float32')
    throw typeError(
      'ERR_OPT_ARRAY_TYPE',
      `${who} expects gradients of float32, that of "${name}" is ${gradient.dtype}`,
    );
  if (gradient.shape.join() !== shape.join())
    throw rangeError(
      'ERR_OPT_LENGTH',
      `${who} expects the gradient of "${name}" to be of shape [${shape.join()}], got [${gradient.shape.join()}]`,
    );
}
