import { finite, isPlainFunction, nullable, type Field } from '../configurable.ts';
import { stateError } from '../errors.ts';
import { Optimizer } from '../optimizer.ts';
import type { Variable } from '../variable.ts';
import { checkMember, OptimizerMap } from './optimizer_map.ts';
import { unused, Wrapper } from './wrapper.ts';

/** The optimizer of a variable. */
export type OptimizerSelector = (variable: Variable) => Optimizer;

const optimizerMap: Field<OptimizerMap | OptimizerSelector, true> = {
  required: true,
  default: undefined as never, // it is required
  expects: 'an OptimizerMap, or a function that gives the optimizer of a variable',
  is: (x) => x instanceof OptimizerMap || isPlainFunction(x),
  allows: () => true,
};
const { name, ...rest } = unused('set it on each of the optimizers');
const fields = { optimizer_map: optimizerMap, ...rest, loss_scale_factor: nullable(finite()), name };

/** What a `MultiOptimizer` is made of. */
export interface MultiOptions {
  /** Which optimizer trains which variable. */
  readonly optimizer_map: OptimizerMap | OptimizerSelector;
  /** Replaces that of every optimizer, also as null. */
  readonly loss_scale_factor?: number | null | undefined;
  /** Of the wrapper. */
  readonly name?: string | null | undefined;
}

export interface MultiOptimizer {
  /** Which optimizer trains which variable. */
  readonly optimizer_map: OptimizerMap | OptimizerSelector;
}

/**
 * Trains some variables with one optimizer and others with another: which, an `OptimizerMap` or a function says when it is built. A
 * step happens in all of them or, if one of them throws, in none. Clipping and all else is the matter of each: `global_clipnorm` is
 * about the variables of one optimizer. Its state is its own counter and then that of every optimizer: those of the map in their
 * order, then the default one, each once. Source: keras/src/optimizers/multi_optimizer.py.
 *
 * @example
 * const optimizer_map = new OptimizerMap({ default_optimizer: new SGD(), optimizer_map: { 'embedding/.*': new Adagrad() } });
 * const optimizer = new MultiOptimizer({ optimizer_map });
 */
export class MultiOptimizer extends Wrapper<typeof fields> {
  /** The descriptors of its options. */
  static override readonly fields = fields;
  /** What messages and configs call it, whatever a minifier makes of its name. */
  static readonly className: string = 'MultiOptimizer';
  readonly #optimizers: Optimizer[];

  /**
   * @param args one object of options
   * @throws TypeError `ERR_OPT_CONFIG_TYPE`, RangeError `ERR_OPT_CONFIG_RANGE` for other options; Error `ERR_OPT_DISPOSED`,
   *   `ERR_OPT_BUSY` for an optimizer that cannot step now
   */
  constructor(...args: [options: MultiOptions]) {
    super(...(args as unknown as []));
    const { optimizer_map: map } = this;
    const all = map instanceof OptimizerMap ? new Set([...map.values(), map.default_optimizer]) : [];
    this.#optimizers = [...all];
    for (const optimizer of all) Optimizer.runnerOf(optimizer).checkIdle('loss_scale_factor');
    for (const optimizer of all) Optimizer.setLossScale(optimizer, this.loss_scale_factor);
  }

  /** The optimizers; those that a function gives are there after `build`. */
  get optimizers(): readonly Optimizer[] {
    return [...this.#optimizers];
  }

  /**
   * Each optimizer has its own: `optimizers[0].learning_rate`.
   *
   * @throws Error `ERR_OPT_NOT_IMPLEMENTED`, when it is read or set
   */
  override get learning_rate(): never {
    throw this.#noRate();
  }
  override set learning_rate(_: never) {
    throw this.#noRate();
  }

  #noRate(): Error {
    return stateError(
      'ERR_OPT_NOT_IMPLEMENTED',
      'MultiOptimizer expects learning_rate to be read and set on each of its optimizers, got it on itself',
    );
  }

  protected override wrap() {
    return {
      members: () => this.#optimizers,
      memberFor: (variable: Variable) => this.#memberFor(variable),
      remember: () => () => {},
    };
  }

  #memberFor(variable: Variable): Optimizer {
    const { optimizer_map: map } = this;
    const found: unknown = map instanceof OptimizerMap ? map.get(variable.path) : map(variable);
    const optimizer = checkMember(`MultiOptimizer, for "${variable.path}",`, found);
    if (this.#optimizers.includes(optimizer)) return optimizer;
    Optimizer.runnerOf(optimizer).checkIdle('loss_scale_factor');
    Optimizer.setLossScale(optimizer, this.loss_scale_factor);
    this.#optimizers.push(optimizer);
    return optimizer;
  }
}
