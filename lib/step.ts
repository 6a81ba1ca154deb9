// The order of a step, as in keras/src/optimizers/base_optimizer.py: unscale, accumulate, clip, decay, update, average,
// overwrite. What is computed once a step is set here, pass by pass; the elements follow in one native call.
import { arithmetics, type Arithmetic, type Arithmetics } from './arithmetic.ts';
import type { Fields, Values } from './configurable.ts';
import type { Dtype } from './native.ts';
import type { CommonValues } from './optimizers/common.ts';
import type { Stages } from './state.ts';

/** Hyper-parameters of a step: functions have been called. */
export type Hyper<F extends Fields> = { readonly [K in keyof Values<F>]: Exclude<Values<F>[K], () => number> };

/** What the scalars of a step follow from. */
export interface Moment {
  /** Number of the update, from 1. */
  readonly step: number;
  /** In the dtype's arithmetic. */
  readonly learning_rate: number;
  /** The running number after this step, if the class has one. */
  readonly running: number;
  /** The native rule that the scalars are for. */
  readonly rule: string;
}

/** A number that a class carries from step to step: Nadam's product. Each dtype has its own. */
export interface Running<F extends Fields> {
  readonly initial: number;
  next(previous: number, hyper: Hyper<F>, step: number, arithmetic: Arithmetic): number;
}
export type RunningNumbers = Readonly<Record<Dtype, number>>;

/** Of the dtypes that occur. */
export const runningNumbers = (
  occurring: readonly Dtype[],
  arithmetics: Arithmetics,
  value: (arithmetic: Arithmetic, dtype: Dtype) => number,
): RunningNumbers => {
  const numbers = { float32: NaN, float64: NaN };
  for (const dtype of occurring) numbers[dtype] = value(arithmetics[dtype], dtype);
  return numbers;
};

/** Number of updates after `counter` calls of apply. */
export const updatesAfter = (counter: number, { gradient_accumulation_steps: n }: CommonValues): number =>
  n ? Math.floor(counter / n) : counter;

/** How encoded slots are rounded. */
export const roundingOf = ({ state_rounding, seed }: CommonValues) => ({
  stochastic: Number(state_rounding === 'stochastic'),
  seed,
});

/** Sets once what every pass does in the same way in all steps. */
export function configureStages(
  { accumulate, update }: Stages,
  settings: CommonValues,
  decayOf: (rule: string) => number | null,
): void {
  const unscale = settings.loss_scale_factor ?? 1;
  const { clipvalue } = settings;
  for (const pass of accumulate) pass.configure({ unscale });
  for (const pass of update)
    pass.configure({
      unscale: accumulate.length > 0 ? 1 : unscale,
      clipnorm: settings.clipnorm ?? 0,
      global_clipnorm: settings.global_clipnorm ?? 0,
      limit: clipvalue !== null && clipvalue > 0 ? clipvalue : Infinity,
      weight_decay: decayOf(pass.of) ?? 0,
      ...roundingOf(settings),
    });
}

/** Sets what the gradients of the next steps are divided by, as they come. */
export function setUnscale({ accumulate, update }: Stages, by: number): void {
  for (const pass of accumulate.length > 0 ? accumulate : update) pass.unscale(by);
}

/** Whether call number `counter` of apply, from 0, updates the variables. */
export const updatesAt = (counter: number, { gradient_accumulation_steps: n }: CommonValues): boolean =>
  !n || (counter + 1) % n === 0;

/** Sets what comes before an update; `updates` says whether there is one. */
export function setAccumulation(stages: Stages, settings: CommonValues, updates: boolean): void {
  const count = (updates && settings.gradient_accumulation_steps) || 1;
  for (const pass of stages.accumulate) pass.set({ count: arithmetics[pass.dtype].round(count) });
  for (const pass of stages.zero) {
    if (updates) pass.set({});
    else pass.rest();
  }
}

/** Keras averages at every call, also where that only accumulates, and overwrites by the number of updates before it. */
export function setAverages({ average, overwrite }: Stages, settings: CommonValues, updates: number): void {
  if (average.length === 0) return;
  const frequency = settings.ema_overwrite_frequency;
  const overwrites = frequency && (updates + 1) % frequency === 0;
  for (const pass of average) {
    const { round, sub } = arithmetics[pass.dtype];
    const momentum = updates === 0 ? 0 : round(settings.ema_momentum);
    pass.set({ momentum, one_minus_momentum: sub(1, momentum) });
  }
  for (const pass of overwrite) {
    if (overwrites) pass.set({});
    else pass.rest();
  }
}
