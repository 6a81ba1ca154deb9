// The steps as a program without a library has them: bench/loops/.
import { timed, type Instance, type Task } from '../host.ts';
import { gradientOf, variableOf } from '../inputs.ts';
import { adadelta } from '../loops/adadelta.ts';
import { adafactor } from '../loops/adafactor.ts';
import { adagrad } from '../loops/adagrad.ts';
import { adam } from '../loops/adam.ts';
import { adamax } from '../loops/adamax.ts';
import { ftrl } from '../loops/ftrl.ts';
import { lamb } from '../loops/lamb.ts';
import { lion } from '../loops/lion.ts';
import type { Options, Steps, Tensor } from '../loops/loop.ts';
import { nadam } from '../loops/nadam.ts';
import { rmsprop } from '../loops/rmsprop.ts';
import { scheduleFreeAdamW } from '../loops/schedule_free_adamw.ts';
import { sgd } from '../loops/sgd.ts';
import { elementsOf } from '../work.ts';

const stepsOf: Readonly<Record<string, Steps>> = {
  ...sgd,
  ...rmsprop,
  ...adagrad,
  ...adadelta,
  ...adam,
  ...adamax,
  ...nadam,
  ...lion,
  ...lamb,
  ...adafactor,
  ...ftrl,
  ...scheduleFreeAdamW,
};

export function make({ rule, plain, slots, shapes }: Task): Instance {
  const tensors = shapes.map(elementsOf).map((length, i): Tensor => {
    const state = Array.from({ length: slots }, () => new Float32Array(length));
    return [variableOf(length, i), gradientOf(length, i), ...state];
  });
  const steps = stepsOf[rule];
  if (steps === undefined) throw new Error(`there is no loop for ${rule}`);
  return {
    run: timed(steps(tensors, plain as unknown as Options, shapes)),
    values: () => tensors.map(([variable]) => variable),
  };
}
