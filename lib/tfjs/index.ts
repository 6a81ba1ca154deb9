// Every public name of keras-optimizers/tfjs, one list.
export { fileSystem } from './file_system.ts';
export { fitCallbacks } from './fit_callbacks.ts';
export { optimizers } from './optimizers.ts';

export type { Excluded, TfOptimizer } from './adapter.ts';
export type { FitCallback, FitHooks, FitLogs, TensorFlowCallback } from './fit_callbacks.ts';
export type { FitModel } from './fit_model.ts';
export type {
  Factories,
  KerasClasses,
  Optimizers,
  Positional,
  TfClassOf,
  TfFactoryOf,
  TfOptimizerClass,
} from './optimizers.ts';
export type { TensorLoss } from './tape.ts';
export type { Tensor, TensorFlow, TensorVariable } from './tensorflow.ts';
