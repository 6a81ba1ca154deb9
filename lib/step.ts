// The order of a step, as in keras/src/optimizers/base_optimizer.py: unscale, accumulate, clip, decay, update, average,
// overwrite. What is computed once a step is set here, pass by pass; the elements follow in one native call.
import { arithmetics, type Arithmetic } from './arithmetic.ts';
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
}

/** A number that a class carries from step to step: Nadam's product. Each dtype has its own. */
export interface Running<F extends Fields> {
  readonly initial: number;
  next(previous: number, hyper: Hyper<F>, step: number, arithmetic: Arithmetic): number;
}
export type RunningNumbers = Readonly<Record<Dtype, number>>;

export const runningNumbers = (value: (arithmetic: Arithmetic, dtype: Dtype) => number): RunningNumbers => ({
  float32: value(arithmetics.float32, 'float32'),
  float64: value(arithmetics.float64, 'float64'),
});

/** What only an update needs, so that it is asked for only then: the rate, the scalars by name. */
export interface UpdateNumbers {
  readonly learning_rate: number;
  scalars(dtype: Dtype, learning_rate: number): Readonly<Record<string, number>>;
}

/** Number of updates after `counter` calls of apply. */
export const updatesAfter = (counter: number, { gradient_accumulation_steps: n }: CommonValues): number =>
  n ? Math.floor(counter / n) : counter;

/** Sets every pass for call number `counter` of apply, from 0. `update` is called if that call updates. */
export function setStages(stages: Stages, settings: CommonValues, counter: number, update: () => UpdateNumbers): void {
  const n = settings.gradient_accumulation_steps || 0;
  const updates = n === 0 || (counter + 1) % n === 0;
  setAccumulation(stages, settings, updates ? n : 1);
  if (updates) setUpdate(stages, settings, update());
  else for (const pass of [...stages.update, ...stages.zero]) pass.rest();
  setAverages(stages, settings, updatesAfter(counter, settings));
}

function setAccumulation({ accumulate, zero }: Stages, settings: CommonValues, count: number): void {
  const unscale = settings.loss_scale_factor ?? 1;
  for (const pass of accumulate) pass.set({ unscale }, { count: arithmetics[pass.dtype].round(count) });
  for (const pass of zero) pass.set({});
}

function setUpdate({ update, accumulate }: Stages, settings: CommonValues, numbers: UpdateNumbers): void {
  const { clipvalue } = settings;
  const { learning_rate } = numbers;
  const control = {
    unscale: accumulate.length > 0 ? 1 : (settings.loss_scale_factor ?? 1),
    clipnorm: settings.clipnorm ?? 0,
    global_clipnorm: settings.global_clipnorm ?? 0,
    limit: clipvalue !== null && clipvalue > 0 ? clipvalue : Infinity,
    weight_decay: settings.weight_decay ?? 0,
    learning_rate,
  };
  for (const pass of update)
    pass.set(control, numbers.scalars(pass.dtype, arithmetics[pass.dtype].round(learning_rate)));
}

/** Keras averages at every call, also where that only accumulates, and overwrites by the number of updates before it. */
function setAverages({ average, overwrite }: Stages, settings: CommonValues, updates: number): void {
  const frequency = settings.ema_overwrite_frequency;
  const overwrites = frequency && (updates + 1) % frequency === 0;
  for (const pass of average) {
    const { round, sub } = arithmetics[pass.dtype];
    const momentum = updates === 0 ? 0 : round(settings.ema_momentum);
    pass.set({}, { momentum, one_minus_momentum: sub(1, momentum) });
  }
  for (const pass of overwrite) {
    if (overwrites) pass.set({});
    else pass.rest();
  }
}
