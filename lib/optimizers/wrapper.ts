// What the optimizers that wrap others share: their steps run in all of them (lib/wrapping.ts), their state is their own numbers
// and then the state of all.
import type { Field, Fields } from '../configurable.ts';
import type { Driver } from '../engine.ts';
import { Optimizer, runs } from '../optimizer.ts';
import { inspect, type InspectOptions } from '../platform.ts';
import type { Runner } from '../runner.ts';
import type { Variable } from '../variable.ts';
import { Wrapping, type Guard } from '../wrapping.ts';
import { common, type CommonFields } from './common.ts';

const shared = common(0);

/** An argument of every optimizer that means nothing here: its default, which old configs have, and nothing else. */
const fixed = (field: Field<unknown>, instead: string): Field<unknown, false> => ({
  ...field,
  required: false,
  expects: `left out: ${instead}`,
  is: (x) => field.is(x),
  allows: (x) => x === field.default,
  extension: true,
});

/** The common arguments of a wrapper, which has only a name; `instead`: where the others are given. */
export const unused = (instead: string): CommonFields =>
  Object.fromEntries(
    Object.entries(shared).map(([name, field]) => {
      if (name === 'name' || field.transient) return [name, field];
      if (name !== 'learning_rate') return [name, fixed(field, instead)];
      const refused = { ...fixed(field, instead), is: () => false, transient: true };
      return [name, refused];
    }),
  ) as unknown as CommonFields;

export abstract class Wrapper<F extends Fields> extends Optimizer<F> {
  // Keras gives every optimizer these two variables; a wrapper does nothing with the second.
  #rate = 0;

  protected override [runs](driver: Driver<F>): Runner {
    const wrapper = this.wrap();
    const remember = () => {
      const [rate, putBack] = [this.#rate, wrapper.remember()];
      return () => (putBack(), void (this.#rate = rate));
    };
    return new Wrapping({ ...driver, ...wrapper, remember });
  }

  /**
   * What its runner has to know. Called by the constructor, so that only what it returns may look at fields.
   *
   * @internal
   */
  protected abstract wrap(): {
    members(): readonly Optimizer[];
    memberFor(variable: Variable): Optimizer;
    remember(): () => void;
    readonly guard?: Guard;
  };

  /**
   * As in Keras: iteration and learning_rate of its own, of which the second is not used, what is its own otherwise, and all variables
   * of the optimizers that it wraps, one after the other.
   */
  override get variables(): Variable[] {
    const runner = Optimizer.runnerOf(this) as Wrapping;
    const iteration = runner.scalar(
      'iteration',
      'int64',
      () => runner.counter,
      (x) => (runner.counter = x),
    );
    const rate = runner.scalar(
      'learning_rate',
      'float32',
      () => this.#rate,
      (x) => (this.#rate = x),
    );
    return [iteration, rate, ...runner.tracked, ...runner.wrapped.flatMap(({ variables }) => variables)];
  }

  /** What `console.log` shows: its class, name, counter and optimizers. */
  override [inspect.custom](depth: number, options: InspectOptions): string {
    const who = (this.constructor as typeof Optimizer & { readonly className: string }).className;
    if (depth < 0) return `[${who}]`;
    const { name, iterations } = this;
    const { wrapped } = Optimizer.runnerOf(this) as Wrapping;
    return `${who} ${inspect({ name, iterations, optimizers: wrapped }, options)}`;
  }
}
