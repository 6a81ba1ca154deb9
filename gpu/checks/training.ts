// The same steps on a GPU and on the CPU, with gradients in every form that a step takes.
import type { DeviceName, Gradient, Optimizer, Variable } from '../../lib/index.ts';
import type { Dtype } from '../../lib/native.ts';
import type { Random } from '../../test/random.ts';
import { Foreign } from './foreign.ts';
import { assertSame, filled, type Floats } from './numbers.ts';
import { putGradient, variableOn, type GpuName } from './variables.ts';

/** How a step gets its gradients. On the CPU another library's memory is an array. */
export type Form = 'host' | 'own' | 'variables' | 'foreign' | 'some' | 'async';
export const forms: readonly Form[] = ['host', 'own', 'foreign', 'variables', 'async', 'some'];

export interface Task {
  readonly make: () => Optimizer;
  readonly shapes: readonly (readonly number[])[];
  readonly dtype: Dtype;
  /** Of the variables, then of the gradients of each step. */
  readonly initial: readonly Floats[];
  readonly gradients: readonly (readonly Floats[])[];
  readonly forms: readonly Form[];
  /** Done with the optimizer and its variables when all steps are enqueued. */
  readonly last?: (optimizer: Optimizer, variables: readonly Variable[]) => void;
}

export const elementsOf = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

/** Draws a task's numbers. */
export function taskOf(
  shapes: Task['shapes'],
  dtype: Dtype,
  steps: number,
  number: (next: Random) => number,
  next: Random,
): Omit<Task, 'make'> {
  const draw = () => shapes.map((shape) => filled(dtype, elementsOf(shape), () => number(next)));
  const taken = Array.from({ length: steps }, (_, step) => forms[step % forms.length] as Form);
  return { shapes, dtype, initial: draw(), gradients: taken.map(draw), forms: taken };
}

/** What stands for the gradients of a step; undefined for the variables' own. */
class Presented {
  readonly #device: DeviceName;
  readonly #foreign: Foreign[] = [];
  readonly #variables: Variable[] = [];

  constructor(device: DeviceName) {
    this.#device = device;
  }

  as(form: Form, gradients: readonly Floats[], variables: readonly Variable[]): Gradient[] | undefined {
    if (form === 'own') {
      variables.forEach((variable, i) => putGradient(variable, gradients[i] as Floats));
      return undefined;
    }
    return gradients.map((numbers, i) => {
      const { shape } = variables[i] as Variable;
      if (form === 'some' && i % 3 === 1) return null;
      if (form === 'variables') return this.#variable(numbers, shape);
      if (form === 'foreign' && this.#device !== 'cpu') return this.#put(this.#device, numbers, shape, i);
      return numbers.slice();
    });
  }

  /** Shifted by a few elements: what other libraries hand over is aligned like their own slices. */
  #put(device: GpuName, numbers: Floats, shape: readonly number[], i: number): Gradient {
    const shift = (i % 5) * numbers.BYTES_PER_ELEMENT;
    const foreign = new Foreign(device, numbers.byteLength + 64);
    this.#foreign.push(foreign);
    return foreign.put(numbers, shape, shift);
  }

  #variable(numbers: Floats, shape: readonly number[]): Variable {
    const variable = variableOn(this.#device, numbers, { shape });
    this.#variables.push(variable);
    return variable;
  }

  release(): void {
    for (const foreign of this.#foreign) foreign.release();
    for (const variable of this.#variables) variable.dispose();
  }
}

/** All values of the variables and of the optimizer's state after the steps, and what a step said of its norm. */
export async function trained(task: Task, device: DeviceName): Promise<ArrayLike<number>[]> {
  const { shapes, initial, gradients, forms } = task;
  const variables = shapes.map((shape, i) => variableOn(device, initial[i] as Floats, { shape, name: `v${i}` }));
  const optimizer = task.make();
  optimizer.build(variables);
  const presented = new Presented(device);
  try {
    const norms: number[] = [];
    for (const [step, form] of forms.entries()) {
      const arrays = presented.as(form, gradients[step] as readonly Floats[], variables);
      if (form === 'async') await optimizer.apply_async(arrays, variables);
      else if (arrays === undefined) optimizer.apply();
      else optimizer.apply(arrays, variables);
      if (form !== 'async') overwrite(arrays);
      norms.push(optimizer.gradient_norm ?? -1);
    }
    task.last?.(optimizer, variables);
    const values = await Promise.all([...variables, ...optimizer.variables].map((variable) => variable.read()));
    return [...values, norms];
  } finally {
    optimizer.dispose();
    for (const variable of variables) variable.dispose();
    presented.release();
  }
}

/** Arrays of the host belong to the caller again as soon as `apply` returns. */
function overwrite(arrays: readonly Gradient[] | undefined): void {
  for (const array of arrays ?? []) if (ArrayBuffer.isView(array)) (array as Floats).fill(NaN);
}

/** Throws unless the device leaves the bits that the CPU leaves. */
export async function assertSameTraining(task: Task, device: DeviceName, what: string): Promise<void> {
  const [there, here] = [await trained(task, device), await trained(task, 'cpu')];
  here.forEach((expected, i) => assertSame(there[i] ?? [], expected, `${what}: ${nameOf(i, task)}`));
}

function nameOf(i: number, { shapes }: Task): string {
  return i < shapes.length ? `variable ${i} [${String(shapes[i])}]` : `state ${i - shapes.length}`;
}
