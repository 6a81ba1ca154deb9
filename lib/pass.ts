// One rule over one list of variables: slots, scalars by name, gradients bound. And the program of a step: its passes,
// run in one native call.
import { stateError } from './errors.ts';
import {
  addon,
  dtypes,
  newPlan,
  ruleNamed,
  type Dtype,
  type Memory,
  type PassSpec,
  type Plan,
  type Source,
  type TensorSpec,
} from './native.ts';
import type { FloatArray } from './arrays.ts';
import { Variable } from './variable.ts';

/** What one tensor of a pass needs; `gradient` is the index of a gradient, or the variable that is read in its place. */
export interface Bound {
  readonly index: number;
  readonly variable: Variable;
  readonly gradient: number | Variable;
  readonly slots?: readonly Variable[];
  readonly decay?: boolean;
  /** Skipped in a step in which the gradient of this index is null. */
  readonly needs?: number | null;
}

/** The fields of a pass's control; a missing one is neutral. */
export interface Control {
  readonly unscale?: number;
  readonly clipnorm?: number;
  readonly global_clipnorm?: number;
  readonly limit?: number;
  readonly weight_decay?: number;
  readonly learning_rate?: number;
}
const neutral: Required<Control> & { readonly active: number } = {
  active: 1,
  unscale: 1,
  clipnorm: 0,
  global_clipnorm: 0,
  limit: Infinity,
  weight_decay: 0,
  learning_rate: 0,
};
const controls = addon.controls as readonly (keyof typeof neutral)[];

/** A rule over variables of one dtype. */
export class Pass {
  readonly dtype: Dtype;
  readonly rule: string;
  readonly bounds: readonly Bound[];
  readonly #scalars: readonly string[];
  #control: Float64Array = new Float64Array(0);

  constructor(rule: string, dtype: Dtype, bounds: readonly Bound[]) {
    this.rule = rule;
    this.dtype = dtype;
    this.bounds = bounds;
    this.#scalars = ruleNamed(rule).info.scalars;
  }

  /** Native code's view of it; `source` finds the place of a variable or a gradient. */
  spec(source: (place: number | Variable) => Source): PassSpec {
    const tensors = this.bounds.map(
      ({ index, variable, gradient, slots = [], decay = false, needs = null }): TensorSpec => {
        const sources = [variable, gradient, ...slots].map(source);
        return { variable: index, length: Variable.storageOf(variable).length, decay, needs, sources };
      },
    );
    return { rule: ruleNamed(this.rule).id, dtype: dtypes.indexOf(this.dtype), tensors };
  }

  /** The part of the program's control that is its own. */
  attach(control: Float64Array): void {
    this.#control = control;
  }

  /** Sets what it does in the next run. Every scalar that the rule's header names must be there. */
  set(control: Control, scalars: Readonly<Record<string, number>> = {}): void {
    const values = { ...neutral, ...control };
    controls.forEach((name, i) => (this.#control[i] = values[name]));
    this.#scalars.forEach((name, i) => (this.#control[controls.length + i] = this.#scalar(scalars, name)));
  }

  #scalar(scalars: Readonly<Record<string, number>>, name: string): number {
    const value = scalars[name];
    if (value === undefined)
      throw stateError('ERR_OPT_NOT_IMPLEMENTED', `rule ${this.rule} expects the scalar ${name}`);
    return value;
  }

  /** Leaves it out of the next run. */
  rest(): void {
    this.#control[0] = 0;
  }
}

/** The passes of a step. */
export class Program {
  /** The gradients of the next run, by variable; then the arrays of the caller's that are variables. */
  readonly arrays: (FloatArray | null)[];
  readonly passes: readonly Pass[];
  readonly #control: Float64Array;
  readonly #plan: Plan;

  constructor(passes: readonly Pass[], variables: readonly Variable[]) {
    const plain = variables
      .map((variable) => Variable.storageOf(variable).array)
      .filter((array) => array !== undefined);
    this.passes = passes;
    this.arrays = [...variables.map(() => null), ...plain];
    this.#control = new Float64Array(passes.length * addon.controlSize);
    passes.forEach((pass, i) =>
      pass.attach(this.#control.subarray(i * addon.controlSize, (i + 1) * addon.controlSize)),
    );
    const source = (place: number | Variable): Source => {
      if (typeof place === 'number') return place;
      const { memory, array } = Variable.storageOf(place);
      return memory ?? variables.length + plain.indexOf(array as FloatArray);
    };
    this.#plan = newPlan(
      passes.map((pass) => pass.spec(source)),
      variables.length,
    );
  }

  /** One native call. Returns the L2 norm of the clipped gradients, null if no norm was asked for. */
  run(): number | null {
    return normOf(addon.Plan.run(this.#plan, this.#control, this.arrays));
  }

  /** The same off the event loop, on arrays that lie in `held`. */
  runAsync(held: readonly Memory[]): Promise<number | null> {
    return new Promise((resolve) => {
      addon.Plan.runAsync(this.#plan, this.#control, this.arrays, held, (norm) => resolve(normOf(norm)));
    });
  }

  /** Lets go of all memory; it cannot run any more. */
  release(): void {
    addon.Plan.release(this.#plan);
  }
}

const normOf = (norm: number): number | null => (norm < 0 ? null : norm);
