// What the callbacks of one model.fit share: the model that they see, the results of its batches, and its validation.
import { Callback, type Logs, type Model } from '../callbacks/callback.ts';
import { LearningRateScheduler, ProgbarLogger, ReduceLROnPlateau, TensorBoard } from '../callbacks/index.ts';
import type { Optimizer } from '../optimizer.ts';
import { innerOf, optimizerOf, paramsOf, readLater, readNow, type Inner } from './fit_model.ts';

/** The hooks that training and validation call, by their newer names. */
export type HookName = `on_${'train' | 'epoch' | 'test'}_${'begin' | 'end'}` | `on_train_batch_${'begin' | 'end'}`;

/** Classes whose hooks leave the variables alone. */
const aside: readonly unknown[] = [LearningRateScheduler, ProgbarLogger, ReduceLROnPlateau, TensorBoard];

const older = { on_train_batch_begin: 'on_batch_begin', on_train_batch_end: 'on_batch_end' } as const;

/** Whether a callback does anything there. */
export function has(callback: Callback, name: HookName): boolean {
  const known = name in older ? older[name as keyof typeof older] : name;
  return callback[name] !== Callback.prototype[name] || callback[known] !== Callback.prototype[known];
}

export class Fit {
  /** In Keras's form, in their order. */
  readonly callbacks: Callback[] = [];
  /** The means of the epoch so far, as Keras has them, or of the whole epoch. */
  logs: Logs = {};
  readonly #model: Inner;
  #running = 0; // hooks
  #seen = 0; // samples of the epoch
  #totals = new Map<string, number>();

  constructor(model: Inner) {
    this.#model = model;
  }

  get inner(): Inner {
    return innerOf(this.#model);
  }

  /** What `set_model` gets. */
  readonly model: Model = this.#shown();

  #shown(): Model {
    // eslint-disable-next-line @typescript-eslint/no-this-alias -- the getters have a `this` of their own
    const fit = this;
    return {
      get optimizer(): Optimizer {
        return optimizerOf(fit.inner).keras;
      },
      get stop_training(): boolean {
        return Boolean(fit.inner.stopTraining); // undefined before the first training
      },
      set stop_training(stop: boolean) {
        fit.inner.stopTraining = stop;
      },
    };
  }

  /** The loop begins. */
  begin(): void {
    for (const callback of this.callbacks) {
      callback.set_params(paramsOf(this.inner));
      callback.set_model(this.model);
    }
    this.logs = {};
    if (this.callbacks.some((callback) => has(callback, 'on_test_begin') || has(callback, 'on_test_end')))
      this.#watch();
  }

  beginEpoch(): void {
    this.#seen = 0;
    this.#totals.clear();
  }

  /** TensorFlow.js gives the results of one batch. */
  endBatch({ batch: _, size = 1, ...results }: Record<string, number>): void {
    this.#seen += size;
    for (const [name, value] of Object.entries(results))
      this.#totals.set(name, (this.#totals.get(name) ?? 0) + size * value);
    this.logs = Object.fromEntries([...this.#totals].map(([name, total]) => [name, total / this.#seen]));
  }

  /** Puts the results in Keras's order, those of the validation last. */
  endEpoch(logs: Logs): void {
    for (const [name, value] of Object.entries(logs)) {
      if (!name.startsWith('val_')) continue;
      Reflect.deleteProperty(logs, name);
      logs[name] = value;
    }
    this.logs = logs;
  }

  /** Runs a hook, of whatever callback; an evaluation in it is no validation. */
  async run(hook: () => unknown): Promise<void> {
    this.#running++;
    try {
      await hook();
    } finally {
      this.#running--;
    }
  }

  /** Calls a hook where the callback has it; what it writes into variables is seen by TensorFlow.js. */
  call(callback: Callback, name: HookName, ...args: unknown[]): unknown {
    if (!has(callback, name)) return undefined;
    const hook = () => (callback[name] as (...args: unknown[]) => unknown)(...args);
    return aside.includes(callback.constructor) ? hook() : optimizerOf(this.inner).during(hook);
  }

  #callAll(name: HookName, ...args: unknown[]): void {
    this.#running++;
    try {
      for (const callback of this.callbacks) this.call(callback, name, ...args);
    } finally {
      this.#running--;
    }
  }

  /**
   * TensorFlow.js says nothing of the validation: its two ways to evaluate are covered, on this model, until the training ends. Should
   * that never come, because the loop threw, they no longer do anything, for another loop has another history.
   */
  #watch(): void {
    const model = this.inner;
    const { history } = model;
    const [test, testLater] = [model.testLoop.bind(model), model.evaluateDataset.bind(model)];
    const isValidation = () => this.#running === 0 && model.isTraining === true && model.history === history;
    model.testLoop = (...args) => (isValidation() ? this.#validate(() => test(...args)) : test(...args));
    model.evaluateDataset = (...args) =>
      isValidation() ? this.#validateLater(() => testLater(...args)) : testLater(...args);
  }

  /** The loop ends: uncovers the methods of the class. */
  end(): void {
    for (const name of ['testLoop', 'evaluateDataset']) Reflect.deleteProperty(this.inner, name);
  }

  #validate(evaluate: () => ReturnType<Inner['testLoop']>): ReturnType<Inner['testLoop']> {
    let logs: Logs | undefined;
    try {
      this.#callAll('on_test_begin');
      const results = evaluate();
      logs = readNow(this.inner, results);
      return results;
    } finally {
      this.#callAll('on_test_end', logs);
    }
  }

  async #validateLater(evaluate: Inner['evaluateDataset']): ReturnType<Inner['evaluateDataset']> {
    let logs: Logs | undefined;
    try {
      this.#callAll('on_test_begin');
      const results = await evaluate();
      logs = await readLater(this.inner, results);
      return results;
    } finally {
      this.#callAll('on_test_end', logs);
    }
  }
}
