// One curve of npm run bench:bfloat16, in a process of its own, forked by bfloat16.ts: gets a request, sends the curve.
import { Nadam, type Optimizer, type VariableDtype } from 'keras-optimizers';
import { quantile } from '../../lib/bench/measure.ts';
import { tasks, type Task } from './tasks.ts';
import { variants, type Variant } from './variants.ts';

export interface Request {
  readonly task: string;
  readonly variant: string;
  readonly seed: number;
  readonly steps: number;
}

/** Losses after a number of steps. */
export type Points = readonly (readonly [steps: number, loss: number])[];

export interface Curve extends Request {
  /** Means since the point before. */
  readonly training: Points;
  readonly heldOut: Points;
  /** Median of a step of the optimizer, without the rounding of the gradients. */
  readonly applyMicroseconds: number;
  readonly seconds: number;
  /** Elements of the variables. */
  readonly weights: number;
  /** Of the optimizer's slots. */
  readonly stateBytes: number;
}

const kHeldOutPoints = 20;
const kTrainingPoints = 100;
/** Whether one of so many equal parts of the steps ends with this one. */
const endsPart = (step: number, steps: number, parts: number): boolean =>
  Math.floor((step * parts) / steps) > Math.floor(((step - 1) * parts) / steps);
const mean = (numbers: readonly number[]): number => numbers.reduce((total, x) => total + x, 0) / numbers.length;

/** One step; returns how long the optimizer took. */
function apply(optimizer: Optimizer, { variables }: Task, { gradient }: Variant): number {
  const gradients = variables.map((variable) => {
    const exact = variable.gradient as Float32Array;
    return gradient ? gradient(exact) : exact;
  });
  const start = performance.now();
  optimizer.apply(gradients);
  return performance.now() - start;
}

/** Every weight but those that are 0 by one unit in its last place. */
function nudge({ variables }: Task): void {
  for (const { value } of variables) {
    const bits = new Uint32Array(value.buffer, value.byteOffset, value.length);
    for (let i = 0; i < bits.length; i++) if (value[i] !== 0) bits[i] = (bits[i] as number) + 1;
  }
}

async function train(request: Request): Promise<Curve> {
  const { steps, seed } = request;
  const variant = variants[request.variant] as Variant;
  const task = (await tasks[request.task]?.make(steps, seed)) as Task;
  const optimizer = new Nadam({ learning_rate: task.learningRate, ...variant.options });
  optimizer.build(task.variables);
  if (variant.nudged) nudge(task);
  const training: [number, number][] = [];
  const heldOut: [number, number][] = [];
  const times: number[] = [];
  let losses: number[] = [];
  const start = performance.now();
  for (let step = 1; step <= steps; step++) {
    losses.push(task.differentiate());
    times.push(apply(optimizer, task, variant));
    if (endsPart(step, steps, kTrainingPoints)) {
      training.push([step, mean(losses)]);
      losses = [];
    }
    if (endsPart(step, steps, kHeldOutPoints)) heldOut.push([step, task.heldOutLoss()]);
  }
  return {
    ...request,
    training,
    heldOut,
    applyMicroseconds: 1000 * quantile(times, 0.5),
    seconds: (performance.now() - start) / 1000,
    weights: task.variables.reduce((total, { value }) => total + value.length, 0),
    stateBytes: bytesOf(optimizer),
  };
}

const bytes: Readonly<Record<VariableDtype, number>> = { float32: 4, float64: 8, bfloat16: 2, int32: 4, int64: 8 };
const bytesOf = ({ variables }: Optimizer): number =>
  variables
    .filter(({ value }) => value.length > 1)
    .reduce((total, { dtype, value }) => total + bytes[dtype] * value.length, 0);

process.once('message', (request) => {
  train(request as Request).then(
    (curve) => process.send?.(curve, () => process.disconnect()),
    (error: unknown) => {
      console.error(error instanceof Error ? error.message : error);
      process.exit(1);
    },
  );
});
