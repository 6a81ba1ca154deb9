// The steps as a program without a library has them.
import { timed, type Instance, type Task } from '../host.ts';
import { gradientOf, variableOf } from '../inputs.ts';
import { elementsOf } from '../work.ts';

interface Tensor {
  readonly p: Float32Array;
  readonly g: Float32Array;
  readonly m: Float32Array;
  readonly v: Float32Array;
}

/** Of the rules that are here; what a rule does not have is NaN. */
interface Options {
  readonly learning_rate: number;
  readonly momentum: number;
  readonly beta_1: number;
  readonly beta_2: number;
  readonly epsilon: number;
  readonly weight_decay: number;
}

/** A function that does the next step on all tensors. */
type Steps = (tensors: readonly Tensor[], options: Options) => () => void;

// The loops are functions of their own: inside a closure V8 keeps the arrays in memory and takes twice as long.

function sgd({ p, g }: Tensor, rate: number): void {
  for (let i = 0; i < p.length; i++) p[i] = (p[i] as number) - (g[i] as number) * rate;
}

function sgdMomentum({ p, g, m }: Tensor, rate: number, momentum: number): void {
  for (let i = 0; i < p.length; i++) {
    const next = (m[i] as number) * momentum - (g[i] as number) * rate;
    m[i] = next;
    p[i] = (p[i] as number) + next;
  }
}

/** `kept`: what the decay leaves of the variable. */
function adam({ p, g, m, v }: Tensor, { beta_1, beta_2, epsilon }: Options, alpha: number, kept: number): void {
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    m[i] = first;
    v[i] = second;
    p[i] = (p[i] as number) * kept - (first * alpha) / (Math.sqrt(second) + epsilon);
  }
}

interface NadamScalars {
  readonly ofMoment: number;
  readonly ofGradient: number;
  readonly correction: number;
}

function nadam({ p, g, m, v }: Tensor, { beta_1, beta_2, epsilon }: Options, scalars: NadamScalars): void {
  const { ofMoment, ofGradient, correction } = scalars;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i] as number;
    const first = (m[i] as number) + (gradient - (m[i] as number)) * (1 - beta_1);
    const second = (v[i] as number) + (gradient * gradient - (v[i] as number)) * (1 - beta_2);
    m[i] = first;
    v[i] = second;
    const direction = (ofMoment * first + ofGradient * gradient) / (Math.sqrt(second * correction) + epsilon);
    p[i] = (p[i] as number) - direction;
  }
}

const adamSteps: Steps = (tensors, options) => {
  const { learning_rate, beta_1, beta_2, weight_decay } = options;
  const kept = 1 - (weight_decay || 0) * learning_rate;
  let step = 0;
  return () => {
    step++;
    const alpha = (learning_rate * Math.sqrt(1 - beta_2 ** step)) / (1 - beta_1 ** step);
    for (const tensor of tensors) adam(tensor, options, alpha, kept);
  };
};

/** `momentumAt(beta_1, step)`: Keras's schedule of it, or none. */
const nadamSteps =
  (momentumAt: (beta_1: number, step: number) => number): Steps =>
  (tensors, options) => {
    const { learning_rate: rate, beta_1, beta_2 } = options;
    let [step, product] = [0, 1]; // of the momenta of all steps so far
    return () => {
      const [now, next] = [momentumAt(beta_1, ++step), momentumAt(beta_1, step + 1)];
      product *= now;
      const scalars = {
        ofMoment: (rate * next) / (1 - product * next),
        ofGradient: (rate * (1 - now)) / (1 - product),
        correction: 1 / (1 - beta_2 ** step),
      };
      for (const tensor of tensors) nadam(tensor, options, scalars);
    };
  };

const stepsOf: Readonly<Record<string, Steps>> = {
  sgd:
    (tensors, { learning_rate }) =>
    () =>
      tensors.forEach((tensor) => sgd(tensor, learning_rate)),
  sgd_momentum:
    (tensors, { learning_rate, momentum }) =>
    () =>
      tensors.forEach((tensor) => sgdMomentum(tensor, learning_rate, momentum)),
  adam: adamSteps,
  adamw: adamSteps,
  nadam: nadamSteps((beta_1, step) => beta_1 * (1 - 0.5 * 0.96 ** step)),
  nadam_constant: nadamSteps((beta_1) => beta_1),
};

export function make({ rule, plain, slots, shapes }: Task): Instance {
  const tensors = shapes.map(elementsOf).map((length, i) => {
    const [m, v] = [1, 2].map((slot) => new Float32Array(slots >= slot ? length : 0)) as [Float32Array, Float32Array];
    return { p: variableOf(length, i), g: gradientOf(length, i), m, v };
  });
  const steps = stepsOf[rule];
  if (steps === undefined) throw new Error(`there is no loop for ${rule}`);
  return {
    run: timed(steps(tensors, plain as unknown as Options)),
    values: () => tensors.map(({ p }) => p),
  };
}
