// The steps as a program without a library has them: lib/bench/loops/.
import { gradientOf, variableOf } from '../../lib/bench/inputs.ts';
import { loops } from '../../lib/bench/loops/index.ts';
import type { Options, Tensor } from '../../lib/bench/loops/loop.ts';
import { timed } from '../../lib/bench/measure.ts';
import type { Instance, Task } from '../host.ts';
import { elementsOf } from '../work.ts';

export function make({ rule, plain, slots, shapes }: Task): Instance {
  const tensors = shapes.map(elementsOf).map((length, i): Tensor => {
    const state = Array.from({ length: slots }, () => new Float32Array(length));
    return [variableOf(length, i), gradientOf(length, i), ...state];
  });
  const steps = loops[rule];
  if (steps === undefined) throw new Error(`there is no loop for ${rule}`);
  return {
    run: timed(steps(tensors, plain as unknown as Options, shapes)),
    values: () => tensors.map(([variable]) => variable),
  };
}
