// A model of TensorFlow.js's layers, as its source has it: what a training loop says of itself, and where it evaluates. Nothing of
// @tensorflow/tfjs-layers is imported, and its types hide some of this.
import type { Tensor } from '@tensorflow/tfjs-core';

import { describe, typeError } from '../errors.ts';
import { tfOptimizerOf, type TfOptimizer } from './adapter.ts';

/** A `tf.LayersModel`, or a `tf.Sequential`. */
export interface FitModel {
  /** What it is compiled with. */
  readonly optimizer: unknown;
  /** Set to true, it ends the training. */
  stopTraining: boolean;
  /** Trains it. */
  fit(...args: never[]): Promise<unknown>;
}

/** What a loop says when it begins. */
export interface FitParams {
  readonly samples?: number | null;
  readonly batchSize?: number | null;
  readonly steps?: number | null;
  readonly [name: string]: unknown;
}
type Evaluated = Tensor | readonly Tensor[];
/** The model that trains: itself, or what is inside of a `tf.Sequential`. */
export interface Inner extends FitModel {
  readonly isTraining?: boolean;
  readonly history?: { readonly params?: FitParams };
  readonly metricsNames: readonly string[];
  getDedupedMetricsNames?(): readonly string[];
  testLoop(...args: unknown[]): readonly Tensor[];
  evaluateDataset(...args: unknown[]): Promise<Evaluated>;
}

const isModel = (value: unknown): value is Inner =>
  typeof value === 'object' &&
  value !== null &&
  ['fit', 'testLoop', 'evaluateDataset'].every(
    (name) => typeof (value as Record<string, unknown>)[name] === 'function',
  );

export function checkModel(value: unknown): Inner & { readonly model?: unknown } {
  if (isModel(value)) return value;
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `fitCallbacks expects the model, a tf.LayersModel or tf.Sequential, as in fitCallbacks(model, [...]), got ${describe(value)}`,
  );
}

/** The optimizer that a model is compiled with. */
export function optimizerOf({ optimizer }: FitModel): TfOptimizer {
  const found = tfOptimizerOf(optimizer);
  if (found !== undefined) return found;
  const { name } = (optimizer as { constructor: { name: string } } | null | undefined)?.constructor ?? {};
  throw typeError(
    'ERR_OPT_CONFIG_TYPE',
    `fitCallbacks expects a model with an optimizer of this package, got ${name ?? describe(optimizer)}: ` +
      'compile it before, with one of those that optimizers(tf) has',
  );
}

/** The inner one of a `tf.Sequential`, which it makes when it is built. */
export const innerOf = (model: Inner & { readonly model?: unknown }): Inner =>
  isModel(model.model) ? model.model : model;

/** Keras's names for what a loop says of itself. */
export function paramsOf(model: Inner): FitParams & { readonly steps: number | null } {
  const params = model.history?.params ?? {};
  const { samples, batchSize, steps } = params;
  const counted = samples && batchSize ? Math.ceil(samples / batchSize) : null;
  return { ...params, steps: steps ?? counted };
}

/** What an evaluation came to, by the names of the metrics. */
export function named(model: Inner, values: readonly number[]): Record<string, number> {
  const names = model.getDedupedMetricsNames?.() ?? model.metricsNames;
  return Object.fromEntries(values.map((value, i) => [names[i] ?? `metric_${i}`, value]));
}
const listOf = (evaluated: Evaluated): readonly Tensor[] =>
  (Array.isArray(evaluated) ? evaluated : [evaluated]) as Tensor[];
const first = (values: ArrayLike<number>): number => values[0] as number;

/** Undefined on a backend, such as webgpu, that reads nothing without waiting. */
export function readNow(model: Inner, evaluated: Evaluated): Record<string, number> | undefined {
  try {
    return named(
      model,
      listOf(evaluated).map((tensor) => first(tensor.dataSync<'float32'>())),
    );
  } catch {
    return undefined;
  }
}
export const readLater = async (model: Inner, evaluated: Evaluated): Promise<Record<string, number>> =>
  named(model, await Promise.all(listOf(evaluated).map(async (tensor) => first(await tensor.data<'float32'>()))));
