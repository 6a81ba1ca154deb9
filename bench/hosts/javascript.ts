// The steps as a program without a library has them: bench/loops/.
import { timed, type Instance, type Task } from '../host.ts';
import { gradientOf, variableOf } from '../inputs.ts';
import { adam } from '../loops/adam.ts';
import type { Options, Steps, Tensor } from '../loops/loop.ts';
import { nadam } from '../loops/nadam.ts';
import { sgd } from '../loops/sgd.ts';
import { elementsOf } from '../work.ts';

const stepsOf: Readonly<Record<string, Steps>> = { ...sgd, ...adam, ...nadam };

export function make({ rule, plain, slots, shapes }: Task): Instance {
  const tensors = shapes.map(elementsOf).map((length, i): Tensor => {
    const state = Array.from({ length: slots }, () => new Float32Array(length));
    return [variableOf(length, i), gradientOf(length, i), ...state];
  });
  const steps = stepsOf[rule];
  if (steps === undefined) throw new Error(`there is no loop for ${rule}`);
  return {
    run: timed(steps(tensors, plain as unknown as Options)),
    values: () => tensors.map(([variable]) => variable),
  };
}
